"""Layers of networks over sets."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.models.wasserstein import mean_over_replicas


class Perceptron(keras.layers.Layer):
    """Hidden layers, and a linear one."""

    def __init__(
        self,
        units: Sequence[int],
        output_size: int,
        activation: str,
        normalize: bool = False,
        residual: bool = False,
        dtype=None,
        **kwargs,
    ):
        """Makes the layers.

        Args:
            units: Sizes of the hidden layers.
            output_size: Of the linear layer.
            activation: Of the hidden layers, a name that Keras knows.
            normalize: Whether hidden layers are normalised before their activation.
            residual: Whether a hidden layer adds to what it gets, if that has its size.
            dtype: Of the linear layer alone.
            **kwargs: The base layer's.

        Raises:
            UserError: An unknown activation.
        """
        super().__init__(**kwargs)
        self.residual = residual
        self.hidden = [keras.layers.Dense(size) for size in units]
        self.norms = [
            keras.layers.LayerNormalization(epsilon=1e-5) for _ in units if normalize
        ]
        try:
            self.activation = keras.activations.get(activation)
        except ValueError as error:
            raise UserError(f"model.activation: {error}") from error
        self.linear = keras.layers.Dense(output_size, dtype=dtype)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`[..., output_size]` of `[..., size]`."""
        values = inputs
        for i, layer in enumerate(self.hidden):
            outputs = layer(values)
            if self.norms:
                outputs = self.norms[i](outputs)
            outputs = self.activation(outputs)
            adds = self.residual and values.shape[-1] == outputs.shape[-1]
            values = values + outputs if adds else outputs
        return self.linear(values)


class SlotKeys(keras.layers.Layer):
    """A vector for each place in a set."""

    def __init__(
        self,
        max_size: int,
        by_size: bool,
        normalize: bool,
        perceptron: Perceptron,
        **kwargs,
    ):
        """Keeps what makes the vectors.

        Args:
            max_size: The largest set's.
            by_size: Whether the same place has other vectors in sets of other sizes.
            normalize: Whether the mean square of each vector is 1. They are small at
                first otherwise, and as they only multiply, so is all that is learned.
            perceptron: What turns the place (and size), one-hot, into a vector.
            **kwargs: The base layer's.
        """
        super().__init__(**kwargs)
        self.max_size, self.by_size, self.normalize = max_size, by_size, normalize
        self.perceptron = perceptron

    def call(self, places: tf.Tensor, sizes: tf.Tensor) -> tf.Tensor:
        """Vectors `[rows, size]` of places and sizes of their sets, int32 `[rows]`."""
        one_hot = tf.eye(self.max_size, dtype=self.compute_dtype)
        if not self.by_size:
            return tf.gather(self._vectors(one_hot), places)
        # All pairs, and then a choice of them: there are fewer pairs than rows.
        pairs = tf.concat(
            [
                tf.repeat(one_hot, self.max_size, axis=0),
                tf.tile(one_hot, [self.max_size, 1]),
            ],
            axis=-1,
        )
        rows = (sizes - 1) * self.max_size + places
        return tf.gather(self._vectors(pairs), rows)

    def _vectors(self, one_hot: tf.Tensor) -> tf.Tensor:
        vectors = self.perceptron(one_hot)
        if self.normalize:
            square = tf.reduce_mean(tf.square(vectors), axis=-1, keepdims=True)
            vectors *= tf.math.rsqrt(square + 1e-6)
        return vectors


def noise_like(
    latents: tf.Tensor, seeds: tf.Tensor, num_chunks: tf.Tensor
) -> tf.Tensor:
    """Noise that is spread as latent vectors are, each number by itself.

    Args:
        latents: float32 `[batch * chunk, latent]`.
        seeds: int32 `[batch, 2]`, of each example.
        num_chunks: Of an example.
    """
    size = latents.shape[-1]
    noise = tf.map_fn(
        lambda seed: tf.random.stateless_normal([num_chunks, size], seed),
        seeds,
        fn_output_signature=tf.TensorSpec([None, size], tf.float32),
    )
    means = mean_over_replicas(tf.reduce_mean(latents, axis=0))
    squares = mean_over_replicas(tf.reduce_mean(tf.square(latents), axis=0))
    deviations = tf.sqrt(tf.maximum(squares - tf.square(means), 1e-12))
    return deviations * tf.reshape(noise, tf.shape(latents))
