"""What models of chords know before a frame."""

from typing import NamedTuple

import tensorflow as tf

from tfmusic.models.base import Tensors
from tfmusic.models.guidance import Guidance
from tfmusic.models.recall import Frames


class Past(NamedTuple):
    """What is known of the frames so far, the newest included.

    Attributes:
        struck: Which keys were struck in the newest frames, bool
            `[batch, HISTORY, pitch]`, oldest first.
        voices: See `VoiceLeading`.
    """

    struck: tf.Tensor
    voices: tf.Tensor


class ChordState(NamedTuple):
    """What the model knows before a frame: `TokenState`, and the past."""

    network: tuple
    rules: tuple
    place: Tensors
    heard: tuple[()]
    bars: Frames | tuple[()]
    guidance: Guidance | tuple[()]
    past: Past
