"""Music in voices as classes: one of each cell `[time, voice]`."""

import tensorflow as tf

from tfmusic.models.base import Tensors
from tfmusic.representations.voice_frames import REST, VoiceFrames


class Cells:
    """The classes of a representation: a rest, keys that are held, and those struck.

    Where the representation has no onsets, none is struck.
    """

    def __init__(self, representation: VoiceFrames):
        """Keeps the representation."""
        self._kind = representation

    def of(self, features: Tensors) -> tf.Tensor:
        """The class of each cell, int32 `[..., time, voice]`."""
        kind = self._kind
        pitch = tf.cast(features["pitch"], tf.int32)
        inside = (pitch >= kind.lowest_pitch) & (pitch <= kind.highest_pitch)
        held = tf.where(inside, pitch - kind.lowest_pitch + 1, REST)
        if not kind.onsets:
            return held
        struck = tf.cast(features["struck"], tf.bool) & (held > 0)
        return self.mended(held + kind.num_keys * tf.cast(struck, tf.int32))

    def held(self, cells: tf.Tensor) -> tf.Tensor:
        """Cells as if none were struck."""
        num_keys = self._kind.num_keys
        return tf.where(cells > num_keys, cells - num_keys, cells)

    def mended(self, cells: tf.Tensor) -> tf.Tensor:
        """Cells of which those that hold what did not sound before are struck."""
        if not self._kind.onsets:
            return cells
        held = self.held(cells)
        paddings = [[0, 0]] * (cells.shape.rank - 2) + [[1, 0], [0, 0]]
        before = tf.pad(held, paddings)[..., :-1, :]
        is_new = (held > 0) & (held != before)
        return tf.where(is_new, held + self._kind.num_keys, cells)

    def features(self, cells: tf.Tensor) -> Tensors:
        """What `of` was given."""
        held = self.held(cells)
        pitch = tf.where(held > 0, held + self._kind.lowest_pitch - 1, REST)
        features = {"pitch": pitch}
        if self._kind.onsets:
            features["struck"] = cells > self._kind.num_keys
        return features
