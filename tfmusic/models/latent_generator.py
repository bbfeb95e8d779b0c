"""From noise to sequences of latents, and by their autoencoder to music."""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.generation.controls import SPREAD
from tfmusic.models.base import (
    Endpoint,
    MusicModel,
    Tensors,
    step_is_target,
)
from tfmusic.models.latent_autoencoder import make_autoencoder, restore_autoencoder
from tfmusic.models.latent_networks import ConvolutionalGenerator, LatentSettings
from tfmusic.models.latent_variants import SequenceGenerator
from tfmusic.models.noise_endpoints import noise_endpoints
from tfmusic.networks.metrics import FrechetDistance
from tfmusic.representations import Latents, Representation

# What the seed of an example, or of a piece, is for.
CRITIC_NOISE, GENERATOR_NOISE, MIX, SHIFT = range(4)


class LatentGenerator(MusicModel):
    """A generator of sequences of latent vectors, and the autoencoder that plays them.

    Sequences are float32 `[batch, chunk, latent]`, normalised as in datasets of
    `Latents`. Those that have an end have a number more for each chunk: 1 as long as
    the piece goes on, then 0.

    Attributes:
        num_chunks: Length of the sequences of training.
        has_end: Whether they have an end.
        generator: The network that learns.
        average: What plays: a moving average of that one's weights, or itself.
        autoencoder: Gives the events.
    """

    TAKES = Latents
    Settings = LatentSettings
    CONTROLS = (SPREAD,)

    def __init__(self, representation: Latents, settings: LatentSettings):
        """Makes the networks.

        Raises:
            UserError: The latents were not read from a dataset.
        """
        super().__init__(representation)
        if not representation.network:
            raise UserError(
                "model latent_wgan: expected a dataset of latents; write one with "
                "python -m pipelines.encode_latents"
            )
        self.settings = settings
        self.num_chunks = settings.num_chunks
        self.generator = self.make_generator()
        self.has_end = self.generator.has_end
        self.average = self.generator
        if settings.average_decay:
            self.average = self.make_generator()
            self.average.trainable = False
        self.autoencoder = make_autoencoder(representation)

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
        return self.has_end

    def output_arrays(self, piece: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The events, or else what the autoencoder makes of the latents."""
        if self.representation.with_events:
            return piece
        decoded = self.decode(self.with_end(piece["latents"][None]))
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

    # ---- Real and generated sequences, `[batch, chunk, latent (+ alive)]`.

    def real(self, x: Tensors, inside: tf.Tensor) -> tf.Tensor:
        """The sequences of windows.

        Args:
            x: As `example_fn` gives them.
            inside: float32 `[batch, chunk]`, which chunks are in the piece.
        """
        latents = self.latents(x) * inside[..., None]
        if not self.has_end:
            return latents
        # Windows that reach a piece's end do so with their last chunk in training;
        # moved on, the end may be anywhere but before the first chunk.
        is_last = 1.0 - inside[:, -1]
        share = self.draw(x["seed"], SHIFT, [], tf.random.stateless_uniform)
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
        noise = self.draw(seeds, purpose, shape)
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

    def finish(self, values: tf.Tensor) -> tf.Tensor:
        """Lets what a generator gives end where it says."""
        if not self.has_end:
            return values
        # Once ended, a piece does not begin again. At first hardly any piece ends.
        logs = tf.math.log_sigmoid(values[..., -1:] + 6.0)
        alive = tf.exp(tf.cumsum(logs, axis=1))
        return tf.concat([values[..., :-1] * alive, alive], axis=-1)

    def alive(self, sequences: tf.Tensor) -> tf.Tensor:
        """Which chunks there are, 0 or 1, float32 `[batch, chunk]`."""
        if self.has_end:
            return tf.cast(sequences[..., -1] > 0.5, tf.float32)
        return tf.ones_like(sequences[..., 0])

    @staticmethod
    def draw(
        seeds: tf.Tensor, purpose: int, shape, draw=tf.random.stateless_normal
    ) -> tf.Tensor:
        """Noise of each example by its seed, float32 `[batch, *shape]`."""
        return tf.map_fn(
            lambda seed: draw(shape, tf.random.fold_in(seed, purpose)),
            seeds,
            fn_output_signature=tf.TensorSpec(
                [size if isinstance(size, int) else None for size in shape], tf.float32
            ),
        )

    def pairs(self, sequences, used) -> tuple[tf.Tensor, tf.Tensor]:
        """Chunks and those after them, `[pair, 2 * latent]`, and which there are."""
        size = self.representation.latent_size
        latents = sequences[..., :size]
        pairs = tf.concat([latents[:, :-1], latents[:, 1:]], axis=-1)
        weights = used[:, :-1] * used[:, 1:]
        return tf.reshape(pairs, [-1, 2 * size]), tf.reshape(weights, [-1])

    def distance(self, real: tf.Tensor, generated: tf.Tensor) -> float:
        """The Frechet distance between sequences, as validation has it."""
        total = FrechetDistance(2 * self.representation.latent_size)
        for name, sequences in (("real", real), ("generated", generated)):
            total.add(name, *self.pairs(sequences, self.alive(sequences)))
        return float(total.result())

    def distance_of_means(self, real: tf.Tensor, generated: tf.Tensor) -> float:
        """The Frechet distance between the mean chunks of whole sequences.

        It tells whether sequences differ from one another as real ones do, for what
        they keep up from beginning to end: key, density, dynamics.
        """
        total = FrechetDistance(self.representation.latent_size)
        total.update_state(*(self._means_of(s) for s in (real, generated)))
        return float(total.result())

    def _means_of(self, sequences: tf.Tensor) -> tf.Tensor:
        alive = self.alive(sequences)[..., None]
        latents = sequences[..., : self.representation.latent_size] * alive
        return tf.math.divide_no_nan(
            tf.reduce_sum(latents, axis=1), tf.reduce_sum(alive, axis=1)
        )

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
        return self.finish((generator or self.average)(noise))

    def with_end(self, latents: tf.Tensor) -> tf.Tensor:
        """Latents `[piece, chunk, latent]` as sequences that have not ended."""
        if not self.has_end:
            return tf.convert_to_tensor(latents)
        return tf.concat([latents, tf.ones_like(latents[..., :1])], axis=-1)

    def decode(self, sequences: tf.Tensor) -> Tensors:
        """Music of sequences `[piece, chunk, latent (+ alive)]`, as `play` gives it."""
        latents = sequences[..., : self.representation.latent_size]
        shape = tf.shape(latents)
        flat = tf.reshape(latents, [-1, self.representation.latent_size])
        events, num_events = self.autoencoder.decode(
            self.representation.denormalize(flat)
        )
        used = tf.cast(self.alive(sequences), tf.int32)
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
            None if self.has_end else self.generator.num_noises,
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
        return self.draw(seeds, GENERATOR_NOISE, [length or 1 + num_steps, size])

    def endpoints(self) -> Mapping[str, Endpoint]:
        """New pieces and the way from one to another, of seeds or of noise itself."""
        return noise_endpoints(self)
