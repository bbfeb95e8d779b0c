"""A Wasserstein GAN of plain Keras layers, to measure `LatentWGAN` against."""

import time

import keras
import ml_collections
import numpy as np
import tensorflow as tf

from tfmusic.config import load_config
from tfmusic.models import make_model
from tfmusic.models.latent_sequences import CRITIC_NOISE, GENERATOR_NOISE, MIX, draw
from tfmusic.models.latent_wgan import LatentWGAN
from tfmusic.representations import make_representation

DURATIONS = (1.2, 95.0)


class PlainWGAN(keras.Model):
    """The published networks and steps, written as Keras' own example of a WGAN is.

    Noise comes with the batch, so that losses can be compared.
    """

    def __init__(self, config: ml_collections.ConfigDict, latent_size: int):
        super().__init__()
        self.config = config
        layers = keras.layers
        channels = config.generator_channels
        steps = config.num_chunks >> len(channels)
        self.generator = keras.Sequential(
            [
                layers.Dense(steps * channels[0]),
                layers.LayerNormalization(center=False, scale=False, epsilon=1e-5),
                layers.LeakyReLU(0.2),
                layers.Reshape([steps, channels[0]]),
            ]
        )
        for size in channels[1:]:
            self.generator.add(self._convolution(layers.Conv1DTranspose, size))
            self._activate(self.generator)
        self.generator.add(self._convolution(layers.Conv1DTranspose, latent_size))
        bound = config.bound
        self.generator.add(layers.Lambda(lambda x: bound * tf.tanh(x / bound)))
        self.critic = keras.Sequential()
        for size in config.critic_channels:
            self.critic.add(self._convolution(layers.Conv1D, size))
            self._activate(self.critic)
        self.critic.add(self._convolution(layers.Conv1D, config.feature_size))
        self.critic.add(layers.LeakyReLU(0.2))
        self.critic.add(layers.Flatten())
        self.score = layers.Dense(1)
        self.loss_mean = keras.metrics.Mean(name="critic_loss")

    @staticmethod
    def _convolution(kind, size):
        return kind(size, 4, strides=2, padding="same", use_bias=False)

    @staticmethod
    def _activate(network):
        network.add(
            keras.layers.GroupNormalization(-1, center=False, scale=False, epsilon=1e-5)
        )
        network.add(keras.layers.LeakyReLU(0.2))

    def start(self, rate: float) -> None:
        """Makes weights and optimizers."""
        generated = self.generator(tf.zeros([1, self.config.noise_size]))
        self.score(self.critic(generated))
        self.critic_optimizer = keras.optimizers.Adam(rate)
        self.compile(optimizer=keras.optimizers.Adam(rate), jit_compile=False)

    def train_step(self, data):
        """Steps of the critic, then one of the generator."""
        ((real, noise, other_noise, mix),) = data
        number = self.config.critic_steps
        for i in range(number):
            losses = self.critic_step(real[i::number], noise[i::number], mix[i::number])
            self.loss_mean.update_state(losses)
        variables = self.generator.trainable_variables
        with tf.GradientTape() as tape:
            features = self.critic(self.generator(other_noise[i::number]))
            wanted = self.critic(real[i::number])
            distance = tf.reduce_mean(tf.square(features - wanted))
            loss = self.config.matching_coefficient * distance
            loss -= tf.reduce_mean(self.score(features))
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {"critic_loss": self.loss_mean.result()}

    def critic_step(self, real, noise, mix):
        """One step on a batch; its loss."""
        variables = [
            *self.critic.trainable_variables,
            *self.score.trainable_variables,
        ]
        with tf.GradientTape() as tape:
            loss = self.critic_loss(real, noise, mix)
        gradients = tape.gradient(loss, variables)
        self.critic_optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    def critic_loss(self, real, noise, mix):
        """The loss of a batch."""
        generated = self.generator(noise)
        scores = self.score(self.critic(real))
        others = self.score(self.critic(generated))
        mix = mix[:, None, None]
        points = real + mix * (generated - real)
        with tf.GradientTape() as inner:
            inner.watch(points)
            between = self.score(self.critic(points))
        slopes = inner.gradient(between, points)
        norms = tf.sqrt(tf.reduce_sum(tf.square(slopes), [1, 2]) + 1e-12)
        penalty = tf.reduce_mean(tf.square(norms - 1.0))
        loss = tf.reduce_mean(others) - tf.reduce_mean(scores)
        return loss + self.config.penalty_coefficient * penalty

    @property
    def metrics(self):
        """The critic's loss alone."""
        return [self.loss_mean]


