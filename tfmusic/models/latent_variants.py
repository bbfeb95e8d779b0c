"""Generators of sequences of any length, which `latent_wgan` can have instead.

Wishes of the source of `latent_wgan`: a recurrent generator, one of attention, and one
that does both.
"""

import keras
import tensorflow as tf

from tfmusic.models.latent_networks import LatentSettings


class SequenceGenerator(keras.layers.Layer):
    """Noise to a sequence of any length that says where it ends.

    Every chunk has noise of its own; that of the whole piece stands beside it.

    Attributes:
        num_noises: Vectors of noise for a sequence: one, and one for each chunk.
    """

    has_end = True

    def __init__(self, settings: LatentSettings, latent_size: int, **kwargs):
        """Makes the layers: of GRU, blocks of attention, or both.

        Args:
            settings: See `LatentSettings`.
            latent_size: Numbers that stand for a chunk.
            **kwargs: The base layer's.
        """
        super().__init__(**kwargs)
        units = settings.generator_units
        self.num_noises = 1 + settings.num_chunks
        self.is_attention = settings.generator == "attention"
        self.first = keras.layers.Dense(units[0])
        self.layers = [
            _make_layer(settings.generator, size, settings.num_heads) for size in units
        ]
        self.last = keras.layers.Dense(latent_size + 1, dtype="float32")

    def call(self, noise: tf.Tensor) -> tf.Tensor:
        """Generates.

        Args:
            noise: float32 `[batch, 1 + chunk, noise]`, the piece's first.

        Returns:
            float32 `[batch, chunk, latent + 1]`: the vectors, and last the log odds
            that the piece has not ended before the chunk.
        """
        whole = tf.broadcast_to(noise[:, :1], tf.shape(noise[:, 1:]))
        values = self.first(tf.concat([noise[:, 1:], whole], axis=-1))
        if self.is_attention:
            values += tf.cast(
                _positions(tf.shape(values)[1], values.shape[2]), values.dtype
            )
        for layer in self.layers:
            values = layer(values)
        return self.last(values)


def _make_layer(generator: str, units: int, num_heads: int) -> keras.layers.Layer:
    if generator == "attention":
        return AttentionBlock(units, num_heads)
    recurrent = keras.layers.GRU(units, return_sequences=True)
    if generator == "recurrent":
        return recurrent
    return RecurrentAttention(recurrent, num_heads)


class RecurrentAttention(keras.layers.Layer):
    """A recurrent layer whose outputs look back at those before them.

    What the recurrence has forgotten can so come back. The order of the chunks is in
    what it gives, so they need no positions.
    """

    def __init__(self, recurrent: keras.layers.RNN, num_heads: int, **kwargs):
        super().__init__(**kwargs)
        self.recurrent = recurrent
        self.normalization = keras.layers.LayerNormalization()
        size = max(recurrent.units // num_heads, 1)
        self.attention = keras.layers.MultiHeadAttention(num_heads, size)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`[batch, chunk, k]` to `[batch, chunk, unit]`."""
        outputs = self.recurrent(inputs)
        values = self.normalization(outputs)
        return outputs + self.attention(values, values, use_causal_mask=True)


class AttentionBlock(keras.layers.Layer):
    """Attention to the chunk itself and those before it, then layers for each alone."""

    def __init__(self, units: int, num_heads: int, **kwargs):
        super().__init__(**kwargs)
        self.normalizations = [keras.layers.LayerNormalization() for _ in range(2)]
        self.attention = keras.layers.MultiHeadAttention(
            num_heads, max(units // num_heads, 1)
        )
        self.wide = keras.layers.Dense(4 * units, activation="gelu")
        self.narrow = keras.layers.Dense(units)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`[batch, chunk, unit]` to the same."""
        values = self.normalizations[0](inputs)
        inputs += self.attention(values, values, use_causal_mask=True)
        return inputs + self.narrow(self.wide(self.normalizations[1](inputs)))


def _positions(length: tf.Tensor, size: int) -> tf.Tensor:
    """Sines and cosines of each place, float32 `[length, size]`."""
    half = -(-size // 2)
    rates = tf.exp(tf.linspace(0.0, -9.21, half))  # down to a ten-thousandth
    angles = tf.cast(tf.range(length), tf.float32)[:, None] * rates
    return tf.concat([tf.sin(angles), tf.cos(angles)], axis=-1)[:, :size]
