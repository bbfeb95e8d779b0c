"""The endpoints of models that make whole pieces of noise."""

from collections.abc import Mapping

import tensorflow as tf

from tfmusic.generation.controls import SPREAD
from tfmusic.models.base import Endpoint, MusicModel


def noise_endpoints(model: MusicModel) -> Mapping[str, Endpoint]:
    """`generate` and `interpolate`, each also for noise that the client has.

    That is float32 `[piece, vector, noise]`: a vector for the piece, and as many after
    it for its chunks as the model takes. `spread` is for noise of seeds alone.

    Args:
        model: One that makes whole pieces of noise: it has `noise_shape`, `noise` and
            `play` as `LatentWGAN` has them.
    """
    number = tf.TensorSpec([], tf.int32, "num_outputs")
    num_steps = tf.TensorSpec([], tf.int32, "num_steps")
    seed = tf.TensorSpec([], tf.int64, "seed")
    other_seed = tf.TensorSpec([], tf.int64, "other_seed")
    noises = tf.TensorSpec([None, *model.noise_shape], tf.float32, "noise")
    one = tf.TensorSpec([1, *model.noise_shape], tf.float32, "noise")
    other = tf.TensorSpec([1, *model.noise_shape], tf.float32, "other_noise")

    def generate(number, num_steps, seed, spread):
        noise = model.noise(number, num_steps, seed)
        return model.play(spread * noise, num_steps)

    def generate_from(noise):
        return model.play(noise)

    def interpolate(number, num_steps, seed, other_seed, spread):
        first = model.noise(1, num_steps, seed)
        last = model.noise(1, num_steps, other_seed)
        return model.play(spread * _way(first, last, number), num_steps)

    def interpolate_between(number, noise, other_noise):
        return model.play(_way(noise, other_noise, number))

    return {
        "generate": Endpoint(
            generate,
            (number, num_steps, seed, SPREAD.spec),
            "New pieces of at most num_steps chunks each.",
        ),
        "interpolate": Endpoint(
            interpolate,
            (number, num_steps, seed, other_seed, SPREAD.spec),
            "Pieces on the way from the first one of a seed to that of another.",
        ),
        "generate_from": Endpoint(
            generate_from,
            (noises,),
            "The pieces of noise: its first vector is for the whole piece, each one "
            "after it for a chunk.",
        ),
        "interpolate_between": Endpoint(
            interpolate_between,
            (number, one, other),
            "Pieces on the way from that of one noise to that of another.",
        ),
    }


def _way(first: tf.Tensor, last: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    """Noise from that of one piece `[1, vector, noise]` to that of another."""
    way = tf.linspace(0.0, 1.0, number)[:, None, None]
    # As far spread as noise is, all the way.
    return ((1.0 - way) * first + way * last) / tf.sqrt((1.0 - way) ** 2 + way**2)
