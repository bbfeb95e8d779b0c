"""Generators of sequences of latent vectors, and the critic that judges them.

The convolutional pair is that of "TimeStepMusic", which took it from DCGAN (Radford,
Metz and Chintala, 2015) to one dimension, time.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfmusic.errors import choose

_SLOPE = 0.2
_EPSILON = 1e-5
NORMALIZATIONS = {"none": None, "instance": 1, "layer": -1}


class Normalize(keras.layers.Layer):
    """Mean 0 and variance 1 within each example: no weights, no statistics of batches.

    "instance": each channel over time (Ulyanov et al., 2016), which leaves no more than
    signs of what is two steps long; "layer": each step over its channels (Ba et al.,
    2016); "none": as it is.
    """

    def __init__(self, kind: str, **kwargs):
        super().__init__(**kwargs)
        self.axis = NORMALIZATIONS[choose("model.normalize", kind, NORMALIZATIONS)]

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Normalises `[batch, time, channel]`, or `[batch, channel]` over channels."""
        if self.axis is None:
            return inputs
        axis = -1 if inputs.shape.rank == 2 else self.axis
        values = tf.cast(inputs, tf.float32)  # variances in bfloat16 are noise
        values -= tf.reduce_mean(values, axis, keepdims=True)
        variance = tf.reduce_mean(tf.square(values), axis, keepdims=True)
        return tf.cast(values * tf.math.rsqrt(variance + _EPSILON), inputs.dtype)


class ConvolutionalGenerator(keras.layers.Layer):
    """Noise to a sequence of fixed length, which each layer doubles.

    Attributes:
        num_noises: Vectors of noise for a sequence: one, and with `local_noise` one for
            each chunk.
    """

    def __init__(
        self,
        num_chunks: int,
        channels: Sequence[int],
        chunk_units: Sequence[int],
        latent_size: int,
        local_noise: bool,
        normalize: str,
        bound: float,
        **kwargs,
    ):
        """Makes the layers.

        Args:
            num_chunks: The length, a multiple of 2 to the power of `len(channels)`.
            channels: Numbers at each step that the noise becomes first, then those of
                all convolutions but the last.
            chunk_units: Of layers for each chunk alone that follow.
            latent_size: Numbers that stand for a chunk.
            local_noise: Whether every chunk has noise of its own, which each layer gets
                as far as it has steps, and that of the whole sequence besides. Without,
                all that happens in a sequence has to come from one vector.
            normalize: See `Normalize`.
            bound: Outputs lie within this, by a hyperbolic tangent; 0: anywhere.
            **kwargs: The base layer's.
        """
        super().__init__(**kwargs)
        self.num_noises = 1 + num_chunks if local_noise else 1
        self.first_steps = num_chunks >> len(channels)
        self.first_channels, self.bound = channels[0], bound
        self.first = keras.layers.Dense(self.first_steps * channels[0])
        sizes = [*channels[1:], chunk_units[0] if chunk_units else latent_size]
        self.convolutions = [
            keras.layers.Conv1DTranspose(
                size, 4, strides=2, padding="same", use_bias=False
            )
            for size in sizes
        ]
        self.normalizations = [Normalize(normalize) for _ in (*channels, *chunk_units)]
        steps = [self.first_steps << (i + 1) for i in range(len(sizes))]
        noises = zip(sizes, steps, strict=True) if local_noise else []
        self.noises = [Noise(*each) for each in noises]
        self.chunks = [keras.layers.Dense(size) for size in chunk_units[1:]]
        self.last = keras.layers.Dense(latent_size) if chunk_units else None

    def call(self, noise: tf.Tensor) -> tf.Tensor:
        """Generates.

        Args:
            noise: float32 `[batch, num_noises, noise]`, the sequence's first.

        Returns:
            float32 `[batch, chunk, latent]`.
        """
        values = _leaky(self.normalizations[0](self.first(noise[:, 0])))
        shape = [-1, self.first_steps, self.first_channels]
        values = tf.reshape(values, shape)  # [batch, step, channel]
        normalizations = iter(self.normalizations[1:])
        for i, layer in enumerate(self.convolutions):
            values = layer(values)
            if i + 1 == len(self.convolutions) and self.last is None:
                break
            values = next(normalizations)(values)
            if self.noises:
                values += self.noises[i](noise)
            values = _leaky(values)
        for layer in self.chunks:
            values += _leaky(next(normalizations)(layer(values)))
        if self.last is not None:
            values = self.last(values)
        values = tf.cast(values, tf.float32)
        return self.bound * tf.tanh(values / self.bound) if self.bound else values


