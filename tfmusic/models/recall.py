"""What came the last time after the frames that have come again."""

import math
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfmusic.generation.samplers import IMPOSSIBLE
from tfmusic.models.base import Tensors
from tfmusic.representations.chords import NUM_PITCHES
from tfmusic.representations.vocabulary import END

# So many frames, the newest ones, are looked for.
LENGTHS = (1, 2, 4, 8, 16)
# Among so many.
HISTORY = 2048
NONE = -1
# Of the vector of what is found.
_VECTOR_SIZE = 64
# More places than a piece has.
_FAR = 1 << 40
# Distances are told apart by their octave.
_OCTAVES = tuple(1 << i for i in range(12))
# As many classes have lengths, numbers of times (from 2 to 7 or more) and distances.
_CLASSES = (len(LENGTHS) + 1, 6, len(_OCTAVES))
_MULTIPLIER = 0x9E3779B97F4A7C15  # odd, so that nothing is lost by multiplying


class Recalled(NamedTuple):
    """A frame that may come again.

    Attributes:
        token: int32 `[...]`, -1 where there is none.
        keys: Which keys sound, bool `[..., pitch]`.
        length: The place in `LENGTHS` of how many frames had come before it as they
            have now, from 1; 0 where there is none; int32 `[...]`.
        times: How often these have come, the newest ones included, int32 `[...]`.
        distance: How many frames ago they came the last time, int32 `[...]`.
    """

    token: tf.Tensor
    keys: tf.Tensor
    length: tf.Tensor
    times: tf.Tensor
    distance: tf.Tensor


class Frames(NamedTuple):
    """The frames so far, the newest last, zeros before the first.

    Attributes:
        tokens: int32 `[batch, HISTORY]`.
        keys: Which keys sound, bool `[batch, HISTORY, pitch]`.
        hashes: A number for the newest `LENGTHS` frames up to each, int64
            `[batch, HISTORY, length]`.
    """

    tokens: tf.Tensor
    keys: tf.Tensor
    hashes: tf.Tensor


