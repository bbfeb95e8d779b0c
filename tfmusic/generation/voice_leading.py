"""Parallel fifths and octaves between the chord that sounds and those that may follow.

Chords are read as four voices, sorted from the top. Of more pitches the three highest
and the lowest are taken; where fewer sound, two voices share one, those for which all
voices move least. Two voices that both move, in the same direction, and are a fifth (an
octave or in unison) apart before and after, octaves aside, make a parallel. A pitch
that is struck again has not moved.
"""

import itertools

import numpy as np
import tensorflow as tf

_NUM_VOICES = 4
_REST = -1
_INTERVALS = (0, 7)
# Which pitches of a chord, from the top, each voice may have.
_SHARES = {
    0: [[0, 0, 0, 0]],
    1: [[0, 0, 0, 0]],
    2: [[0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 1, 1]],
    3: [[0, 0, 1, 2], [0, 1, 1, 2], [0, 1, 2, 2]],
}
_NUM_CHOICES = 3
_UPPER, _LOWER = np.array(list(itertools.combinations(range(_NUM_VOICES), 2))).T


class VoiceLeading:
    """The voices of a vocabulary's chords, in graph code."""

    def __init__(self, token_pitches: np.ndarray):
        """Sorts the pitches of all chords.

        Args:
            token_pitches: Bool `[token, 128]`.
        """
        choices = np.full((len(token_pitches), _NUM_CHOICES, _NUM_VOICES), _REST)
        for token, sounding in enumerate(token_pitches):
            choices[token] = _choices(sounding)
        with tf.init_scope():  # an export holds it once
            self._choices = tf.constant(choices, tf.int32)
            # Of each choice the voices, `[voice, 1, token]`, and their intervals, which
            # would take long to divide anew.
            ways = tf.transpose(self._choices, [1, 2, 0])[:, :, tf.newaxis]
            self._ways = [(way, _intervals(way)) for way in tf.unstack(ways)]

    def initial_voices(self, batch_size: tf.Tensor) -> tf.Tensor:
        """Nothing sounds yet, int32 `[batch, 4]`."""
        return tf.fill([batch_size, _NUM_VOICES], _REST)

    def after(self, voices: tf.Tensor, token: tf.Tensor) -> tf.Tensor:
        """The voices of the chords that come, int32 `[batch, 4]`, -1 in a rest.

        Args:
            voices: Those before, likewise.
            token: int32 `[batch]`.
        """
        choices = tf.gather(self._choices, token)  # [batch, choice, voice]
        return _nearest(voices[:, tf.newaxis], choices)

    def count_parallels(self, voices: tf.Tensor) -> tf.Tensor:
        """How many parallels each chord would make, float32 `[batch, token]`.

        Args:
            voices: What sounds, int32 `[batch, 4]`.
        """
        # With voices first, voices and pairs of them are blocks of memory.
        before = tf.transpose(voices)[..., tf.newaxis]  # [voice, batch, 1]
        after, later = self._nearest_of_all(before)
        sounds = tf.logical_and(before != _REST, after != _REST)
        moves = tf.where(sounds, tf.sign(after - before), 0)
        earlier = _intervals(before)
        is_parallel = tf.reduce_any([earlier == size for size in _INTERVALS], axis=0)
        is_parallel &= earlier == later
        is_parallel &= tf.gather(moves, _UPPER) * tf.gather(moves, _LOWER) > 0
        return tf.reduce_sum(tf.cast(is_parallel, tf.float32), axis=0)

    def _nearest_of_all(self, before: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`_nearest` for every token.

        Args:
            before: int32 `[voice, batch, 1]`.

        Returns:
            Voices, int32 `[voice, batch, token]`, and their `_intervals`.
        """
        is_rest = tf.reduce_any(before == _REST, axis=0)  # [batch, 1]
        best, intervals = self._ways[0]
        least = None
        for voices, between in self._ways:
            movement = tf.reduce_sum(tf.abs(voices - before), axis=0)
            movement = tf.where(is_rest, 0, movement)  # [batch, token]
            if least is not None:
                is_less = movement < least
                best = tf.where(is_less, voices, best)
                intervals = tf.where(is_less, between, intervals)
                movement = tf.minimum(movement, least)
            least = movement
        return best, intervals


def _intervals(voices: tf.Tensor) -> tf.Tensor:
    """Semitones between each two voices, octaves aside, `[pair, ...]`."""
    return (tf.gather(voices, _UPPER) - tf.gather(voices, _LOWER)) % 12


def _choices(sounding: np.ndarray) -> np.ndarray:
    """Ways to give a chord's pitches to four voices, `[choice, voice]`."""
    found = np.flatnonzero(sounding)[::-1]
    if len(found) >= _NUM_VOICES:
        shares = [[0, 1, 2, len(found) - 1]]
    else:
        shares = _SHARES[len(found)]
    found = found if len(found) else np.array([_REST])
    return found[np.resize(shares, (_NUM_CHOICES, _NUM_VOICES))]


def _nearest(before: tf.Tensor, choices: tf.Tensor) -> tf.Tensor:
    """Of ways `[..., choice, voice]` that in which the voices move least."""
    movement = tf.reduce_sum(tf.abs(choices - before), axis=-1)
    # The first one after a rest, where nothing moves.
    movement = tf.where(tf.reduce_any(before == _REST, axis=-1), 0, movement)
    best = tf.one_hot(tf.argmin(movement, axis=-1), _NUM_CHOICES, dtype=tf.int32)
    return tf.reduce_sum(choices * best[..., tf.newaxis], axis=-2)