def make_wgan(config: ml_collections.ConfigDict) -> LatentWGAN:
    """The config's, ready to train."""
    size = config.representation.latent_size
    chunks = {**config.representation.chunks, "duration_lognormal": DURATIONS}
    network = load_config("configs/set_autoencoder.py:reference").model
    representation = make_representation(
        {
            "name": "latents",
            "chunks": chunks,
            "latent_size": size,
            "network": dict(network),
            "means": (0.0,) * size,
            "deviations": (1.0,) * size,
        }
    )
    keras.utils.set_random_seed(0)
    model = make_model(representation, config.model)
    model.build_model()
    model.compile_for_training(keras.optimizers.Adam(config.optimizer.learning_rate))
    return model


def make_pair(config: ml_collections.ConfigDict):
    """Ours and the plain one with equal weights, and equal batches for both.

    Returns:
        Ours, its batch, a function that makes a plain one, and the batch for that.
    """
    ours = make_wgan(config)
    size, number = config.representation.latent_size, config.train.batch_size
    random = np.random.default_rng(0)
    shape = [number, config.model.num_chunks, size]
    real = tf.constant(random.normal(size=shape), tf.float32)
    seeds = tf.constant([[0, i] for i in range(number)], tf.int32)
    noises = [
        draw(seeds, purpose, [1, config.model.noise_size])[:, 0]
        for purpose in (CRITIC_NOISE, GENERATOR_NOISE)
    ]
    mix = draw(seeds, MIX, [], tf.random.stateless_uniform)
    weights = ours.generator.get_weights(), ours.critic.get_weights()

    def make_plain() -> PlainWGAN:
        plain = PlainWGAN(config.model, size)
        plain.start(config.optimizer.learning_rate)
        plain.generator.set_weights(weights[0])
        plain.critic.set_weights(weights[1][:-2])
        plain.score.set_weights(weights[1][-2:])
        return plain

    batch = ({"latents": real, "seed": seeds}, {}, tf.ones(shape[:2]))
    return ours, batch, make_plain, (real, *noises, mix)


def measure_wgan(
    num_steps: int, num_slow_steps: int, num_turns: int = 3, torch=None
) -> dict[str, float]:
    """As `measure_autoencoder`: the WGAN of the published sizes, in turns."""
    config = load_config("configs/latent_wgan.py:reference")
    ours, batch, make_plain, plain_batch = make_pair(config)
    eager, compiled = make_plain(), make_plain()
    eager.run_eagerly = True
    runs = {
        "tfmusic": (ours, batch, num_steps),
        "compiled": (compiled, (plain_batch,), num_steps),
        "eager": (eager, (plain_batch,), num_slow_steps),
    }
    if not num_slow_steps:
        del runs["eager"]

    def fit(model, data, num_steps):
        batches = tf.data.Dataset.from_tensors(data).repeat(num_steps)
        start = time.perf_counter()
        model.fit(batches, verbose=0, shuffle=False)
        return (time.perf_counter() - start) / num_steps

    real, noise, _, mix = plain_batch
    losses = [
        float(tf.reduce_mean(ours.critic_losses(batch[0], batch[2]))),
        float(compiled.critic_loss(real, noise, mix)),
    ]
    if not np.allclose(losses, losses[0], rtol=1e-3):
        raise AssertionError(f"the losses differ: {losses}")
    for model, data, _ in runs.values():
        fit(model, data, 1)  # traces
    # The best of many short turns is that of a quiet moment.
    calls = {name: lambda run=run: fit(*run) for name, run in runs.items()}
    if torch:
        calls["PyTorch"] = lambda: torch.seconds(num_steps)[0] / num_steps
    times = [[call() for call in calls.values()] for _ in range(num_turns)]
    seconds = dict(zip(calls, np.min(times, axis=0), strict=True))
    print(f"{'WGAN, 5 critic steps and 1 of the generator':40}{'steps/s':>10}")
    for name, value in seconds.items():
        print(f"  {name:38}{1 / value:10.2f}")
    parts = compiled.generator, compiled.critic, compiled.score
    print(f"  ({sum(part.count_params() for part in parts):,} parameters)")
    return {name: value / seconds["tfmusic"] for name, value in seconds.items()}
