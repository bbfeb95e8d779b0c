"""What stood some bars before at the same place, as inputs and as logits."""

from typing import NamedTuple

import keras
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.representations.bar_tokens import BarPlaces
from tfmusic.representations.tokens import TokenRepresentation

# So many bars before.
DISTANCES = (1, 2, 4, 8)
# Among so many tokens.
HISTORY = 1024
# Of the vector of each token found.
_SIZE = 32
NONE = -1
# Places in a bar are less than this, see `BarPlaces`.
_BAR = 1 << 20


def bar_places(representation: TokenRepresentation) -> BarPlaces:
    """What tokens say of places in bars.

    Raises:
        UserError: They say nothing.
    """
    places = getattr(representation, "bar_places", None)
    if places is None:
        raise UserError(
            "model.lookback: expected tokens with bars and places in them, as "
            f"bar_events has, got {representation.name}"
        )
    return places()


class Bars(NamedTuple):
    """The bars so far.

    Attributes:
        tokens: The newest last, 0 before the first; int32 `[batch, 1024]`.
        places: Of these in the piece, ascending, -1 before the first; int64
            `[batch, 1024]`.
        bar: How many have begun; int64 `[batch]`.
        position: In steps from the bar line; int64 `[batch]`.
        num_notes: At that position; int64 `[batch]`.
    """

    tokens: tf.Tensor
    places: tf.Tensor
    bar: tf.Tensor
    position: tf.Tensor
    num_notes: tf.Tensor


