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
        # Most chords can be given to voices in one way alone, which saves time.
        is_open = np.any(choices != choices[:, :1], axis=(1, 2))
        order = np.argsort(is_open, kind="stable")
        # Of each choice the voices, `[voice, 1, token]`, and their perfect intervals.
        ways = np.transpose(choices, [1, 2, 0])[:, :, np.newaxis].astype(np.int8)
        with tf.init_scope():  # an export holds it once
            self._choices = tf.constant(choices, tf.int32)
            self._closed = _constants(ways[0][..., ~is_open])
            self._open = [_constants(way[..., is_open]) for way in ways]
            self._places = tf.constant(np.argsort(order), tf.int32)

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
        # With voices first, voices and pairs of them are blocks of memory; there are
        # many chords, and of bytes more are counted at a time.
        before = tf.transpose(tf.cast(voices, tf.int8))[..., tf.newaxis]
        counts = [
            _count(before, *self._closed),
            _count(before, *self._nearest_open(before)),
        ]
        return tf.gather(tf.concat(counts, axis=1), self._places, axis=1)

    def _nearest_open(self, before: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`_nearest` for every token that has a choice.

        Args:
            before: int8 `[voice, batch, 1]`.

        Returns:
            Voices, int8 `[voice, batch, token]`, and their perfect intervals.
        """
        is_rest = before[0] == _REST  # [batch, 1]
        best, intervals = self._open[0]
        least = None
        for voices, between in self._open:
            distances = tf.abs(tf.cast(voices - before, tf.int32))
            # [batch, token]
            movement = tf.where(is_rest, 0, tf.reduce_sum(distances, axis=0))
            if least is not None:
                is_less = movement < least
                best = tf.where(is_less, voices, best)
                intervals = tf.where(is_less, between, intervals)
                movement = tf.minimum(movement, least)
            least = movement
        return best, intervals


def _constants(voices: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
    """Voices `[voice, 1, token]` and the perfect intervals of each two, octaves aside.

    What is no perfect interval, or a rest, is -1.
    """
    intervals = (voices[_UPPER] - voices[_LOWER]) % 12
    is_perfect = np.isin(intervals, _INTERVALS) & (voices[0] != _REST)
    perfect = np.where(is_perfect, intervals, -1)
    return tf.constant(voices, tf.int8), tf.constant(perfect, tf.int8)


def _count(before: tf.Tensor, after: tf.Tensor, intervals: tf.Tensor) -> tf.Tensor:
    """How many parallels lead from chords to others, float32 `[batch, token]`.

    Args:
        before: Voices, int8 `[voice, batch, 1]`.
        after: Those of the others, int8 `[voice, batch or 1, token]`.
        intervals: The perfect ones of each two of these, -1 where there is none.
    """
    earlier = (tf.gather(before, _UPPER) - tf.gather(before, _LOWER)) % 12
    earlier = tf.where(before[0] == _REST, tf.constant(-2, tf.int8), earlier)
    rises, falls = tf.unstack(after > before), tf.unstack(after < before)
    counts = [
        tf.cast(is_same & ((rises[u] & rises[v]) | (falls[u] & falls[v])), tf.int8)
        for u, v, is_same in zip(
            _UPPER, _LOWER, tf.unstack(earlier == intervals), strict=True
        )
    ]
    return tf.cast(tf.add_n(counts), tf.float32)


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
