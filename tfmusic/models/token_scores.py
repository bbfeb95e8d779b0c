"""What a model of tokens is to predict in whole pieces, and how its nats are told."""

import tensorflow as tf

from tfmusic.models.base import Tensors
from tfmusic.models.places import Places
from tfmusic.representations.vocabulary import END


def targets_of(
    features: Tensors, num_steps: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Tokens and then the end, `[batch, time + 1]`, and which are which, bool."""
    tokens = features["tokens"]
    time = tf.range(tf.shape(tokens)[1] + 1)
    is_end = tf.equal(time, num_steps[:, tf.newaxis])
    targets = tf.where(is_end, END, tf.pad(tokens, [[0, 0], [0, 1]]))
    return targets, time < num_steps[:, tf.newaxis], is_end


def readings_of(
    places: Places, features: Tensors, num_steps: tf.Tensor
) -> dict[str, Tensors]:
    """What the network may know of a piece's steps, by the name of its nats.

    Of a style also nothing: what is known of whole performances is no prediction.
    """
    readings = {"log_likelihood": places.with_end(features, num_steps)}
    if places.style:
        free = places.with_end(places.without_plan(features), num_steps)
        readings["free_log_likelihood"] = free
    return readings


def as_scores(
    nats: Tensors, is_step: tf.Tensor, is_end: tf.Tensor, learns_end: bool
) -> Tensors:
    """Nats of steps and ends, `[batch, time + 1]`, as `score` gives them."""
    outputs = {
        name: tf.where(is_step, -values, 0.0)[:, :-1] for name, values in nats.items()
    }
    if learns_end:
        end = tf.where(is_end, -nats["log_likelihood"], 0.0)
        outputs["end_log_likelihood"] = tf.reduce_sum(end, axis=1)
    return outputs
