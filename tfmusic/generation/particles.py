"""Music of which part is given: sequential Monte Carlo (a particle filter).

A model that writes from left to right can be held to what is given of a step, but it
does not know what is given of the steps after it. So many pieces are written beside
each other, the particles; each is weighed by how likely it makes what is given, and
those that make it unlikely give way to copies of the others. What comes early is so
judged by what comes later.

Source: Doucet, de Freitas and Gordon, "Sequential Monte Carlo Methods in Practice",
2001, chapter 1; systematic resampling where the effective number of particles falls
below half of them.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfmusic.generation import samplers, seeds
from tfmusic.generation.loop import repeat_rows

Nest = Any  # A tensor or a nest of tensors, batch on their first axis.
# (frame, state, given, seed) -> the next frame, the state before that, and the natural
# logarithm of the probability of what is given of it, `[row]`.
StepFn = Callable[[Nest, Nest, Nest, tf.Tensor], tuple[Nest, Nest, tf.Tensor]]
# What is less likely than this, in nats a step, is no worse than that: weights stay
# numbers where the model holds what is given for impossible.
LEAST = -100.0
# What seeds the last draw; steps have the numbers from 0 on.
LAST_SEED = -1


def sample_given(
    step: StepFn,
    frame: Nest,
    state: Nest,
    given: Nest,
    num_particles: tf.Tensor,
    seed: tf.Tensor,
    end: Callable[[Nest, Nest], tf.Tensor] | None = None,
) -> tuple[Nest, Nest]:
    """Samples pieces that agree with what is given of them.

    With many particles the pieces are distributed as the model's own among which those
    were chosen that agree; with one, each step agrees and knows of no later one.

    Args:
        step: One step of the model, of all particles of all pieces, a row each.
        frame: The frame before the first one, `[batch, ...]`, a tensor or a nest.
        state: The state before it, `[batch, ...]`.
        given: What is given, `[batch, time, ...]`; `step` gets that of its step.
        num_particles: For each piece, int32 scalar, at least 1.
        seed: int64 scalar.
        end: `(frame, state) -> [row]`: the logarithm of the probability that the piece
            ends after its last frame; None: it may always.

    Returns:
        The frames, `[batch, time, ...]`, and the last state, `[batch, ...]`.
    """
    batch_size, num_steps = tf.unstack(tf.shape(tf.nest.flatten(given)[0])[:2])
    frame, state = repeat_rows((frame, state), num_particles)
    frames = [
        tf.TensorArray(part.dtype, num_steps, element_shape=part.shape)
        for part in tf.nest.flatten(frame)
    ]
    parents = tf.TensorArray(tf.int32, num_steps, element_shape=[None])

    def body(time, frame, state, weights, frames, parents):
        now = tf.nest.map_structure(lambda part: part[:, time], given)
        now = repeat_rows(now, num_particles)
        step_seed, own_seed = seeds.split_seed(seeds.numbered(seed, time), 2)
        frame, state, log_p = step(frame, state, now, step_seed)
        parts = tf.nest.flatten(frame)
        frames = [a.write(time, p) for a, p in zip(frames, parts, strict=True)]
        weights += tf.reshape(tf.maximum(log_p, LEAST), tf.shape(weights))
        parent, weights = resample(weights, own_seed)
        frame, state = take(parent, (frame, state))
        return time + 1, frame, state, weights, frames, parents.write(time, parent)

    first = (0, frame, state, tf.zeros([batch_size, num_particles]), frames, parents)
    _, frame, state, weights, frames, parents = tf.while_loop(
        lambda time, *_: time < num_steps, body, first
    )
    if end is not None:
        weights += tf.reshape(tf.maximum(end(frame, state), LEAST), tf.shape(weights))
    chosen = samplers.categorical(weights, seeds.numbered(seed, LAST_SEED))
    chosen += tf.range(batch_size) * num_particles
    lineage = lineage_of(parents.stack(), chosen)
    frames = [follow(array.stack(), lineage) for array in frames]
    state = tf.nest.map_structure(lambda part: tf.gather(part, chosen), state)
    return tf.nest.pack_sequence_as(frame, frames), state


def resample(weights: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws particles anew, by their weights, of pieces where few of them count.

    Args:
        weights: Natural logarithms, float32 `[batch, particle]`.
        seed: int64 `[2]`.

    Returns:
        The row `[batch * particle]` that each is a copy of, int32, and weights: equal
        ones where particles were drawn.
    """
    batch_size, number = tf.unstack(tf.shape(weights))
    normalised = tf.nn.softmax(weights)
    effective = 1.0 / tf.reduce_sum(tf.square(normalised), axis=1)
    is_poor = effective < tf.cast(number, tf.float32) / 2.0
    # Systematic: the particles at equal distances from one random place on.
    start = tf.random.stateless_uniform([batch_size, 1], seed)
    places = (start + tf.range(number, dtype=tf.float32)) / tf.cast(number, tf.float32)
    drawn = tf.searchsorted(tf.cumsum(normalised, axis=1), places, side="right")
    drawn = tf.minimum(drawn, number - 1)  # sums may end below 1
    kept = tf.broadcast_to(tf.range(number), tf.shape(drawn))
    parent = tf.where(is_poor[:, tf.newaxis], drawn, kept)
    weights -= tf.reduce_max(weights, axis=1, keepdims=True)
    weights = tf.where(is_poor[:, tf.newaxis], 0.0, weights)
    parent += tf.range(batch_size)[:, tf.newaxis] * number
    return tf.reshape(parent, [-1]), weights


def take(parent: tf.Tensor, nest: Nest) -> Nest:
    """Rows of tensors; nothing is copied where all stay."""
    stays = tf.reduce_all(parent == tf.range(tf.shape(parent)[0]))
    flat = tf.nest.flatten(nest)

    def take():
        return [tf.gather(part, parent) for part in flat]

    taken = tf.cond(stays, lambda: [tf.identity(part) for part in flat], take)
    taken = [tf.ensure_shape(t, p.shape) for t, p in zip(taken, flat, strict=True)]
    return tf.nest.pack_sequence_as(nest, taken)


def lineage_of(parents: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
    """Which row each step of the chosen particles was drawn in, int32 `[time, batch]`.

    Args:
        parents: The row that each was a copy of after each step, int32 `[time, row]`.
        chosen: Rows at the end, int32 `[batch]`.
    """
    reversed_rows = tf.scan(
        lambda row, parent: tf.gather(parent, row), tf.reverse(parents, [0]), chosen
    )
    return tf.reverse(reversed_rows, [0])


def follow(frames: tf.Tensor, lineage: tf.Tensor) -> tf.Tensor:
    """Of frames `[time, row, ...]` those of a lineage, `[batch, time, ...]`."""
    found = tf.gather(frames, lineage, axis=1, batch_dims=1)
    return tf.transpose(found, [1, 0, *range(2, found.shape.rank)])
