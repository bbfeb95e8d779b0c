"""The generator of sequences of latent vectors, and the critic that judges them.

The convolutional pair is that of "TimeStepMusic", which took it from DCGAN (Radford,
Metz and Chintala, 2015) to one dimension, time.
"""

import dataclasses
from typing import ClassVar

import keras
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.settings import Settings, setting

_SLOPE = 0.2
_EPSILON = 1e-5
GENERATORS = ("convolutional", "recurrent", "attention", "recurrent_attention")
MATCHINGS = ("pairs", "means")
NORMALIZATIONS = {"none": None, "instance": 1, "layer": -1}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatentSettings(Settings):
    """Generator, critic, and how they learn.

    Attributes:
        num_chunks: Length of the sequences, a power of two.
        generator: "convolutional": sequences of `num_chunks`; "recurrent", "attention"
            or both, "recurrent_attention": of any length, with an end (see
            `latent_variants`).
        noise_size: Numbers of each vector of noise.
        generator_channels: Numbers at each step that the noise becomes first, then
            those of all convolutions but the last.
        generator_units: Sizes of the layers of the other generators; of attention all
            are equal.
        num_heads: Heads of attention.
        chunk_units: Layers for each chunk alone, the last ones of the convolutional
            generator and the first ones of the critic; all of one size.
        local_noise: Whether every chunk has noise of its own, which each layer gets as
            far as it has steps, beside that of the whole sequence. Without it all that
            happens in a sequence has to come from one vector.
        bound: Outputs lie within this, by a hyperbolic tangent; 0: anywhere.
        critic_channels: Of the critic's convolutions, each of which halves the
            sequence.
        feature_size: Channels of the critic's last convolution, whose outputs are the
            features that real and generated sequences can be compared by.
        normalize: In the convolutional generator, see `Normalize`.
        normalize_critic: In the critic.
        pool_all: Whether the sums over time of all other layers' outputs are features
            too, and the score comes from a layer over all features and the sums of the
            inputs: what sequences are like as a whole need not find its way through
            all convolutions then.
        average_decay: What plays, and is validated, is a moving average of the
            generator's weights over about 1 / (1 - average_decay) steps, for those
            circle around what they seek; 0: the weights as they are.
        unit_chunks: Whether the critic sees vectors scaled to a mean square length of
            1. Without, the distances that it estimates grow with the number of latents,
            and its gradient exceeds 1 by distance / (2 * `penalty_coefficient`), where
            gain and penalty balance.
        moments_coefficient: Scales what the critic sees beside the vectors: the sums
            over the events that the autoencoder makes of each, see
            `SetAutoencoder.moments`. Which notes a key has in common is hard to see in
            vectors. 0: vectors alone.
        critic_steps: Steps of the critic for each of the generator.
        critic_rate: Its learning rate, as a multiple of the generator's.
        penalty_coefficient: Weighs the penalty on the critic's gradient.
        matching: How features are compared, see `feature_distance`.
        matching_coefficient: Weighs that in the generator's loss.
        joint: Whether the autoencoder learns on, from the events of the same
            windows: to give them back, and to make latents of them that the critic
            takes for generated ones, which are easier to generate.
        joint_coefficient: Weighs the second against the first.
    """

    SECTION: ClassVar[str] = "model"

    num_chunks: int = setting(64, at_least=2)
    generator: str = setting("convolutional", choices=GENERATORS)
    noise_size: int = setting(64, at_least=1)
    generator_channels: tuple[int, ...] = setting((256, 256, 192, 128, 96), at_least=1)
    generator_units: tuple[int, ...] = setting((256, 256), at_least=1)
    num_heads: int = setting(4, at_least=1)
    chunk_units: tuple[int, ...] = setting((256, 256), at_least=1)
    local_noise: bool = True
    bound: float = setting(0.0, at_least=0.0)
    critic_channels: tuple[int, ...] = setting((96, 128, 192, 256, 256), at_least=1)
    feature_size: int = setting(256, at_least=1)
    normalize: str = setting("layer", choices=tuple(NORMALIZATIONS))
    normalize_critic: str = setting("none", choices=tuple(NORMALIZATIONS))
    pool_all: bool = True
    average_decay: float = setting(0.999, at_least=0.0, below=1.0)
    unit_chunks: bool = True
    moments_coefficient: float = setting(0.3, at_least=0.0)
    critic_steps: int = setting(3, at_least=1)
    critic_rate: float = setting(2.0, above=0.0)
    penalty_coefficient: float = setting(10.0, at_least=0.0)
    matching: str = setting("means", choices=MATCHINGS)
    matching_coefficient: float = setting(0.1, at_least=0.0)
    joint: bool = False
    joint_coefficient: float = setting(0.01, at_least=0.0)

    def __post_init__(self):
        super().__post_init__()
        layers = max(len(self.generator_channels), len(self.critic_channels))
        if self.num_chunks < 2**layers or self.num_chunks & (self.num_chunks - 1):
            raise UserError(
                f"model.num_chunks: expected a power of two of at least {2**layers}, "
                f"for {layers} layers that each double or halve the length, got "
                f"{self.num_chunks}"
            )
        equal = {"chunk_units": self.chunk_units}
        if self.generator == "attention":
            equal["generator_units"] = self.generator_units
        for name, sizes in equal.items():
            if len(set(sizes)) > 1:
                raise UserError(
                    f"model.{name}: expected equal sizes, got "
                    f"{', '.join(map(str, sizes))}"
                )


