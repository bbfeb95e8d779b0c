"""Intervals from what was heard lately, as a part of the logits of notes."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.representations.tokens import TokenRepresentation

NUM_PITCHES = 128
# How many of the newest notes, and how many semitones from each, up and down.
_NUM_NOTES = 3
_REACH = 24
_NUM_INTERVALS = 2 * _REACH + 1
# What is left of a pitch class when one more note has come: about the last 8 notes
# count, and about the last 64.
_DECAYS = (0.875, 0.985)
_NONE = -1


def single_pitches(representation: TokenRepresentation) -> np.ndarray:
    """The pitch of each token, -1 for none, int `[token]`.

    Raises:
        UserError: Tokens have several, or none has any.
    """
    sounds = representation.token_pitches()
    counts = sounds.sum(axis=1)
    if counts.max() != 1:
        raise UserError(
            "model.pitch_context: expected tokens of single notes, as bar_events has, "
            f"got {representation.name}"
        )
    return np.where(counts > 0, sounds.argmax(axis=1), _NONE)


class Heard(NamedTuple):
    """The notes so far.

    Attributes:
        newest: Pitches of the newest notes, the last one first, -1 where there are not
            so many; int32 `[..., 3]`.
        classes: How much of each pitch class is left, by decay; float32
            `[..., 2, 12]`.
    """

    newest: tf.Tensor
    classes: tf.Tensor


class PitchContext(keras.layers.Layer):
    """Log odds of pitches that tell intervals from notes, and not notes.

    The network says how likely each interval is from each of the newest notes, and from
    the pitch classes heard lately; what it learns so in one key holds in all. The
    logits of notes are the sum of that and of what the network says of each by itself.
    """

    def __init__(self, pitches: np.ndarray, **kwargs):
        """Makes the layers.

        Args:
            pitches: The pitch of each token, -1 for none, int `[token]`.
            **kwargs: The base layer's.
        """
        super().__init__(autocast=False, **kwargs)  # few bits would be too few
        self.pitches = np.asarray(pitches, np.int32)
        size = _NUM_NOTES * _NUM_INTERVALS + len(_DECAYS) * 12
        self.intervals = keras.layers.Dense(
            size, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01)
        )

    def initial_state(self, batch_size: tf.Tensor) -> Heard:
        """Nothing heard."""
        return Heard(
            tf.fill([batch_size, _NUM_NOTES], _NONE),
            tf.zeros([batch_size, len(_DECAYS), 12]),
        )

    def after(self, heard: Heard, token: tf.Tensor) -> Heard:
        """The state after one more token, int32 `[batch]`."""
        pitch = tf.gather(tf.constant(self.pitches), token)[:, tf.newaxis]
        is_note = pitch >= 0
        newest = tf.concat([pitch, heard.newest[:, :-1]], axis=1)
        note = tf.one_hot(tf.where(is_note, pitch % 12, _NONE), 12)
        decays = tf.constant(_DECAYS)[:, tf.newaxis]
        classes = tf.where(is_note[..., None], heard.classes * decays, heard.classes)
        return Heard(tf.where(is_note, newest, heard.newest), classes + note)

    def after_each(self, tokens: tf.Tensor) -> Heard:
        """The states after each of `[batch, time]` tokens, `[batch, time, ...]`."""
        pitch = tf.gather(tf.constant(self.pitches), tokens)
        is_note = pitch >= 0
        count = tf.cumsum(tf.cast(is_note, tf.int32), axis=1)
        # Notes first, in their order; before these there is none.
        order = tf.argsort(tf.cast(~is_note, tf.int32), axis=1, stable=True)
        notes = tf.gather(pitch, order, batch_dims=1)
        notes = tf.pad(notes, [[0, 0], [_NUM_NOTES, 0]], constant_values=_NONE)
        places = count[..., tf.newaxis] + _NUM_NOTES - 1 - tf.range(_NUM_NOTES)
        newest = tf.gather(notes, places, batch_dims=1)
        classes = tf.one_hot(tf.where(is_note, pitch % 12, _NONE), 12)
        since = tf.cast(count[:, :, None] - count[:, None, :], tf.float32)
        past = tf.linalg.band_part(tf.ones(tf.shape(since)[1:]), -1, 0)
        left = [
            tf.matmul(tf.pow(decay, tf.maximum(since, 0.0)) * past, classes)
            for decay in _DECAYS
        ]
        return Heard(newest, tf.stack(left, axis=-2))

    def call(self, hidden: tf.Tensor, heard: Heard) -> tf.Tensor:
        """Hidden values `[..., feature]`, and behind them the log odds of pitches.

        Returns:
            float32 `[..., feature + 128]`.
        """
        odds = tf.cast(self.intervals(hidden), tf.float32)
        by_note, by_class = tf.split(
            odds, [_NUM_NOTES * _NUM_INTERVALS, len(_DECAYS) * 12], axis=-1
        )
        shape = tf.shape(odds)[:-1]
        total = tf.zeros(tf.concat([shape, [NUM_PITCHES]], axis=0))
        rank = hidden.shape.rank - 1
        pitches = tf.range(NUM_PITCHES)
        for n, part in enumerate(tf.split(by_note, _NUM_NOTES, axis=-1)):
            newest = heard.newest[..., n, tf.newaxis]
            interval = pitches - newest
            is_near = (tf.abs(interval) <= _REACH) & (newest >= 0)
            # What is out of reach is the last entry, nothing.
            index = tf.where(is_near, interval + _REACH, _NUM_INTERVALS)
            part = tf.pad(part, [[0, 0]] * rank + [[0, 1]])
            total += tf.gather(part, index, batch_dims=rank)
        around = (np.arange(12)[:, np.newaxis] + np.arange(12)) % 12
        near = tf.gather(heard.classes, around, axis=-1)  # [..., decay, class, step]
        weights = tf.reshape(by_class, tf.concat([shape, [len(_DECAYS), 12]], axis=0))
        scale = tf.reshape(1.0 - tf.constant(_DECAYS), [-1, 1, 1])
        classes = tf.einsum("...dci,...di->...c", near * scale, weights)
        total += tf.gather(classes, np.arange(NUM_PITCHES) % 12, axis=-1)
        return tf.concat([tf.cast(hidden, tf.float32), total], axis=-1)

    def split(self, joined: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The hidden values of what `call` gives, and what each token's logit gets."""
        hidden, odds = tf.split(joined, [-1, NUM_PITCHES], axis=-1)
        none = [[0, 0]] * (odds.shape.rank - 1) + [[0, 1]]
        place = np.where(self.pitches == _NONE, NUM_PITCHES, self.pitches)
        return hidden, tf.gather(tf.pad(odds, none), place, axis=-1)
