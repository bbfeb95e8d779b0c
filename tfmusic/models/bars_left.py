"""What models know of how many bars are to come, and how pieces end with the last."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfmusic.generation import seeds
from tfmusic.generation.samplers import IMPOSSIBLE
from tfmusic.representations.vocabulary import END

# So many are told apart; more are read as that.
_MOST = 64
_SIZE = 16
# So that the draw is not that of another number.
_SEED = 12


class BarsLeft(keras.layers.Layer):
    """A learned vector for each number of bars to come, and the length of new pieces.

    See `tfmusic.representations.bars_left` for the number.
    """

    def __init__(
        self,
        begun: np.ndarray,
        pitches: np.ndarray,
        lengths: Sequence[int],
        **kwargs,
    ):
        """Makes the layer.

        Args:
            begun: How many bars each token begins, int `[token]`; see
                `encode_bars_left`.
            pitches: The pitch of each token, -1 for none, int `[token]`.
            lengths: Of pieces in bars, ascending, from which that of a new one is
                drawn; none: it ends where the model has it end.
            **kwargs: The base layer's.
        """
        super().__init__(**kwargs)
        self._begun = np.asarray(begun, np.int32)
        self._pitches = np.asarray(pitches, np.int32)
        self._drawn = np.array([n + 1 for n in lengths] or [0], np.int32)
        self.numbers = keras.layers.Embedding(
            _MOST + 2,
            _SIZE,
            keras.initializers.RandomNormal(stddev=1.0),
            name="numbers",
        )

    def call(self, bars_left: tf.Tensor) -> tf.Tensor:
        """Encodes numbers, int32 `[...]`, as `[..., 16]`."""
        return self.numbers(tf.clip_by_value(bars_left, 0, _MOST + 1))

    def choose(
        self, batch_size: tf.Tensor, wanted: tf.Tensor, seed: tf.Tensor | None
    ) -> tf.Tensor:
        """What is left before new pieces, int32 `[batch]`.

        Args:
            batch_size: How many pieces.
            wanted: The value of `LENGTH_BARS`.
            seed: Of the draw, int64 `[]` or `[row, 2]`, see `seeds`; None: the middle
                length.
        """
        number = tf.cast(tf.round(wanted), tf.int32)
        if seed is None:
            drawn = tf.fill([batch_size], int(self._drawn[len(self._drawn) // 2]))
        else:
            row = seeds.draw(
                lambda num_rows, seed: tf.random.stateless_uniform(
                    [num_rows], seed, maxval=len(self._drawn), dtype=tf.int32
                ),
                batch_size,
                seeds.numbered(seed, _SEED),
                tf.int32,
            )
            drawn = tf.gather(tf.constant(self._drawn), row)
        return tf.where(number > 0, number + 1, drawn)

    def left_after(self, token: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
        """What is left at a prompt's last token, int32 `[batch]`; 0: it is not known.

        The bar that the prompt ends in is its own, and not one of those wanted.
        """
        number = tf.cast(tf.round(wanted), tf.int32)
        begun = tf.gather(tf.constant(self._begun), token)
        return tf.where(number > 0, number + 1 + begun, 0)

    def after(self, bars_left: tf.Tensor, token: tf.Tensor) -> tf.Tensor:
        """What is left after tokens, both int32 of one shape."""
        begun = tf.gather(tf.constant(self._begun), token)
        left = tf.maximum(bars_left - begun, 1)
        return tf.where(bars_left > 0, left, 0)

    def after_each(self, bars_left: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
        """What is left at each of `[batch, time]` tokens, if `[batch]` at the first."""
        begun = tf.gather(tf.constant(self._begun), tokens)
        left = bars_left[:, tf.newaxis] - tf.cumsum(begun, axis=1, exclusive=True)
        return tf.where(bars_left[:, tf.newaxis] > 0, tf.maximum(left, 1), 0)

    def steer(
        self,
        logits: tf.Tensor,
        bars_left: tf.Tensor,
        newest: tf.Tensor,
        key: tf.Tensor,
        cadence: tf.Tensor,
    ) -> tf.Tensor:
        """Logits `[batch, token]` of pieces that end with their last bar.

        Args:
            logits: What the network and other rules say.
            bars_left: int32 `[batch]`.
            newest: The newest token, int32 `[batch]`.
            key: See `tfmusic.representations.home_key`, int32 `[batch]`.
            cadence: The control.
        """
        to_come = bars_left[:, tf.newaxis] > 1
        over = bars_left[:, tf.newaxis] == 1
        is_end = np.arange(len(self._begun)) == END
        refused = (to_come & is_end) | (over & (self._begun > 0))
        is_tonic = (tf.gather(self._pitches, newest) - (key - 1)) % 12 == 0
        strength = tf.where(is_tonic, cadence, -cadence)
        is_last = (key > 0) & (bars_left == 1)
        strength = tf.where(is_last, strength, 0.0)[:, tf.newaxis]
        logits += strength * tf.cast(is_end, tf.float32)
        # A tonic to end on has to come first.
        is_note = self._pitches >= 0
        tonics = is_note & ((self._pitches - (key[:, tf.newaxis] - 1)) % 12 == 0)
        logits += tf.where(is_last[:, tf.newaxis] & tonics, cadence / 2, 0.0)
        return logits + IMPOSSIBLE * tf.cast(refused, tf.float32)