class Lookback(keras.layers.Layer):
    """The tokens with which music would go on as it did some bars before.

    Bars return, as they are or a little changed, most often at distances of 1, 2, 4 and
    8. For each of these the network reads which token came next at the same place of
    the bar then, and says how likely it comes again. The idea is that of the Lookback
    RNN (Waite, "Generating Long-Term Structure in Songs and Stories", 2016), with
    places in bars instead of steps.

    A place is the bar, the position in it, and how many notes have begun there; so two
    bars can be compared though notes are added or left out.
    """

    def __init__(self, places: BarPlaces, **kwargs):
        """Makes the layer from what tokens say of places."""
        super().__init__(autocast=False, **kwargs)
        self._places = places
        self._vocabulary_size = len(places.is_bar)
        self.tokens = keras.layers.Embedding(self._vocabulary_size + 1, _SIZE)
        self.weigh = keras.layers.Dense(
            len(DISTANCES), bias_initializer=keras.initializers.Constant(1.0)
        )

    def build(self, hidden_shape, joined_shape, found_shape):
        """Makes the weights."""
        self.tokens.build(found_shape)
        self.weigh.build(hidden_shape)

    # ---- Which tokens.

    def initial_state(self, batch_size: tf.Tensor) -> Bars:
        """Before the first bar."""
        zeros = tf.zeros([batch_size], tf.int64)
        return Bars(
            tf.zeros([batch_size, HISTORY], tf.int32),
            tf.fill([batch_size, HISTORY], tf.constant(NONE, tf.int64)),
            zeros,
            zeros,
            zeros,
        )

    def after(self, bars: Bars, token: tf.Tensor) -> Bars:
        """The state after one more token, int32 `[batch]`."""
        is_bar, position, is_note, stage = self._lookup(token)
        is_moved = position >= 0
        position = tf.where(is_moved, position, bars.position)
        num_notes = tf.where(is_moved, tf.zeros_like(is_note), bars.num_notes)
        num_notes += is_note
        bar = bars.bar + is_bar
        place = _place(bar, position, num_notes, stage)
        return Bars(
            tf.concat([bars.tokens[:, 1:], token[:, tf.newaxis]], axis=1),
            tf.concat([bars.places[:, 1:], place[:, tf.newaxis]], axis=1),
            bar,
            position,
            num_notes,
        )

    def after_all(self, tokens: tf.Tensor) -> Bars:
        """The state after `[batch, time]` tokens."""
        places, bar, position, num_notes = self._all_places(tokens)
        front = [[0, 0], [HISTORY, 0]]
        return Bars(
            tf.pad(tokens, front)[:, -HISTORY:],
            tf.pad(places, front, constant_values=NONE)[:, -HISTORY:],
            bar[:, -1],
            position[:, -1],
            num_notes[:, -1],
        )

    def found(self, bars: Bars) -> tf.Tensor:
        """The tokens that came next, -1 for none, int32 `[batch, distance]`."""
        wanted = _earlier(bars.places[:, -1])
        is_before = bars.places[:, :, tf.newaxis] <= wanted[:, tf.newaxis]
        index = tf.reduce_sum(tf.cast(is_before, tf.int32), axis=1)
        token = tf.gather(bars.tokens, tf.minimum(index, HISTORY - 1), batch_dims=1)
        # Where all that is remembered is later, what came next may be forgotten.
        is_known = (wanted >= _BAR) & (index > 0)
        return tf.where(is_known, token, NONE)

    def all_found(self, tokens: tf.Tensor) -> tf.Tensor:
        """As `found`, after each of `[batch, time]` tokens, `[batch, time, distance]`.

        Tokens before the first bar line count as a bar that is not looked at.
        """
        tokens = tf.cast(tokens, tf.int32)  # Keras traces it with float32, too
        places, *_ = self._all_places(tokens)
        num = tf.shape(tokens)[1]
        wanted = tf.reshape(_earlier(places), [-1, num * len(DISTANCES)])
        index = tf.searchsorted(places, wanted, side="right")
        token = tf.gather(tokens, tf.minimum(index, num - 1), batch_dims=1)
        shape = [-1, num, len(DISTANCES)]
        index, token, wanted = (tf.reshape(x, shape) for x in (index, token, wanted))
        oldest = tf.range(num)[:, tf.newaxis] - (HISTORY - 1)
        is_known = (wanted >= _BAR) & (index > tf.maximum(oldest, 0))
        return tf.where(is_known, token, NONE)

    def _lookup(self, tokens: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Whether tokens begin bars, positions, whether they are notes, stages."""
        tokens = tf.cast(tokens, tf.int32)
        return tuple(
            tf.gather(tf.constant(table, tf.int64), tokens) for table in self._places
        )

    def _all_places(self, tokens: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The place of each token, int64 `[batch, time]`, and what it is made of."""
        is_bar, position, is_note, stage = self._lookup(tokens)
        is_moved = position >= 0
        newest, has_moved = _latest(is_moved)
        none = tf.zeros_like(newest)
        count = tf.cumsum(is_note, axis=1)
        position, before = (
            tf.where(has_moved, tf.gather(values, newest, batch_dims=1), none)
            for values in (position, count)
        )
        num_notes = count - before
        bar = tf.cumsum(is_bar, axis=1)
        place = _place(bar, position, num_notes, stage)
        return place, bar, position, num_notes

    # ---- What the network reads and says of them.

    def read(self, found: tf.Tensor) -> tf.Tensor:
        """Tokens `[..., distance]` as one vector, `[..., feature]`."""
        vectors = self.tokens(found + 1)
        shape = tf.concat([tf.shape(found)[:-1], [len(DISTANCES) * _SIZE]], axis=0)
        return tf.ensure_shape(
            tf.reshape(vectors, shape),
            [*found.shape[:-1], len(DISTANCES) * _SIZE],
        )

    def call(self, hidden: tf.Tensor, joined: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        """What is there, and behind it tokens and their log odds.

        Args:
            hidden: What the network says, `[..., feature]`.
            joined: That, with what else the logits are made of.
            found: Tokens, int32 `[..., distance]`.

        Returns:
            float32.
        """
        parts = joined, found, self.weigh(hidden)
        return tf.concat([tf.cast(part, tf.float32) for part in parts], axis=-1)

    def split(self, joined: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """What was there before `call`, the tokens and their log odds."""
        num = len(DISTANCES)
        hidden, found, odds = tf.split(joined, [-1, num, num], axis=-1)
        return hidden, tf.cast(found, tf.int32), odds

    def add(self, logits: tf.Tensor, found: tf.Tensor, odds: tf.Tensor) -> tf.Tensor:
        """Logits `[batch, time, token]` with the log odds of the tokens that came."""
        shape = tf.shape(logits)
        flat = tf.reshape(logits, [-1, shape[-1]])
        num = len(DISTANCES)
        found, odds = tf.reshape(found, [-1, num]), tf.reshape(odds, [-1, num])
        row = tf.repeat(tf.range(tf.shape(found)[0])[:, tf.newaxis], num, axis=1)
        places = tf.stack([row, tf.maximum(found, 0)], axis=-1)
        odds = tf.where(found == NONE, 0.0, odds)
        return tf.reshape(tf.tensor_scatter_nd_add(flat, places, odds), shape)


def _place(
    bar: tf.Tensor, position: tf.Tensor, num_notes: tf.Tensor, stage: tf.Tensor
) -> tf.Tensor:
    """One number that ascends within a piece; int64 of one shape all."""
    return bar * _BAR + BarPlaces.order(position, tf.minimum(num_notes, 255), stage)


def _earlier(places: tf.Tensor) -> tf.Tensor:
    """The same places in the bars at all distances, `[..., distance]`."""
    return places[..., tf.newaxis] - tf.constant(DISTANCES, tf.int64) * _BAR


def _latest(chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the newest chosen one is up to each, int64, and whether there is one."""
    order = tf.argsort(tf.cast(~chosen, tf.int32), axis=1, stable=True)
    count = tf.cumsum(tf.cast(chosen, tf.int32), axis=1)
    newest = tf.gather(order, tf.maximum(count - 1, 0), batch_dims=1)
    return tf.cast(newest, tf.int64), count > 0
