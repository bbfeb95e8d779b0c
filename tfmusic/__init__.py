"""Symbolic music generation in TensorFlow and Keras.

Importing the package is free: each room (`tfmusic.notes`, `tfmusic.models`, ...) is
imported by whoever needs it, so reading a MIDI file costs no TensorFlow import.
"""

__version__ = "0.1.0"
