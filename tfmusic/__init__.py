"""Symbolic music generation in TensorFlow and Keras.

`API` lists a dozen names for notebooks and scripts, `tfmusic.read_music` and so on;
`tfmusic.api` documents them.

Importing the package is free: each room (`tfmusic.notes`, `tfmusic.models`, ...) is
imported by whoever needs it, so reading a MIDI file costs no TensorFlow import.
"""

import importlib

__version__ = "0.1.0"

API = (
    "UserError",
    "build_dataset",
    "compare_music",
    "draw_primer",
    "evaluate_model",
    "export_model",
    "load_config",
    "load_model",
    "play_music",
    "plot_music",
    "read_music",
    "read_pieces",
    "train_model",
    "write_music",
)


def __getattr__(name: str):
    if name in API:
        return getattr(importlib.import_module("tfmusic.api"), name)
    raise AttributeError(f"module 'tfmusic' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*API, "__version__"})