class Recall(keras.layers.Layer):
    """The frame that came after the newest frames when they came before.

    Of the longest run of frames that has come before, its last time counts. The network
    reads what came then, and says how likely it comes again: a frame is that one, or
    another one as without it. How often the run has come counts, too, and how long ago
    that was: else music would soon turn in circles. The idea is that of predicting by
    partial matching (Cleary and Witten 1984), mixed as in a pointer network (Merity et
    al. 2016).
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.frame = keras.layers.Dense(_VECTOR_SIZE, use_bias=False, dtype="float32")
        self.odds = keras.layers.Dense(1, dtype="float32")
        random = np.random.default_rng(0)
        with tf.init_scope():  # an export holds them once
            self._numbers = tf.constant(random.integers(1 << 62, size=NUM_PITCHES))
            # Silence is a frame as well, and no end.
            self._kinds = tf.constant(random.integers(1 << 62, size=2))

    def build(self, hidden_shape, joined_shape, found_shape):
        """Makes the weights."""
        del joined_shape, found_shape
        self.odds.build([None, hidden_shape[-1] + sum(_CLASSES)])

    # ---- Which frame.

    def initial_state(self, batch_size: tf.Tensor) -> Frames:
        """Before the first frame."""
        return Frames(
            tf.zeros([batch_size, HISTORY], tf.int32),
            tf.zeros([batch_size, HISTORY, NUM_PITCHES], tf.bool),
            tf.zeros([batch_size, HISTORY, len(LENGTHS)], tf.int64),
        )

    def after(self, past: Frames, frame: Tensors) -> Frames:
        """The state after one more frame."""
        own = self._own(frame)
        hashes = [own]
        for i, (length, factor) in enumerate(_doublings()):
            hashes.append(hashes[-1] + factor * past.hashes[:, -length, i])
        newest = Frames(frame["tokens"], frame["keys"][..., 0], tf.stack(hashes, -1))
        return Frames(
            *(
                tf.concat([old[:, 1:], new[:, tf.newaxis]], axis=1)
                for old, new in zip(past, newest, strict=True)
            )
        )

    def after_all(self, frames: Tensors) -> Frames:
        """The state after `[batch, time]` frames."""
        hashes = tf.stack(self._all_hashes(frames), axis=-1)
        front = [[0, 0], [HISTORY, 0]]
        return Frames(
            tf.pad(frames["tokens"], front)[:, -HISTORY:],
            tf.pad(frames["keys"][..., 0], [*front, [0, 0]])[:, -HISTORY:],
            tf.pad(hashes, [*front, [0, 0]])[:, -HISTORY:],
        )

    def found(self, past: Frames) -> Recalled:
        """What came after the newest frames before, `[batch]`."""
        is_same = past.hashes[:, :-1] == past.hashes[:, -1:]
        order = tf.range(HISTORY - 1)[:, tf.newaxis]
        before = tf.reduce_max(tf.where(is_same, order, NONE), axis=1)
        times = 1 + tf.reduce_sum(tf.cast(is_same, tf.int32), axis=1)
        places = zip(tf.unstack(before, axis=1), tf.unstack(times, axis=1), strict=True)
        return _choose(list(places), HISTORY - 1, past.tokens, past.keys)

    def all_found(self, frames: Tensors) -> Recalled:
        """As `found`, after each of `[batch, time]` frames."""
        tokens, keys = tf.cast(frames["tokens"], tf.int32), frames["keys"][..., 0]
        now = tf.range(tf.shape(tokens)[1])
        places = [_previous(hashes) for hashes in self._all_hashes(frames)]
        return _choose(places, now, tokens, keys)

    def comes_again(self, found: Recalled, frames: Tensors) -> tf.Tensor:
        """Whether frames are those that were found, bool `[...]`."""
        is_same = tf.reduce_all(found.keys == frames["keys"][..., 0], axis=-1)
        return is_same & (found.length > 0) & (frames["tokens"] > END)

    def _own(self, frames: Tensors) -> tf.Tensor:
        """A number for each frame by itself, int64 `[...]`."""
        zero = tf.constant(0, tf.int64)
        keys = tf.where(frames["keys"][..., 0], self._numbers, zero)
        tokens = tf.cast(frames["tokens"], tf.int32)  # Keras traces them as float32
        kind = tf.gather(self._kinds, tf.cast(tokens > END, tf.int32))
        return kind + tf.reduce_sum(keys, axis=-1)

    def _all_hashes(self, frames: Tensors) -> list[tf.Tensor]:
        """For each of `LENGTHS` a number for as many frames, int64 `[batch, time]`."""
        hashes = [self._own(frames)]
        num = tf.shape(hashes[0])[1]
        for length, factor in _doublings():
            earlier = tf.pad(hashes[-1], [[0, 0], [length, 0]])[:, :num]
            hashes.append(hashes[-1] + factor * earlier)
        return hashes

    # ---- What the network reads and says of it.

    def read(self, found: Recalled) -> tf.Tensor:
        """What was found as one vector, `[..., feature]`."""
        keys = tf.cast(found.keys, tf.float32)
        return self.frame(tf.concat([keys, _as_vector(found)], axis=-1))

    def call(self, hidden: tf.Tensor, joined: tf.Tensor, found: Recalled) -> tf.Tensor:
        """What is there, and behind it a token and the log odds that its chord comes.

        Args:
            hidden: What the network says, `[..., feature]`.
            joined: That, with what else the logits are made of.
            found: `[...]`.

        Returns:
            float32.
        """
        hidden = tf.cast(hidden, tf.float32)
        odds = self.odds(tf.concat([hidden, _as_vector(found)], axis=-1))
        token = tf.cast(found.token, tf.float32)[..., tf.newaxis]
        return tf.concat([tf.cast(joined, tf.float32), token, odds], axis=-1)

    def split(self, joined: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """What was there before `call`, the token and its log odds."""
        hidden, token, odds = tf.split(joined, [-1, 1, 1], axis=-1)
        return hidden, tf.cast(token[..., 0], tf.int32), odds[..., 0]

    def nats(self, found: Recalled, odds: tf.Tensor, frames: Tensors) -> Tensors:
        """What frames cost by being what was found, and what all others cost more.

        Args:
            found: What was found before each.
            odds: The log odds that it comes again.
            frames: What comes.

        Returns:
            float32 `[...]`: `again`, huge where another frame comes, and `not_again`.
        """
        again = self.comes_again(found, frames)
        return {
            "again": tf.where(again, tf.nn.softplus(-odds), -IMPOSSIBLE),
            "not_again": tf.where(found.length > 0, tf.nn.softplus(odds), 0.0),
        }

    def mix(self, nats: tf.Tensor, of_found: Tensors) -> tf.Tensor:
        """`-log p` of frames, from the nats of them all and what `nats` gave."""
        other = of_found["not_again"] + nats
        return other - tf.nn.softplus(other - of_found["again"])

    def hits(self, hits: tf.Tensor, nats: Tensors) -> tf.Tensor:
        """Whether what is likeliest comes: what was found, where that is likelier.

        Args:
            hits: Whether it does without what was found, float32 `[...]`.
            nats: Of `nats`.
        """
        again = tf.cast(nats["again"] < -IMPOSSIBLE, tf.float32)
        return tf.where(nats["not_again"] > math.log(2.0), again, hits)

    def add(self, logits: tf.Tensor, token: tf.Tensor, odds: tf.Tensor) -> tf.Tensor:
        """`log p` of tokens, `[..., token]`, from logits and what `split` gives."""
        is_found = (token != NONE)[..., tf.newaxis]
        odds = odds[..., tf.newaxis]
        other = tf.nn.log_softmax(logits) - tf.nn.softplus(odds)
        either = other + tf.nn.softplus(-tf.nn.softplus(-odds) - other)
        tokens = tf.range(tf.shape(logits)[-1])
        mixed = tf.where(tokens == token[..., tf.newaxis], either, other)
        return tf.where(is_found, mixed, logits)


def _doublings() -> list[tuple[int, int]]:
    """Lengths that are doubled, and what then multiplies the earlier half's number."""
    pairs = []
    for length in LENGTHS[:-1]:
        factor = pow(_MULTIPLIER, length, 1 << 64)
        pairs.append((length, factor - (1 << 64) if factor >> 63 else factor))
    return pairs


