"""Training: one loop over stock `model.fit`, resumable, for every family."""
