"""Intervals from what was heard, and what came next before, as logits of notes."""

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
# What is left of a pitch when one more note has come: about the last 8 notes count, and
# about the last 64.
_DECAYS = (0.875, 0.985)
# How many semitones from notes of late the odds of a pitch follow from.
_NEAR = 5
# Passages of so many notes are looked for, as they were or in another key.
_PASSAGES = ((2, False), (4, False), (4, True))
# Among so many notes.
_HISTORY = 256
# Pieces of more are gone through in blocks of so many, or memory would not do.
_BLOCK = 512
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
        notes: Their pitches, the newest first, -1 before the first; int32
            `[batch, 256]`.
        pitches: How much of each pitch is left, by decay; float32 `[batch, 2, 128]`.
    """

    notes: tf.Tensor
    pitches: tf.Tensor


class Context(NamedTuple):
    """What the log odds of pitches depend on.

    Attributes:
        newest: Pitches of the newest notes, the last one first; int32 `[..., 3]`.
        pitches: As in `Heard`, `[..., 2, 128]`.
        next_before: The pitch that came next when the newest notes came last, for each
            kind of passage; int32 `[..., 3]`.
    """

    newest: tf.Tensor
    pitches: tf.Tensor
    next_before: tf.Tensor


class PitchContext(keras.layers.Layer):
    """Log odds of pitches that tell of intervals and returns, and not of notes.

    The network says how likely each interval is from each of the newest notes, from
    the pitches and pitch classes heard lately, and from the tonic; and how likely a
    passage goes on as it did before. What it learns so of one note holds for all. The
    logits of notes are the sum of that and of what the network says of each by itself.
    """

    def __init__(self, pitches: np.ndarray, has_key: bool = False, **kwargs):
        """Makes the layer.

        Args:
            pitches: The pitch of each token, -1 for none, int `[token]`.
            has_key: Whether it gets to know the key.
            **kwargs: The base layer's.
        """
        super().__init__(autocast=False, **kwargs)  # few bits would be too few
        self.pitches = np.asarray(pitches, np.int32)
        self._sizes = [
            _NUM_NOTES * _NUM_INTERVALS,
            len(_DECAYS) * 12,
            len(_PASSAGES),
            2 * _NEAR + 1,
            12 * has_key,
        ]
        self.weigh = keras.layers.Dense(
            sum(self._sizes),
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        )

    def initial_state(self, batch_size: tf.Tensor) -> Heard:
        """Nothing heard."""
        return Heard(
            tf.fill([batch_size, _HISTORY], _NONE),
            tf.zeros([batch_size, len(_DECAYS), NUM_PITCHES]),
        )

    def after(self, heard: Heard, token: tf.Tensor) -> Heard:
        """The state after one more token, int32 `[batch]`."""
        pitch = self._pitch_of(token)[:, tf.newaxis]
        is_note = pitch >= 0
        notes = tf.concat([pitch, heard.notes[:, :-1]], axis=1)
        decays = tf.constant(_DECAYS)[:, tf.newaxis]
        left = tf.where(is_note[..., None], heard.pitches * decays, heard.pitches)
        notes = tf.where(is_note, notes, heard.notes)
        return Heard(notes, left + _one_of_pitches(pitch))

    def after_all(self, tokens: tf.Tensor) -> Heard:
        """The state after `[batch, time]` tokens."""
        notes, count = self._notes(tokens)
        last = count[:, -1:]
        pitches = tf.gather(_left_after(notes), last, batch_dims=1)[:, 0]
        notes = tf.pad(notes, [[0, 0], [_HISTORY, 0]], constant_values=_NONE)
        places = last + _HISTORY - 1 - tf.range(_HISTORY)
        return Heard(tf.gather(notes, places, batch_dims=1), pitches)

    def context(self, heard: Heard) -> Context:
        """What there is to know after a state, `[batch, ...]`."""
        found = []
        for size, is_moved in _PASSAGES:
            notes = heard.notes
            steps = notes[:, :-1] - notes[:, 1:]
            row, size = (steps, size - 1) if is_moved else (notes, size)
            num = _HISTORY - size - 1  # of earlier notes that may end the passage
            same = [
                row[:, 1 + i : 1 + i + num] == row[:, i : i + 1] for i in range(size)
            ]
            first = size + is_moved  # of the passage, counted from its newest note
            is_there = notes[:, first : first + num] >= 0
            same = tf.reduce_all(tf.stack([*same, is_there]), axis=0)
            # The newest; ONNX has no argmax of truths.
            place = tf.argmax(tf.cast(same, tf.int32), axis=1, output_type=tf.int32)
            after = tf.gather(notes, place, batch_dims=1)
            if is_moved:
                after = notes[:, 0] + tf.gather(steps, place, batch_dims=1)
            found.append(tf.where(tf.reduce_any(same, axis=1), after, _NONE))
        newest = heard.notes[:, :_NUM_NOTES]
        return Context(newest, heard.pitches, tf.stack(found, axis=-1))

    def contexts(self, tokens: tf.Tensor) -> Context:
        """What there is to know after each of `[batch, time]` tokens."""
        notes, count = self._notes(tokens)
        padded = tf.pad(notes, [[0, 0], [_NUM_NOTES, 0]], constant_values=_NONE)
        places = count[..., tf.newaxis] + _NUM_NOTES - 1 - tf.range(_NUM_NOTES)
        newest = tf.gather(padded, places, batch_dims=1)
        found = tf.pad(
            _all_next_before(notes), [[0, 0], [1, 0], [0, 0]], constant_values=_NONE
        )
        next_before = tf.gather(found, count, batch_dims=1)
        pitches = tf.gather(_left_after(notes), count, batch_dims=1)
        return Context(newest, pitches, next_before)

    def _pitch_of(self, tokens: tf.Tensor) -> tf.Tensor:
        """The pitch of each token, -1 for none, int32."""
        # When Keras saves a model it traces it with float32, too.
        return tf.gather(tf.constant(self.pitches), tf.cast(tokens, tf.int32))

    def _notes(self, tokens: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The pitches of notes, then -1; and how many there are up to each token."""
        pitch = self._pitch_of(tokens)
        is_note = pitch >= 0
        order = tf.argsort(tf.cast(~is_note, tf.int32), axis=1, stable=True)
        count = tf.cumsum(tf.cast(is_note, tf.int32), axis=1)
        return tf.gather(pitch, order, batch_dims=1), count

    def call(
        self, hidden: tf.Tensor, context: Context, key: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Hidden values `[..., feature]`, and behind them the log odds of pitches.

        Args:
            hidden: What the network says.
            context: Of the notes up to there.
            key: See `tfmusic.representations.home_key`, int32 `[...]`.

        Returns:
            float32 `[..., feature + 128]`.
        """
        weights = tf.cast(self.weigh(hidden), tf.float32)
        by_note, by_class, by_passage, by_place, by_degree = tf.split(
            weights, self._sizes, axis=-1
        )
        left = context.pitches * (1.0 - tf.constant(_DECAYS)[:, tf.newaxis])
        total = _of_intervals(by_note, context.newest)
        total += _of_classes(by_class, left)
        total += _of_places(by_place, left[..., 0, :])
        returns = _one_of_pitches(context.next_before)
        total += tf.reduce_sum(returns * by_passage[..., tf.newaxis], axis=-2)
        if key is not None:
            key = tf.cast(key, tf.int32)  # Keras traces it with float32, as tokens
            degree = (tf.range(NUM_PITCHES) - (key[..., tf.newaxis] - 1)) % 12
            of_key = tf.gather(by_degree, degree, batch_dims=key.shape.rank)
            total += tf.where(key[..., tf.newaxis] > 0, of_key, 0.0)
        return tf.concat([tf.cast(hidden, tf.float32), total], axis=-1)

    def split(self, joined: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The hidden values of what `call` gives, and what each token's logit gets."""
        hidden, odds = tf.split(joined, [-1, NUM_PITCHES], axis=-1)
        none = [[0, 0]] * (odds.shape.rank - 1) + [[0, 1]]
        place = np.where(self.pitches == _NONE, NUM_PITCHES, self.pitches)
        return hidden, tf.gather(tf.pad(odds, none), place, axis=-1)


def _one_of_pitches(pitch: tf.Tensor) -> tf.Tensor:
    """1 for the pitch, float32 `[..., 128]`; -1 is none.

    For that ONNX's one_hot would count from the top.
    """
    return tf.cast(pitch[..., tf.newaxis] == tf.range(NUM_PITCHES), tf.float32)


def _of_intervals(weights: tf.Tensor, newest: tf.Tensor) -> tf.Tensor:
    """Log odds of pitches, `[..., 128]`, by the intervals from the newest notes."""
    rank = newest.shape.rank - 1
    total = tf.zeros(tf.concat([tf.shape(newest)[:-1], [NUM_PITCHES]], axis=0))
    for n, part in enumerate(tf.split(weights, _NUM_NOTES, axis=-1)):
        note = newest[..., n, tf.newaxis]
        interval = tf.range(NUM_PITCHES) - note
        is_near = (tf.abs(interval) <= _REACH) & (note >= 0)
        # What is out of reach is the last entry, nothing.
        index = tf.where(is_near, interval + _REACH, _NUM_INTERVALS)
        part = tf.pad(part, [[0, 0]] * rank + [[0, 1]])
        total += tf.gather(part, index, batch_dims=rank)
    return total


def _of_classes(weights: tf.Tensor, left: tf.Tensor) -> tf.Tensor:
    """Log odds by the pitch classes of what is left, `[..., decay, 128]`."""
    none = [[0, 0]] * (left.shape.rank - 1)
    shape = tf.shape(left)[:-1]
    octaves = tf.pad(left, [*none, [0, -NUM_PITCHES % 12]])
    octaves = tf.reshape(octaves, tf.concat([shape, [-1, 12]], axis=0))
    classes = tf.reduce_sum(octaves, axis=-2)
    around = (np.arange(12)[:, np.newaxis] + np.arange(12)) % 12
    near = tf.gather(classes, around, axis=-1)  # [..., decay, class, step]
    weights = tf.reshape(weights, tf.concat([shape, [12]], axis=0))
    # LiteRT's converter cannot tell the shapes of the matrix products of an einsum.
    odds = tf.reduce_sum(near * weights[..., tf.newaxis, :], axis=[-3, -1])
    return tf.gather(odds, np.arange(NUM_PITCHES) % 12, axis=-1)


def _of_places(weights: tf.Tensor, left: tf.Tensor) -> tf.Tensor:
    """Log odds by what is left of pitches nearby, `[..., 128]`."""
    none = [[0, 0]] * (left.shape.rank - 1)
    padded = tf.pad(left, [*none, [_NEAR, _NEAR]])
    return tf.add_n(
        [
            padded[..., i : i + NUM_PITCHES] * weights[..., i, tf.newaxis]
            for i in range(2 * _NEAR + 1)
        ]
    )


def _left_after(notes: tf.Tensor) -> tf.Tensor:
    """What is left of each pitch after so many notes, `[batch, 1 + note, 2, 128]`.

    Args:
        notes: int32 `[batch, note]`, -1 behind the last, after which nothing counts.
    """
    num = tf.shape(notes)[1]
    size = tf.minimum(num, _BLOCK)
    since = tf.cast(tf.range(size)[:, tf.newaxis] - tf.range(size), tf.float32)
    past = tf.linalg.band_part(tf.ones([size, size]), -1, 0)
    fading = [tf.pow(decay, tf.maximum(since, 0.0)) * past for decay in _DECAYS]
    age = tf.range(1, size + 1)
    carried = [tf.pow(decay, tf.cast(age, tf.float32)) for decay in _DECAYS]

    def block(before: tf.Tensor, notes: tf.Tensor) -> tf.Tensor:
        """After each of a block, `[batch, note, 2, 128]`, from that after the last."""
        new = _one_of_pitches(notes)
        left = [
            tf.matmul(tf.tile(fade[tf.newaxis], [tf.shape(new)[0], 1, 1]), new)
            + before[:, -1:, i] * carry[:, tf.newaxis]
            for i, (fade, carry) in enumerate(zip(fading, carried, strict=True))
        ]
        return tf.stack(left, axis=-2)

    nothing = tf.zeros([tf.shape(notes)[0], size, len(_DECAYS), NUM_PITCHES])
    blocks = _in_blocks(notes, size)
    left = tf.cond(
        num > size,
        lambda: _joined(tf.scan(block, blocks, nothing, parallel_iterations=1)),
        lambda: block(nothing, notes[:, :size]),
    )
    return tf.pad(left[:, :num], [[0, 0], [1, 0], [0, 0], [0, 0]])


def _all_next_before(notes: tf.Tensor) -> tf.Tensor:
    """See `_next_before`; for each kind of passage, int32 `[batch, note, 3]`."""

    def of(notes: tf.Tensor) -> tf.Tensor:
        found = [_next_before(notes, *passage) for passage in _PASSAGES]
        return tf.stack(found, axis=-1)

    def in_blocks() -> tf.Tensor:
        blocks = _in_blocks(notes, _BLOCK)
        # What is remembered is never longer than a block.
        earlier = tf.pad(blocks[:-1], [[1, 0], [0, 0], [0, 0]], constant_values=_NONE)
        found = tf.map_fn(
            lambda pair: of(tf.concat(pair, axis=1))[:, _BLOCK:],
            (earlier, blocks),
            parallel_iterations=1,
            fn_output_signature=tf.int32,
        )
        return _joined(found)[:, : tf.shape(notes)[1]]

    return tf.cond(tf.shape(notes)[1] > _BLOCK, in_blocks, lambda: of(notes))


def _in_blocks(notes: tf.Tensor, size: tf.Tensor | int) -> tf.Tensor:
    """Notes `[batch, note]` as `[block, batch, note]`."""
    batch_size, num = tf.unstack(tf.shape(notes))
    padded = tf.pad(notes, [[0, 0], [0, -num % size]], constant_values=_NONE)
    return tf.transpose(tf.reshape(padded, [batch_size, -1, size]), [1, 0, 2])


def _joined(blocks: tf.Tensor) -> tf.Tensor:
    """`[block, batch, note, ...]` as `[batch, note, ...]`."""
    order = [1, 0, *range(2, blocks.shape.rank)]
    rows = tf.transpose(blocks, order)
    shape = tf.shape(rows)
    return tf.reshape(rows, tf.concat([shape[:1], [-1], shape[3:]], axis=0))


def _next_before(notes: tf.Tensor, size: int, is_moved: bool) -> tf.Tensor:
    """What came next when the `size` notes up to each came last.

    Args:
        notes: int32 `[batch, note]`, -1 behind the last.
        size: Of passages.
        is_moved: Whether passages in another key count; what came next moves with it.

    Returns:
        int32 `[batch, note]`, -1 where it is new.
    """
    row = notes
    if is_moved:
        row, size = notes - tf.pad(notes, [[0, 0], [1, 0]])[:, :-1], size - 1
    num = tf.shape(notes)[1]
    same = row[:, :, tf.newaxis] == row[:, tf.newaxis, :]
    alike = same
    for _ in range(1, size):
        same = tf.pad(same, [[0, 0], [1, 0], [1, 0]])[:, :-1, :-1]
        alike &= same
    place = tf.range(num)
    distance = place[:, tf.newaxis] - place
    first = size if is_moved else size - 1  # a step needs the note before it
    possible = (distance > 0) & (distance < _HISTORY - size) & (place >= first)
    found = tf.where(alike & possible, place, _NONE)
    latest = tf.reduce_max(found, axis=-1)
    following = tf.clip_by_value(latest + 1, 0, num - 1)
    after = tf.gather(notes, following, batch_dims=1)
    if is_moved:
        after += notes - tf.gather(notes, tf.maximum(latest, 0), batch_dims=1)
    is_found = (latest >= 0) & (notes >= 0)
    return tf.where(is_found, after, _NONE)
