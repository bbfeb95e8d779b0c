"""Sequences of latents: their form, their ends, the noise they are made of."""

import dataclasses

import tensorflow as tf

from tfmusic.networks.metrics import FrechetDistance

# What the seed of an example, or of a piece, is for.
CRITIC_NOISE, GENERATOR_NOISE, MIX, SHIFT = range(4)


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


@dataclasses.dataclass(frozen=True)
class SequenceForm:
    """What the numbers of sequences `[batch, chunk, latent (+ alive)]` mean.

    Attributes:
        latent_size: Numbers of a latent vector.
        has_end: Whether each chunk has a number more: 1 while the piece lasts, then 0.
    """

    latent_size: int
    has_end: bool

    def latents(self, sequences: tf.Tensor) -> tf.Tensor:
        """The latent vectors alone, `[batch, chunk, latent]`."""
        return sequences[..., : self.latent_size]

    def alive(self, sequences: tf.Tensor) -> tf.Tensor:
        """Which chunks there are, 0 or 1, float32 `[batch, chunk]`."""
        if self.has_end:
            return tf.cast(sequences[..., -1] > 0.5, tf.float32)
        return tf.ones_like(sequences[..., 0])

    def with_end(self, latents: tf.Tensor) -> tf.Tensor:
        """Latents `[batch, chunk, latent]` as sequences that have not ended."""
        if not self.has_end:
            return tf.convert_to_tensor(latents)
        return tf.concat([latents, tf.ones_like(latents[..., :1])], axis=-1)

    def finish(self, values: tf.Tensor) -> tf.Tensor:
        """The sequences of what a generator gives: they end where it says so."""
        if not self.has_end:
            return values
        # Once ended, a piece does not begin again. At first hardly any piece ends.
        logs = tf.math.log_sigmoid(values[..., -1:] + 6.0)
        alive = tf.exp(tf.cumsum(logs, axis=1))
        return tf.concat([values[..., :-1] * alive, alive], axis=-1)

    def pairs(self, sequences: tf.Tensor, used: tf.Tensor) -> tuple:
        """Chunks and those after them, `[pair, 2 * latent]`, and which there are."""
        latents = self.latents(sequences)
        pairs = tf.concat([latents[:, :-1], latents[:, 1:]], axis=-1)
        weights = used[:, :-1] * used[:, 1:]
        return tf.reshape(pairs, [-1, 2 * self.latent_size]), tf.reshape(weights, [-1])

    def distance(self, real: tf.Tensor, generated: tf.Tensor) -> float:
        """The Frechet distance between sequences, as validation has it."""
        total = FrechetDistance(2 * self.latent_size)
        for name, sequences in (("real", real), ("generated", generated)):
            total.add(name, *self.pairs(sequences, self.alive(sequences)))
        return float(total.result())

    def distance_of_means(self, real: tf.Tensor, generated: tf.Tensor) -> float:
        """The Frechet distance between the mean chunks of whole sequences.

        It tells whether sequences differ from one another as real ones do, for what
        they keep up from beginning to end: key, density, dynamics.
        """
        total = FrechetDistance(self.latent_size)
        total.update_state(*(self._means(s) for s in (real, generated)))
        return float(total.result())

    def _means(self, sequences: tf.Tensor) -> tf.Tensor:
        alive = self.alive(sequences)[..., None]
        latents = self.latents(sequences) * alive
        return tf.math.divide_no_nan(
            tf.reduce_sum(latents, axis=1), tf.reduce_sum(alive, axis=1)
        )
