"""What models know of the key that a piece comes home to."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfmusic.generation import seeds
from tfmusic.representations.home_key import NUM_KEYS

_SIZE = 16
# So that the draw is not that of another number.
_SEED = 11


class HomeKey(keras.layers.Layer):
    """A learned vector for each key, and the choice of one for a new piece.

    Attributes:
        counts: How common each key is, from C major to B minor, `[24]`.
    """

    def __init__(self, counts: Sequence[int], learns_all: bool = False, **kwargs):
        """Makes the layer.

        Args:
            counts: As `counts`, or nothing.
            learns_all: Whether training pieces are moved to all keys.
            **kwargs: The base layer's.
        """
        super().__init__(**kwargs)
        self._learns_all = learns_all
        self.counts = np.array(counts or [1] * NUM_KEYS, np.float32)
        if not self.counts.any():
            self.counts += 1.0
        self.keys = keras.layers.Embedding(
            NUM_KEYS + 1,
            _SIZE,
            keras.initializers.RandomNormal(stddev=1.0),
            name="keys",
        )

    def call(self, home_key: tf.Tensor) -> tf.Tensor:
        """Encodes numbers of keys, int32 `[...]`, as `[..., 16]`."""
        return self.keys(tf.clip_by_value(home_key, 0, NUM_KEYS))

    def choose(
        self, batch_size: tf.Tensor, wanted: tf.Tensor, seed: tf.Tensor | None
    ) -> tf.Tensor:
        """The keys of new pieces, int32 `[batch]`.

        Args:
            batch_size: How many pieces.
            wanted: The value of `HOME_KEY` or `KEY_NUMBER`.
            seed: Of the draw, int64 `[]` or `[row, 2]`, see `seeds`; None: the
                commonest key.
        """
        number = tf.cast(tf.round(wanted), tf.int32)
        chosen = tf.fill([batch_size], self.learned(number))
        if seed is None:
            drawn = tf.fill([batch_size], 1 + int(self.counts.argmax()))
        else:
            odds = tf.math.log(tf.constant(self.counts))[tf.newaxis]

            def sample(num_rows: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
                return tf.random.stateless_categorical(odds, num_rows, seed, tf.int32)[
                    0
                ]

            seed = seeds.numbered(seed, _SEED)
            drawn = 1 + seeds.draw(sample, batch_size, seed, tf.int32)
        return tf.where(number > 0, chosen, drawn)

    def learned(self, number: tf.Tensor) -> tf.Tensor:
        """Keys that the model has learned, for int32 numbers of any; 0 stays."""
        modes = self.counts.reshape(2, -1)
        commonest = 1 + 12 * np.arange(2) + modes.argmax(axis=1)
        learned = np.where(
            self._learns_all | (self.counts > 0),
            1 + np.arange(NUM_KEYS),
            commonest.repeat(12),
        )
        numbers = tf.constant(np.append(0, learned), tf.int32)
        return tf.gather(numbers, tf.clip_by_value(number, 0, NUM_KEYS))
