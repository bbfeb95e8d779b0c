"""Whole notes of music in voices: finding them, and drawing another pitch for them."""

from typing import NamedTuple

import tensorflow as tf

from tfmusic.generation.samplers import IMPOSSIBLE, categorical
from tfmusic.generation.seeds import split_seed

_REST, _HELD, _STRUCK = range(3)
_SURE = 1e6  # logit of what is known
_HELD_WEIGHT = 0.25  # of all steps of a note but its first, together


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
    logits: tf.Tensor,
    rules: tf.Tensor,
    notes: Notes,
    seed: tf.Tensor,
    temperature: tf.Tensor,
) -> tf.Tensor:
    """A key for every note, most of all by the logits of the step that it begins with.

    In later steps the logits also stand for the note before, held on; they count less,
    or voices would seldom move.

    Args:
        logits: Of each key and of a rest, which is 0; float32
            `[batch, time, voice, 1 + key]`.
        rules: What is added to them, of all steps in full.
        notes: The notes.
        seed: int64 `[2]`.
        temperature: A float32 scalar.

    Returns:
        int32 `[batch, time, voice]`.
    """
    later = tf.cast(~notes.begins, tf.float32)
    number_later = tf.maximum(_sum(later, notes), 1.0)
    weights = tf.where(notes.begins, 1.0, _HELD_WEIGHT / number_later)
    rows = logits * weights[..., tf.newaxis] + rules
    rows = tf.reshape(rows, [-1, logits.shape[-1]])
    number = tf.reshape(notes.number, [-1])
    rows = tf.math.unsorted_segment_sum(rows, number, notes.most)
    return tf.gather(categorical(rows, seed, temperature), notes.number)


def draw_cells(
    logits: tf.Tensor,
    rules: tf.Tensor,
    cells: tf.Tensor,
    hidden: tf.Tensor,
    seed: tf.Tensor,
    temperature: tf.Tensor,
) -> tf.Tensor:
    """Draws hidden cells as notes: first where these begin, then a key for each.

    Were each cell drawn by itself, neighbours would seldom have the same key, and every
    other key is one that is struck: a noise of short notes, of which what is drawn next
    would have to make sense.

    Args:
        logits: Of each cell's classes, a rest, keys that are held and the same keys
            struck, float32 `[batch, time, voice, 1 + 2 * key]`.
        rules: What is added to them for each key, `[batch, time, voice, key]`.
        cells: The classes as they are, int32 `[batch, time, voice]`.
        hidden: Which are drawn, bool likewise. A note that reaches into others has
            their key.
        seed: int64 `[2]`.
        temperature: A float32 scalar.

    Returns:
        int32 `[batch, time, voice]`.
    """
    seeds, num_keys = split_seed(seed, 2), logits.shape[-1] // 2
    rest, held, struck = tf.split(logits, [1, num_keys, num_keys], axis=-1)
    kinds = [tf.reduce_logsumexp(p + rules, -1, keepdims=True) for p in (held, struck)]
    rows = tf.reshape(tf.concat([rest, *kinds], axis=-1), [-1, 3])
    drawn = tf.reshape(categorical(rows, seeds[0], temperature), tf.shape(cells))
    key = tf.where(cells > num_keys, cells - num_keys, cells)
    kept = tf.where(cells > num_keys, _STRUCK, tf.where(cells > 0, _HELD, _REST))
    kind = tf.where(hidden, drawn, kept)
    # Rests and what sounds are never one note.
    notes = find_notes(tf.cast(kind == _REST, tf.int32), kind == _STRUCK)
    keys = tf.where(notes.begins[..., tf.newaxis], struck, held)
    rules_out = IMPOSSIBLE * tf.cast(kind == _REST, tf.float32)[..., tf.newaxis]
    own = tf.concat([IMPOSSIBLE - rules_out, keys + rules_out], axis=-1)
    known = _SURE * tf.one_hot(key, 1 + num_keys)
    is_hidden = hidden[..., tf.newaxis]
    own = tf.where(is_hidden, own, 0.0)
    rules = tf.pad(rules, [[0, 0], [0, 0], [0, 0], [1, 0]])  # none for rests
    rules = tf.where(is_hidden, rules, known)
    drawn = draw_notes(own, rules, notes, seeds[1], temperature)
    is_struck = notes.begins & (drawn > 0)
    return tf.where(hidden, drawn + num_keys * tf.cast(is_struck, tf.int32), cells)


def _sum(values: tf.Tensor, notes: Notes) -> tf.Tensor:
    """The sum over each cell's note, `[batch, time, voice]`."""
    number = tf.reshape(notes.number, [-1])
    sums = tf.math.unsorted_segment_sum(tf.reshape(values, [-1]), number, notes.most)
    return tf.gather(sums, notes.number)
