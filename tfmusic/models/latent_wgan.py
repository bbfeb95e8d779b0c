"""Latent WGAN: from noise to chunks of expressive piano music, by way of latents."""

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from tfmusic.errors import UserError, choose
from tfmusic.models.base import Tensors
from tfmusic.models.latent_generator import (
    CRITIC_NOISE,
    GENERATOR_NOISE,
    MIX,
    LatentGenerator,
)
from tfmusic.models.latent_networks import Critic
from tfmusic.models.wasserstein import (
    MATCHINGS,
    copy_optimizer,
    feature_distance,
    gradient_penalty,
    num_replicas,
)
from tfmusic.networks.metrics import FrechetDistance, MeanDistance
from tfmusic.representations import Representation


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

    def __init__(
        self,
        representation: Representation,
        num_chunks: int = 64,
        generator: str = "convolutional",
        noise_size: int = 64,
        generator_channels: Sequence[int] = (256, 256, 192, 128, 96),
        generator_units: Sequence[int] = (256, 256),
        chunk_units: Sequence[int] = (256, 256),
        local_noise: bool = True,
        num_heads: int = 4,
        bound: float = 0.0,
        critic_channels: Sequence[int] = (96, 128, 192, 256, 256),
        feature_size: int = 256,
        normalize: str = "layer",
        normalize_critic: str = "none",
        pool_all: bool = True,
        average_decay: float = 0.999,
        unit_chunks: bool = True,
        moments_coefficient: float = 0.3,
        critic_steps: int = 3,
        critic_rate: float = 2.0,
        penalty_coefficient: float = 10.0,
        matching: str = "means",
        matching_coefficient: float = 0.1,
        joint: bool = False,
        joint_coefficient: float = 0.01,
    ):
        """Makes the networks.

        Args:
            representation: Latents, as a dataset has them.
            num_chunks: Length of the sequences, a power of two.
            generator: "convolutional": sequences of `num_chunks`; "recurrent" or
                "attention": of any length, with an end.
            noise_size: Numbers of each vector of noise.
            generator_channels: See `ConvolutionalGenerator`.
            generator_units: Sizes of the layers of the other generators.
            chunk_units: Layers for each chunk alone, the last ones of the convolutional
                generator and the first ones of the critic.
            local_noise: See `ConvolutionalGenerator`.
            num_heads: Of attention.
            bound: See `ConvolutionalGenerator`.
            critic_channels: See `Critic`.
            feature_size: See `Critic`.
            normalize: In the convolutional generator, see `Normalize`.
            normalize_critic: In the critic.
            pool_all: See `Critic`.
            average_decay: What plays, and is validated, is a moving average of the
                generator's weights over about 1 / (1 - average_decay) steps, for
                those go round about what they seek; 0: the weights as they are.
            unit_chunks: Whether the critic sees vectors scaled to a mean square length
                of 1. Without, the distances that it estimates grow with the number of
                latents, and its gradient exceeds 1 by distance / (2 *
                `penalty_coefficient`), where gain and penalty balance.
            moments_coefficient: Scales what the critic sees beside the vectors: the
                sums over the events that the autoencoder makes of each, see
                `SetAutoencoder.moments`. Which notes a key has in common is hard to
                see in vectors. 0: vectors alone.
            critic_steps: Steps of the critic for each of the generator.
            critic_rate: Its learning rate, as a multiple of the generator's.
            penalty_coefficient: Weighs the penalty on the critic's gradient.
            matching: How features are compared, see `feature_distance`.
            matching_coefficient: Weighs that in the generator's loss.
            joint: Whether the autoencoder learns on, from the events of the same
                windows: to give them back, and to make of them latents that the critic
                takes for generated ones, which are the easier to generate.
            joint_coefficient: Weighs the second against the first.

        Raises:
            UserError: The representation is another, or a setting is impossible.
        """
        layers = max(len(generator_channels), len(critic_channels))
        if num_chunks < 2**layers or num_chunks & (num_chunks - 1):
            raise UserError(
                f"model.num_chunks: expected a power of two of at least {2**layers}, "
                f"for {layers} layers that each double or halve the length, got "
                f"{num_chunks}"
            )
        if critic_steps < 1:
            raise UserError(
                f"model.critic_steps: expected 1 or more, got {critic_steps}"
            )
        super().__init__(
            representation,
            num_chunks,
            generator,
            noise_size,
            generator_channels,
            generator_units,
            chunk_units,
            local_noise,
            num_heads,
            bound,
            normalize,
            average_decay,
        )
        if len(set(chunk_units)) > 1:
            sizes = ", ".join(map(str, chunk_units))
            raise UserError(f"model.chunk_units: expected equal sizes, got {sizes}")
        if joint and not representation.with_events:
            raise UserError(
                "model.joint: expected a dataset with the events beside their latents; "
                "write one with python -m pipelines.encode_latents --with_events, and "
                "train with --config.representation.with_events"
            )
        self.critic_steps, self.joint = critic_steps, joint
        self.critic_rate = critic_rate
        self._coefficients = {
            "penalty": penalty_coefficient,
            "matching": matching_coefficient,
            "joint": joint_coefficient,
        }
        self._unit = representation.latent_size**-0.5 if unit_chunks else 1.0
        self._moments = moments_coefficient
        self._matching = choose("model.matching", matching, MATCHINGS)
        self.critic = Critic(
            chunk_units, critic_channels, feature_size, normalize_critic, pool_all
        )
        self.autoencoder.trainable = joint
        names = ["critic_gap", "penalty", "gradient_norm_interpolates"]
        names += ["critic_loss", "generator_loss"]
        names += ["events_real", "events_generated"]
        names += ["reconstruction_loss"] if joint else []
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
        noise = tf.zeros([1, self.generator.num_noises, self.noise_size])
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
            optimizer, "critic", self.critic_steps, self.critic_rate
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
            "critic_loss": self._coefficients["penalty"] * penalties - gap,
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
        distance = feature_distance(wanted, features, self._matching)
        return self._coefficients["matching"] * distance - tf.reduce_mean(scores)

    def _autoencoder_step(self, x: Tensors, inside: tf.Tensor) -> None:
        variables = self.autoencoder.trainable_variables
        with tf.GradientTape() as tape:
            reconstruction = self._reconstruction(x, inside, training=True)
            scores, _ = self._judge(self.real(x, inside))
            loss = reconstruction + self._coefficients["joint"] * tf.reduce_mean(scores)
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
