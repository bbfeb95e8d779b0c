"""Sequential Monte Carlo for music whose steps take no fixed time, such as tokens.

Particles, see `particles`, can only be compared where they have come equally far: after
as many tokens, one that writes fewer notes is further on in the music. So each is
written up to the same place and waits there for the others of its piece; then those
that fit badly with what is given give way.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfmusic.generation import samplers, seeds
from tfmusic.generation.loop import repeat_rows
from tfmusic.generation.particles import (
    LAST_SEED,
    LEAST,
    follow,
    lineage_of,
    resample,
    take,
)

Nest = Any  # A tensor or a nest of tensors, batch on their first axis.
# (token, state, seed) -> the next token, the state before that, and the natural
# logarithm of the probability of what is given of it, `[row]`.
StepFn = Callable[[tf.Tensor, Nest, tf.Tensor], tuple[tf.Tensor, Nest, tf.Tensor]]
# state -> where in the music it stands, int32 `[row]`, and whether it is at its end.
PlaceFn = Callable[[Nest], tuple[tf.Tensor, tf.Tensor]]
_WAITS = 0  # stands for no token


def sample_waiting(
    step: StepFn,
    place: PlaceFn,
    token: tf.Tensor,
    state: Nest,
    num_particles: tf.Tensor,
    seed: tf.Tensor,
    stride: int,
    max_steps: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Samples pieces of tokens that agree with what is given of them.

    Args:
        step: One step of the model, of all particles of all pieces, a row each.
        place: Where a particle stands after its newest token.
        token: The token before the first one, int32 `[batch]`.
        state: The state before it, `[batch, ...]`.
        num_particles: For each piece, int32 scalar, at least 1.
        seed: int64 scalar.
        stride: How far in the music particles are written before they are compared.
        max_steps: After so many steps all end, int32 scalar.

    Returns:
        The new tokens, int32 `[batch, time]`, zeros behind the last one, and how many
        each piece has, int32 `[batch]`.
    """
    batch_size = tf.shape(token)[0]
    token, state = repeat_rows((token, state), num_particles)
    tokens, parents = (
        tf.TensorArray(tf.int32, 0, dynamic_size=True, element_shape=[None])
        for _ in range(2)
    )

    def in_pieces(rows):
        return tf.reshape(rows, [batch_size, num_particles])

    def next_goal(state):
        where, is_done = map(in_pieces, place(state))
        return (
            tf.reduce_min(tf.where(is_done, tf.int32.max - stride, where), 1) + stride
        )

    def body(time, token, state, weights, goal, tokens, parents):
        where, is_done = place(state)
        writes = ~is_done & (where < tf.repeat(goal, num_particles))
        step_seed, own_seed = seeds.split_seed(seeds.numbered(seed, time), 2)
        new, new_state, log_p = step(token, state, step_seed)
        log_p = tf.where(writes, tf.maximum(log_p, LEAST), 0.0)
        tokens = tokens.write(time, tf.where(writes, new, _WAITS))
        token, state = _where(writes, (new, new_state), (token, state))
        weights += in_pieces(log_p)
        where, is_done = map(in_pieces, place(state))
        waits = is_done | (where >= goal[:, tf.newaxis])
        is_ready = tf.reduce_all(waits, axis=1)
        drawn, renewed = resample(weights, own_seed)
        stays = tf.range(tf.shape(token)[0])
        parent = tf.where(tf.repeat(is_ready, num_particles), drawn, stays)
        weights = tf.where(is_ready[:, tf.newaxis], renewed, weights)
        token, state = take(parent, (token, state))
        goal = tf.where(is_ready, next_goal(state), goal)
        parents = parents.write(time, parent)
        return time + 1, token, state, weights, goal, tokens, parents

    def goes_on(time, token, state, *_):
        _, is_done = place(state)
        return (time < max_steps) & ~tf.reduce_all(is_done)

    weights = tf.zeros([batch_size, num_particles])
    first = (0, token, state, weights, next_goal(state), tokens, parents)
    _, _, _, weights, _, tokens, parents = tf.while_loop(goes_on, body, first)
    chosen = samplers.categorical(weights, seeds.numbered(seed, LAST_SEED))
    chosen += tf.range(batch_size) * num_particles
    written = follow(tokens.stack(), lineage_of(parents.stack(), chosen))
    is_none = written == _WAITS
    order = tf.argsort(tf.cast(is_none, tf.int32), axis=1, stable=True)
    lengths = tf.reduce_sum(tf.cast(~is_none, tf.int32), axis=1)
    return tf.gather(written, order, batch_dims=1), lengths


def _where(rows: tf.Tensor, new: Nest, old: Nest) -> Nest:
    """The one nest in some rows, bool `[row]`, the other elsewhere."""

    def choose(new: tf.Tensor, old: tf.Tensor) -> tf.Tensor:
        shape = tf.concat([tf.shape(rows), tf.ones([tf.rank(old) - 1], tf.int32)], 0)
        chosen = tf.where(tf.reshape(rows, shape), new, old)
        return tf.ensure_shape(chosen, old.shape)

    return tf.nest.map_structure(choose, new, old)
