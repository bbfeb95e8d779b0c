"""Latent WGAN: from noise to chunks of expressive piano music, by way of latents."""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.generation.controls import SPREAD
from tfmusic.models.base import Endpoint, MusicModel, Tensors, step_is_target
from tfmusic.models.latent_autoencoder import make_autoencoder, restore_autoencoder
from tfmusic.models.latent_networks import (
    ConvolutionalGenerator,
    Critic,
    LatentSettings,
)
from tfmusic.models.latent_sequences import (
    CRITIC_NOISE,
    GENERATOR_NOISE,
    MIX,
    SHIFT,
    SequenceForm,
    draw,
)
from tfmusic.models.latent_variants import SequenceGenerator
from tfmusic.models.noise_endpoints import noise_endpoints
from tfmusic.models.wasserstein import (
    copy_optimizer,
    feature_distance,
    gradient_penalty,
    num_replicas,
)
from tfmusic.networks.metrics import FrechetDistance, MeanDistance
from tfmusic.representations import Latents, Representation


class LatentWGAN(MusicModel):
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

    TAKES = Latents
    Settings = LatentSettings
    CONTROLS = (SPREAD,)
    SCORED_BY = "samples"
    LOSS_MEANING = "how far generated latents are from real ones (Frechet distance)"

    def __init__(self, representation: Latents, settings: LatentSettings):
        """Makes the networks; see `LatentSettings`.

        Raises:
            UserError: The latents were not read from a dataset, or the autoencoder
                cannot learn on from this one.
        """
        super().__init__(representation)
        if not representation.network:
            raise UserError(
                "model latent_wgan: expected a dataset of latents; write one with "
                "python -m pipelines.encode_latents"
            )
        if settings.joint and not representation.with_events:
            raise UserError(
                "model.joint: expected a dataset with the events beside their latents; "
                "write one with python -m pipelines.encode_latents --with_events, and "
                "train with --config.representation.with_events"
            )
        self.settings = settings
        self.num_chunks = self.steps_at_once = settings.num_chunks
        self.joint, self.critic_steps = settings.joint, settings.critic_steps
        self._unit = representation.latent_size**-0.5 if settings.unit_chunks else 1.0
        self._moments = settings.moments_coefficient
        self._make_networks()
        self._make_metrics()

    def _make_networks(self) -> None:
        self.generator = self.make_generator()
        self.form = SequenceForm(
            self.representation.latent_size, self.generator.has_end
        )
        self.average = self.generator
        if self.settings.average_decay:
            self.average = self.make_generator()
            self.average.trainable = False
        self.autoencoder = make_autoencoder(self.representation)
        self.autoencoder.trainable = self.joint
        self.critic = Critic(self.settings)

    def _make_metrics(self) -> None:
        names = ["critic_gap", "penalty", "gradient_norm_interpolates"]
        names += ["critic_loss", "generator_loss"]
        names += ["events_real", "events_generated"]
        names += ["reconstruction_loss"] if self.joint else []
        self._means = {name: keras.metrics.Mean(name=name) for name in names}
        self._distance = FrechetDistance(2 * self.form.latent_size, name="loss")
        self._features = MeanDistance(self.critic.num_features, "feature_distance")

    def make_generator(self) -> keras.layers.Layer:
        """A generator with weights of its own."""
        kind = (
            ConvolutionalGenerator
            if self.settings.generator == "convolutional"
            else SequenceGenerator
        )
        return kind(self.settings, self.representation.latent_size)

    @property
    def output_representation(self) -> Representation:
        """The chunks of events that the autoencoder makes of latents."""
        return self.representation.chunks

    @property
    def learns_end(self) -> bool:
        """Whether windows reach beyond the end of pieces."""
        return self.form.has_end

    def output_arrays(self, piece: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The events, or else what the autoencoder makes of the latents."""
        if self.representation.with_events:
            return piece
        decoded = self.decode(self.form.with_end(piece["latents"][None]))
        return {name: values[0].numpy() for name, values in decoded.items()}

    def load_parts(self, data_dir: str) -> None:
        """Takes the autoencoder from the dataset that it made."""
        restore_autoencoder(self.autoencoder, self.representation, data_dir)

    def example_fn(self, features: Tensors, seed: tf.Tensor):
        """A window, the seed of its noise, and which chunks are in the piece."""
        # Latents are left as they were where events are stretched.
        num_steps = features["step"].shape[0] - 1
        if num_steps != self.num_chunks:
            raise UserError(
                f"data.window_steps is {num_steps}, model.num_chunks "
                f"{self.num_chunks}; expected them to be equal"
            )
        names = self.representation.feature_specs
        if self.representation.with_events:
            names = self.output_representation.feature_specs
        window = {name: features[name][1:] for name in names}
        inside = step_is_target(features["step"][1:], features["num_steps"])
        return {**window, "seed": seed}, {}, inside

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
        self._judge(self.form.finish(self.generator(noise)))
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

    # ---- Real and generated sequences, `[batch, chunk, latent (+ alive)]`.

    def real(self, x: Tensors, inside: tf.Tensor) -> tf.Tensor:
        """The sequences of windows.

        Args:
            x: As `example_fn` gives them.
            inside: float32 `[batch, chunk]`, which chunks are in the piece.
        """
        latents = self.latents(x) * inside[..., None]
        if not self.form.has_end:
            return latents
        # Windows that reach a piece's end do so with their last chunk in training;
        # moved on, the end may be anywhere but before the first chunk.
        is_last = 1.0 - inside[:, -1]
        share = draw(x["seed"], SHIFT, [], tf.random.stateless_uniform)
        length = tf.reduce_sum(inside, axis=1)
        shift = tf.cast(is_last * share * length, tf.int32)
        places = tf.minimum(
            tf.range(self.num_chunks) + shift[:, None], self.num_chunks - 1
        )
        sequences = tf.concat([latents, inside[..., None]], axis=-1)
        return tf.gather(sequences, places, batch_dims=1)

    def latents(self, x: Tensors) -> tf.Tensor:
        """The normalised latents of windows, `[batch, chunk, latent]`.

        Where there are events they are of these, which may be varied, and of the
        autoencoder as it is, which may have learned on.

        Args:
            x: Arrays of the representation; of those with events these alone count.
        """
        if not self.representation.with_events:
            return x["latents"]
        size = self.output_representation.max_events
        events = tf.reshape(x["events"], [-1, size, x["events"].shape[-1]])
        num_events = tf.reshape(x["num_events"], [-1])  # [batch * chunk]
        latents = self.autoencoder.encode(events, num_events)
        shape = [-1, self.num_chunks, latents.shape[-1]]
        return self.representation.normalize(tf.reshape(latents, shape))

    def generated(
        self,
        seeds: tf.Tensor,
        purpose: int,
        generator: keras.layers.Layer | None = None,
    ) -> tf.Tensor:
        """What the generator that learns, or another one, makes of examples' seeds."""
        shape = [self.generator.num_noises, self.settings.noise_size]
        noise = draw(seeds, purpose, shape)
        return self.sequences(noise, generator or self.generator)

    def follow(self, num_steps: tf.Tensor) -> None:
        """Moves the average towards the weights; fast while there are few steps.

        Args:
            num_steps: How many training steps there were before the last one.
        """
        if not self.settings.average_decay:
            return
        num_steps = tf.cast(num_steps, tf.float32)
        decay = tf.minimum(self.settings.average_decay, num_steps / (num_steps + 10.0))

        def move(mean, new):
            mean.assign(decay * mean + (1.0 - decay) * new)

        def move_all(strategy):
            for mean, new in zip(
                self.average.weights, self.generator.weights, strict=True
            ):
                strategy.extended.update(mean.value, move, args=(new.value,))

        tf.distribute.get_replica_context().merge_call(move_all)

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
        mix = draw(seeds, MIX, [], tf.random.stateless_uniform)
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
        size = self.form.latent_size
        latents = self.representation.denormalize(sequences[..., :size])
        moments = self.autoencoder.moments(tf.reshape(latents, [-1, size]))
        moments = tf.reshape(moments, [-1, self.num_chunks, moments.shape[-1]])
        if self.form.has_end:
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
        if not self.form.has_end:
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
            used = self.form.alive(sequences) if self.form.has_end else inside
            self._distance.add(name, *self.form.pairs(sequences, used))
            latents = self.representation.denormalize(self.form.latents(sequences))
            flat = tf.reshape(latents, [-1, self.form.latent_size])
            counts = self.autoencoder.decode_sizes(flat)
            self._means[f"events_{name}"].update_state(counts, tf.reshape(used, [-1]))

    # ---- Exports.

    def play(self, noise: tf.Tensor, num_steps: tf.Tensor | None = None) -> Tensors:
        """Music of noise; graph code.

        Args:
            noise: float32 `[piece, vector, noise]`.
            num_steps: int32, how many chunks a piece may have; None: all that the
                generator makes.

        Returns:
            Arrays of `output_representation`, `[piece, chunk, ...]`, and `num_steps`
            `[piece]`.
        """
        return self.decode(self.sequences(noise)[:, :num_steps])

    def sequences(
        self, noise: tf.Tensor, generator: keras.layers.Layer | None = None
    ) -> tf.Tensor:
        """What the generator that plays, or another one, makes of noise.

        Returns:
            `[piece, chunk, latent (+ alive)]`.
        """
        return self.form.finish((generator or self.average)(noise))

    def decode(self, sequences: tf.Tensor) -> Tensors:
        """Music of sequences `[piece, chunk, latent (+ alive)]`, as `play` gives it."""
        latents = self.form.latents(sequences)
        shape = tf.shape(latents)
        flat = tf.reshape(latents, [-1, self.form.latent_size])
        events, num_events = self.autoencoder.decode(
            self.representation.denormalize(flat)
        )
        used = tf.cast(self.form.alive(sequences), tf.int32)
        events_shape = tf.concat([shape[:2], tf.shape(events)[1:]], axis=0)
        return {
            "events": tf.reshape(events, events_shape) * used[..., None, None],
            "num_events": tf.reshape(num_events, shape[:2]) * used,
            "num_steps": tf.maximum(tf.reduce_sum(used, axis=1), 1),
        }

    @property
    def noise_shape(self) -> tuple[int | None, int]:
        """How many vectors of noise a piece takes, and their size.

        None where there is one, and one more for each chunk that it may have.
        """
        return (
            None if self.form.has_end else self.generator.num_noises,
            self.settings.noise_size,
        )

    def noise(
        self, num_outputs: tf.Tensor, num_steps: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """Noise for pieces; that of a piece does not depend on how many there are.

        Args:
            num_outputs: int32, how many pieces.
            num_steps: int32, how many chunks they may have.
            seed: int64.

        Returns:
            float32 `[piece, vector, noise]`.
        """
        numbers = tf.range(tf.cast(num_outputs, tf.int64))
        seeds = tf.stack([tf.fill(tf.shape(numbers), seed), numbers], axis=-1)
        length, size = self.noise_shape
        return draw(seeds, GENERATOR_NOISE, [length or 1 + num_steps, size])

    def endpoints(self) -> Mapping[str, Endpoint]:
        """New pieces and the way from one to another, of seeds or of noise itself."""
        return noise_endpoints(self)
