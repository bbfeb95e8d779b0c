"""Latent WGAN: from noise to chunks of expressive piano music, by way of latents."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.models.base import Tensors
from tfmusic.models.latent_generator import (
    CRITIC_NOISE,
    GENERATOR_NOISE,
    MIX,
    LatentGenerator,
)
from tfmusic.models.latent_networks import Critic, LatentSettings
from tfmusic.models.wasserstein import (
    copy_optimizer,
    feature_distance,
    gradient_penalty,
    num_replicas,
)
from tfmusic.networks.metrics import FrechetDistance, MeanDistance
from tfmusic.representations import Latents


class LatentWGAN(LatentGenerator):
    """A generator of sequences of latent vectors and a critic that teaches it.

    Real sequences are windows of a dataset of `Latents`. The critic learns to score
    them above generated ones, with a penalty that keeps its gradient near 1; the gap
    between the scores then estimates a Wasserstein distance, and the generator learns
    to lower it (Gulrajani et al., 2017). The autoencoder whose latents they are is
    part of the model, so that its endpoints give events.

    A training batch holds `critic_steps` batches: each of the critic's steps has one of
    its own. All noise comes from the examples' seeds, so a run depends neither on how
    often it was stopped nor on how many devices share it.

    Validation goes by `loss`, the Frechet distance between pairs of real and generated
    consecutive chunks: the critic's own scores cannot be compared between epochs.
    It falls while the generator comes to give chunks and transitions of the right mean
    and covariance; that music is good it does not tell.
    """

    SCORED_BY = "samples"

    def __init__(self, representation: Latents, settings: LatentSettings):
        """Makes the networks; see `LatentSettings`.

        Raises:
            UserError: The autoencoder cannot go on learning from this dataset.
        """
        super().__init__(representation, settings)
        if settings.joint and not representation.with_events:
            raise UserError(
                "model.joint: expected a dataset with the events beside their latents; "
                "write one with python -m pipelines.encode_latents --with_events, and "
                "train with --config.representation.with_events"
            )
        self.joint, self.critic_steps = settings.joint, settings.critic_steps
        self._unit = representation.latent_size**-0.5 if settings.unit_chunks else 1.0
        self._moments = settings.moments_coefficient
        self.critic = Critic(settings)
        self.autoencoder.trainable = self.joint
        names = ["critic_gap", "penalty", "gradient_norm_interpolates"]
        names += ["critic_loss", "generator_loss"]
        names += ["events_real", "events_generated"]
        names += ["reconstruction_loss"] if self.joint else []
        self._means = {name: keras.metrics.Mean(name=name) for name in names}
        self._distance = FrechetDistance(2 * representation.latent_size, name="loss")
        self._features = MeanDistance(self.critic.num_features, "feature_distance")

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """What training and validation show."""
        return [self._distance, self._features, *self._means.values()]

    @property
    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """The generator's, the critic's and, if that learns, the autoencoder's."""
        found = [self.optimizer, self.critic_optimizer]
        return [*found, self.autoencoder_optimizer] if self.joint else found

    def build_model(self) -> None:
        """Makes all weights."""
        noise = tf.zeros([1, self.generator.num_noises, self.settings.noise_size])
        self._judge(self.finish(self.generator(noise)))
        self.average(noise)
        self.built = True

    def compile_for_training(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Compiles with an optimizer for each network, all with the same settings."""
        optimizer = keras.optimizers.get(optimizer)
        # No XLA: it has no kernels for recurrent layers, and convolutions gain nothing.
        self.compile(
            optimizer=copy_optimizer(optimizer, "generator"), jit_compile=False
        )
        # In its own steps a schedule would run ahead.
        self.critic_optimizer = copy_optimizer(
            optimizer, "critic", self.critic_steps, self.settings.critic_rate
        )
        self.optimizer.build(self.generator.trainable_variables)
        self.critic_optimizer.build(self.critic.trainable_variables)
        if self.joint:
            self.autoencoder_optimizer = copy_optimizer(optimizer, "autoencoder")
            self.autoencoder_optimizer.build(self.autoencoder.trainable_variables)

    # ---- Training.

    def train_step(self, data) -> Mapping[str, tf.Tensor]:
        """Steps of the critic, each on its own examples, then one of the generator."""
        x, _, inside = keras.utils.unpack_x_y_sample_weight(data)
        num_rows = inside.shape[0]
        if num_rows is not None and num_rows % self.critic_steps:
            raise UserError(
                f"config.train.batch_size: expected a multiple of "
                f"{self.critic_steps} examples on each device, a batch for each of "
                f"model.critic_steps, got {num_rows}"
            )
        for i in range(self.critic_steps):
            # Every so many, so that devices together take what one device would.
            part = tf.nest.map_structure(
                lambda rows, i=i: rows[i :: self.critic_steps], (x, inside)
            )
            self.critic_step(*part)
        self._generator_step(*part)
        if self.joint:
            self._autoencoder_step(*part)
        return self.get_metrics_result()

    def critic_losses(self, x: Tensors, inside: tf.Tensor) -> tf.Tensor:
        """What the critic learns from, float32 `[batch]`."""
        real, generated = (
            self.seen(self.real(x, inside)),
            self.seen(self.generated(x["seed"], CRITIC_NOISE)),
        )
        return self._critic_values(x["seed"], real, generated)["critic_loss"]

    def critic_step(self, x: Tensors, inside: tf.Tensor) -> None:
        """One step of the critic on a batch."""
        real = tf.stop_gradient(self.seen(self.real(x, inside)))
        generated = self.seen(self.generated(x["seed"], CRITIC_NOISE))
        generated = tf.stop_gradient(generated)
        variables = self.critic.trainable_variables
        with tf.GradientTape() as tape:
            values = self._critic_values(x["seed"], real, generated)
            loss = tf.reduce_mean(values["critic_loss"]) / num_replicas()
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        self.critic_optimizer.apply(gradients, variables)
        for name, value in values.items():
            self._means[name].update_state(value)

    def _critic_values(self, seeds, real, generated) -> Tensors:
        """The critic's loss and its parts, float32 `[batch]`, of what is seen."""
        both, _ = self.critic(tf.concat([real, generated], axis=0))
        scores, others = tf.split(both, 2)
        mix = self.draw(seeds, MIX, [], tf.random.stateless_uniform)
        penalties, norms = gradient_penalty(
            lambda points: self.critic(points)[0], real, generated, mix
        )
        gap = scores - others
        return {
            "critic_gap": gap,
            "penalty": penalties,
            "gradient_norm_interpolates": norms,
            "critic_loss": self.settings.penalty_coefficient * penalties - gap,
        }

    def _judge(self, sequences: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Scores and features; see `Critic`."""
        return self.critic(self.seen(sequences))

    def seen(self, sequences: tf.Tensor) -> tf.Tensor:
        """What the critic sees of sequences, float32 `[batch, chunk, channel]`."""
        values = self._unit * sequences
        if not self._moments:
            return values
        size = self.representation.latent_size
        latents = self.representation.denormalize(sequences[..., :size])
        moments = self.autoencoder.moments(tf.reshape(latents, [-1, size]))
        moments = tf.reshape(moments, [-1, self.num_chunks, moments.shape[-1]])
        if self.has_end:
            moments *= sequences[..., size:]
        return tf.concat([values, self._moments * moments], axis=-1)

    def _generator_step(self, x: Tensors, inside: tf.Tensor) -> None:
        real = tf.stop_gradient(self.real(x, inside))
        variables = self.generator.trainable_variables
        _, wanted = self._judge(real)
        with tf.GradientTape() as tape:
            generated = self.generated(x["seed"], GENERATOR_NOISE)
            loss = self._generator_loss(wanted, generated)
            scaled = loss / num_replicas()
        gradients = tape.gradient(scaled, [variable.value for variable in variables])
        self.optimizer.apply(gradients, variables)
        self.follow(self.optimizer.iterations.value - 1)
        self._means["generator_loss"].update_state(loss)
        self._compare(real, generated, inside)

    def _generator_loss(self, wanted: tf.Tensor, generated: tf.Tensor) -> tf.Tensor:
        """What the generator learns from; `wanted` are features of real sequences."""
        scores, features = self._judge(generated)
        self._features.update_state(wanted, features)
        distance = feature_distance(wanted, features, self.settings.matching)
        return self.settings.matching_coefficient * distance - tf.reduce_mean(scores)

    def _autoencoder_step(self, x: Tensors, inside: tf.Tensor) -> None:
        variables = self.autoencoder.trainable_variables
        with tf.GradientTape() as tape:
            reconstruction = self._reconstruction(x, inside, training=True)
            scores, _ = self._judge(self.real(x, inside))
            loss = reconstruction + self.settings.joint_coefficient * tf.reduce_mean(
                scores
            )
            loss /= num_replicas()
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        self.autoencoder_optimizer.apply(gradients, variables)
        self._means["reconstruction_loss"].update_state(reconstruction)

    def _reconstruction(
        self, x: Tensors, inside: tf.Tensor, training: bool
    ) -> tf.Tensor:
        """The autoencoder's own loss, the mean over this device's windows."""
        names = [*self.output_representation.feature_specs, "seed"]
        chunks = {name: x[name] for name in names}
        losses = self.autoencoder(chunks, training=training)
        loss = self.autoencoder.compute_loss(chunks, None, losses, inside)
        return loss * num_replicas()  # by which that one is divided

    def test_step(self, data) -> Mapping[str, tf.Tensor]:
        """Compares windows with as many generated ones, whole windows alone.

        The generator's loss is then the critic's part of it alone.
        """
        x, _, inside = keras.utils.unpack_x_y_sample_weight(data)
        real = self.real(x, inside)
        generated = self.generated(x["seed"], CRITIC_NOISE, self.average)
        is_whole = tf.ones_like(inside[:, 0])
        if not self.has_end:
            is_whole = tf.reduce_min(inside, axis=1)
        seen = self.seen(real), self.seen(generated)
        for name, value in self._critic_values(x["seed"], *seen).items():
            self._means[name].update_state(value, is_whole)
        (_, wanted), (scores, features) = map(self.critic, seen)
        self._features.update_state(wanted, features, is_whole)
        self._means["generator_loss"].update_state(-scores, is_whole)
        if self.joint:
            mean = self._means["reconstruction_loss"]
            mean.update_state(
                self._reconstruction(x, inside, training=False),
                tf.cast(tf.shape(inside)[0], tf.float32),
            )
        self._compare(real, generated, inside * is_whole[:, None])
        return self.get_metrics_result()

    def _compare(self, real, generated, inside) -> None:
        """Adds to the distance between both, and counts the events of both."""
        for name, sequences in (("real", real), ("generated", generated)):
            used = self.alive(sequences) if self.has_end else inside
            self._distance.add(name, *self.pairs(sequences, used))
            size = self.representation.latent_size
            latents = self.representation.denormalize(sequences[..., :size])
            counts = self.autoencoder.decode_sizes(tf.reshape(latents, [-1, size]))
            self._means[f"events_{name}"].update_state(counts, tf.reshape(used, [-1]))
