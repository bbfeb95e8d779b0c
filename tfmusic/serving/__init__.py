"""From a trained run to a SavedModel, and from a SavedModel to music."""
