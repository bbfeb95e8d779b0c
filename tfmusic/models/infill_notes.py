"""Whole notes of music in voices: finding them, and drawing another pitch for them."""

from typing import NamedTuple

import tensorflow as tf

from tfmusic.generation.samplers import categorical


class Notes(NamedTuple):
    """The notes, and the rests, of pieces; `[batch, time, voice]` each.

    Attributes:
        number: Of each cell's note among all notes of all voices and pieces, int32.
        place: Of it among those of its voice, int32.
        begins: Whether it begins here, bool.
        most: How many there are at most, an int32 scalar.
    """

    number: tf.Tensor
    place: tf.Tensor
    begins: tf.Tensor
    most: tf.Tensor


def find_notes(key: tf.Tensor, struck: tf.Tensor | None) -> Notes:
    """Finds what is held from step to step.

    Args:
        key: int32 `[batch, time, voice]`, 0 for a rest.
        struck: Whether it is struck, bool, likewise; None: keys touch only to be held.
    """
    before = tf.pad(key, [[0, 0], [1, 0], [0, 0]], constant_values=-1)[:, :-1]
    begins = key != before
    if struck is not None:
        begins |= struck
    place = tf.cumsum(tf.cast(begins, tf.int32), axis=1) - 1
    batch_size, length, num_voices = tf.unstack(tf.shape(key))
    row = tf.range(batch_size * num_voices)
    row = tf.reshape(row, [batch_size, 1, num_voices])
    most = batch_size * num_voices * length
    return Notes(row * length + place, place, begins, most)


def notes_to_draw(notes: Notes, mask: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    """Cells of every second note of one voice that lies in the gap whole.

    So of two notes that touch, in one voice or in two, one stays.

    Args:
        notes: The notes.
        mask: The gap, bool `[batch, time, voice]`.
        number: Of the round, int32: voices take turns, then the notes.
    """
    num_voices = mask.shape[2]
    is_voice = tf.range(num_voices) == number % num_voices
    is_turn = notes.place % 2 == (number // num_voices) % 2
    kept = _sum(tf.cast(~mask, tf.float32), notes)
    return mask & is_voice & is_turn & (kept == 0)


def draw_notes(
    logits: tf.Tensor, notes: Notes, seed: tf.Tensor, temperature: tf.Tensor
) -> tf.Tensor:
    """A key for every note, by the sum of its steps' logits.

    Args:
        logits: Of each key and of a rest, which is 0; float32
            `[batch, time, voice, 1 + key]`.
        notes: The notes.
        seed: int64 `[2]`.
        temperature: A float32 scalar.

    Returns:
        int32 `[batch, time, voice]`.
    """
    rows = tf.reshape(logits, [-1, logits.shape[-1]])
    number = tf.reshape(notes.number, [-1])
    rows = tf.math.unsorted_segment_sum(rows, number, notes.most)
    return tf.gather(categorical(rows, seed, temperature), notes.number)


def _sum(values: tf.Tensor, notes: Notes) -> tf.Tensor:
    """The sum over each cell's note, `[batch, time, voice]`."""
    number = tf.reshape(notes.number, [-1])
    sums = tf.math.unsorted_segment_sum(tf.reshape(values, [-1]), number, notes.most)
    return tf.gather(sums, notes.number)