class Noise(keras.layers.Layer):
    """What the noise of a sequence and that of its chunks add to each step."""

    def __init__(self, size: int, num_steps: int, **kwargs):
        super().__init__(**kwargs)
        self.num_steps = num_steps
        # Chunks of one piece differ more than the means of several pieces.
        small = keras.initializers.VarianceScaling(0.1, "fan_avg", "uniform")
        self.whole = keras.layers.Dense(size, kernel_initializer=small)
        self.local = keras.layers.Dense(size, use_bias=False)

    def call(self, noise: tf.Tensor) -> tf.Tensor:
        """`[batch, 1 + chunk, noise]` to `[batch, num_steps, size]`."""
        per_step = (noise.shape[1] - 1) // self.num_steps
        shape = [-1, self.num_steps, per_step, noise.shape[2]]
        local = tf.reshape(noise[:, 1:], shape)  # [batch, step, chunk, noise]
        local = tf.reduce_sum(local, axis=2) / per_step**0.5  # as wide as before
        return self.whole(noise[:, :1]) + self.local(local)


class SequenceGenerator(keras.layers.Layer):
    """Noise to a sequence of any length that says where it ends.

    Every chunk has noise of its own; that of the whole piece stands beside it.

    Attributes:
        num_noises: Vectors of noise for a sequence: one, and one for each chunk.
    """

    def __init__(
        self,
        kind: str,
        num_chunks: int,
        units: Sequence[int],
        num_heads: int,
        latent_size: int,
        **kwargs,
    ):
        """Makes the layers.

        Args:
            kind: "recurrent": layers of GRU; "attention": blocks in which every chunk
                looks at itself and those before it, as in a decoder (Vaswani et al.,
                2017).
            num_chunks: The length that training asks for.
            units: Sizes of the layers; of blocks all are equal.
            num_heads: Of attention.
            latent_size: Numbers that stand for a chunk.
            **kwargs: The base layer's.
        """
        super().__init__(**kwargs)
        self.num_noises = 1 + num_chunks
        self.first = keras.layers.Dense(units[0])
        if kind == "recurrent":
            self.layers = [
                keras.layers.GRU(size, return_sequences=True) for size in units
            ]
        else:
            self.layers = [AttentionBlock(units[0], num_heads) for _ in units]
        self.is_attention = kind == "attention"
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


class Critic(keras.layers.Layer):
    """How real a sequence seems: a number without bounds.

    Attributes:
        num_features: How many features there are.
    """

    def __init__(
        self,
        chunk_units: Sequence[int],
        channels: Sequence[int],
        feature_size: int,
        normalize: str,
        pool_all: bool,
        **kwargs,
    ):
        """Makes the layers.

        Args:
            chunk_units: Of layers that see each chunk alone, first.
            channels: Of the convolutions, each of which halves the sequence.
            feature_size: Channels of the last one, whose outputs are the features that
                real and generated sequences can be compared by.
            normalize: See `Normalize`.
            pool_all: Whether the sums over time of all other layers' outputs are
                features too, and the score comes from a layer over all features and
                the sums of the inputs: what sequences are like in their whole, and how
                much they differ in it, need not find its way through all convolutions
                then.
            **kwargs: The base layer's.
        """
        super().__init__(**kwargs)
        self.pool_all = pool_all
        self.chunks = [keras.layers.Dense(size) for size in chunk_units]
        self.convolutions = [
            keras.layers.Conv1D(size, 4, strides=2, padding="same", use_bias=False)
            for size in channels
        ]
        self.normalizations = [Normalize(normalize) for _ in (*chunk_units, *channels)]
        self.features = keras.layers.Conv1D(
            feature_size, 4, strides=2, padding="same", use_bias=False
        )
        self.whole = keras.layers.Dense(feature_size) if pool_all else None
        pooled = sum([*chunk_units, *channels]) if pool_all else 0
        self.num_features = pooled + feature_size
        self.score = keras.layers.Dense(1, dtype="float32")

    def call(self, sequences: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Judges.

        Args:
            sequences: float32 `[batch, chunk, channel]`.

        Returns:
            Scores, float32 `[batch]`, and features, float32 `[batch, feature]`.
        """
        values, pooled = sequences, []
        for layer, normalize in zip(
            [*self.chunks, *self.convolutions], self.normalizations, strict=True
        ):
            values = _leaky(normalize(layer(values)))
            pooled.append(_pool(values))
        features = _pool(_leaky(self.features(values)))
        if self.whole is None:
            return self.score(features)[:, 0], features
        features = tf.concat([*pooled, features], axis=-1)
        whole = self.whole(tf.concat([_pool(sequences), features], axis=-1))
        return self.score(_leaky(whole))[:, 0], features


def _pool(values: tf.Tensor) -> tf.Tensor:
    """Sums over time, so scaled that independent steps give the spread of one."""
    # One step is left of the published 64 chunks.
    total = tf.reduce_sum(tf.cast(values, tf.float32), axis=1)
    return total / values.shape[1] ** 0.5


def _leaky(values: tf.Tensor) -> tf.Tensor:
    return tf.nn.leaky_relu(values, _SLOPE)


def _positions(length: tf.Tensor, size: int) -> tf.Tensor:
    """Sines and cosines of each place, float32 `[length, size]`."""
    half = -(-size // 2)
    rates = tf.exp(tf.linspace(0.0, -9.21, half))  # down to a ten-thousandth
    angles = tf.cast(tf.range(length), tf.float32)[:, None] * rates
    return tf.concat([tf.sin(angles), tf.cos(angles)], axis=-1)[:, :size]