class Normalize(keras.layers.Layer):
    """Mean 0 and variance 1 within each example: no weights, no statistics of batches.

    "instance": each channel over time (Ulyanov et al., 2016), which leaves no more than
    signs of what is two steps long; "layer": each step over its channels (Ba et al.,
    2016); "none": as it is.
    """

    def __init__(self, kind: str, **kwargs):
        super().__init__(**kwargs)
        self.axis = NORMALIZATIONS[kind]

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

    has_end = False

    def __init__(self, settings: LatentSettings, latent_size: int, **kwargs):
        """Makes the layers.

        Args:
            settings: See `LatentSettings`.
            latent_size: Numbers that stand for a chunk.
            **kwargs: The base layer's.
        """
        super().__init__(**kwargs)
        channels, chunk_units = settings.generator_channels, settings.chunk_units
        self.num_noises = 1 + settings.num_chunks if settings.local_noise else 1
        self.first_steps = settings.num_chunks >> len(channels)
        self.first_channels, self.bound = channels[0], settings.bound
        self.first = keras.layers.Dense(self.first_steps * channels[0])
        sizes = [*channels[1:], chunk_units[0] if chunk_units else latent_size]
        self.convolutions = [
            keras.layers.Conv1DTranspose(
                size, 4, strides=2, padding="same", use_bias=False
            )
            for size in sizes
        ]
        self.normalizations = [
            Normalize(settings.normalize) for _ in (*channels, *chunk_units)
        ]
        steps = [self.first_steps << (i + 1) for i in range(len(sizes))]
        noises = zip(sizes, steps, strict=True) if settings.local_noise else []
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


class Critic(keras.layers.Layer):
    """How real a sequence seems: a number without bounds.

    Attributes:
        num_features: How many features there are.
    """

    def __init__(self, settings: LatentSettings, **kwargs):
        """Makes the layers."""
        super().__init__(**kwargs)
        channels, chunk_units = settings.critic_channels, settings.chunk_units
        feature_size, pool_all = settings.feature_size, settings.pool_all
        self.chunks = [keras.layers.Dense(size) for size in chunk_units]
        self.convolutions = [
            keras.layers.Conv1D(size, 4, strides=2, padding="same", use_bias=False)
            for size in channels
        ]
        self.normalizations = [
            Normalize(settings.normalize_critic) for _ in (*chunk_units, *channels)
        ]
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