def _previous(numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Where each number was the last time, or -1, and how often it has come.

    Only among `HISTORY` numbers, the newest included. All int32 `[batch, time]`.
    """
    order = tf.argsort(numbers, axis=1, stable=True)
    ordered = tf.gather(numbers, order, batch_dims=1)
    is_same = tf.pad(ordered[:, 1:] == ordered[:, :-1], [[0, 0], [1, 0]])
    before = tf.where(is_same, tf.roll(order, 1, axis=1), NONE)
    # Of each number the places ascend; those that are too old are passed over.
    group = tf.cumsum(tf.cast(~is_same, tf.int64), axis=1) * _FAR
    places = group + tf.cast(order, tf.int64)
    oldest = tf.maximum(places - (HISTORY - 1), group)
    times = 1 + tf.range(tf.shape(order)[1]) - tf.searchsorted(places, oldest)
    back = tf.argsort(order, axis=1)
    before, times = (tf.gather(part, back, batch_dims=1) for part in (before, times))
    return tf.where(times > 1, before, NONE), times


def _choose(
    places: list[tuple[tf.Tensor, tf.Tensor]],
    now: tf.Tensor | int,
    tokens: tf.Tensor,
    keys: tf.Tensor,
) -> Recalled:
    """The frames after the longest runs that have come before.

    Args:
        places: For each of `LENGTHS` where the run ended, -1 for nowhere, and how often
            it has come.
        now: Where the newest frame is.
        tokens: Of all frames, `[batch, time]`.
        keys: Likewise, `[batch, time, pitch]`.
    """
    place = tf.fill(tf.shape(places[0][0]), NONE)
    length = times = tf.zeros_like(place)
    for i, (run, count) in enumerate(places):
        is_found = run != NONE
        place = tf.where(is_found, run, place)
        length = tf.where(is_found, i + 1, length)
        times = tf.where(is_found, count, times)
    is_found = place != NONE
    index = tf.where(is_found, place + 1, 0)
    keys = tf.gather(keys, index, batch_dims=1)
    return Recalled(
        tf.where(is_found, tf.gather(tokens, index, batch_dims=1), NONE),
        keys & is_found[..., tf.newaxis],
        length,
        times,
        tf.where(is_found, now - place, 0),
    )


def _as_vector(found: Recalled) -> tf.Tensor:
    """How a frame was found, float32 `[..., feature]`."""
    octave = tf.reduce_sum(
        tf.cast(found.distance[..., tf.newaxis] >= _OCTAVES, tf.int32), axis=-1
    )
    numbers = (found.length, tf.minimum(found.times, 7) - 2, octave - 1)
    vectors = [
        tf.one_hot(number, size) for number, size in zip(numbers, _CLASSES, strict=True)
    ]
    return tf.concat(vectors, axis=-1)
