"""The one time loop of generation."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfmusic.generation import seeds

Nest = Any  # A tensor or a nest of tensors, batch on their first axis.


def generate_frames(
    next_frame: Callable[[Nest, Nest, tf.Tensor], tuple[Nest, Nest]],
    frame: Nest,
    state: Nest,
    num_steps: tf.Tensor,
    seed: tf.Tensor,
    is_finished: Callable[[Nest], tf.Tensor] | None = None,
) -> tuple[Nest, Nest]:
    """Calls `next_frame` on its own output, `num_steps` times, inside the graph.

    Args:
        next_frame: `(frame, state, seed) -> (frame, state)`, shapes unchanged; `seed`
            is int64 `[2]` or `[row, 3]` and differs from step to step.
        frame: The frame before the first one, `[batch, ...]`, a tensor or a nest.
        state: What `next_frame` carries along.
        num_steps: int32 scalar, at least 1.
        seed: int64 scalar, or `[row, 2]`, see `seeds`.
        is_finished: `frame -> bool [batch]`. Once all pieces are finished the loop
            stops and the frames that are left are zeros.

    Returns:
        The new frames, `[batch, num_steps, ...]`, in the nest of `frame`, and the last
        state.
    """
    with tf.control_dependencies(
        [tf.debugging.assert_positive(num_steps, "num_steps: expected at least 1")]
    ):
        num_steps = tf.identity(num_steps)
    flat_frame = tf.nest.flatten(frame)
    arrays = [
        tf.TensorArray(part.dtype, num_steps, element_shape=part.shape)
        for part in flat_frame
    ]

    def is_wanted(step, frame, state, arrays):
        del state, arrays
        if is_finished is None:
            return step < num_steps
        # Before the first step `frame` is the start or the end of a prompt.
        all_finished = tf.logical_and(step > 0, tf.reduce_all(is_finished(frame)))
        return tf.logical_and(step < num_steps, tf.logical_not(all_finished))

    def body(step, frame, state, arrays):
        frame, state = next_frame(frame, state, seeds.numbered(seed, step))
        parts = tf.nest.flatten(frame)
        arrays = [a.write(step, p) for a, p in zip(arrays, parts, strict=True)]
        return step + 1, frame, state, arrays

    first = (tf.constant(0), frame, state, arrays)
    _, _, state, arrays = tf.while_loop(is_wanted, body, first)
    stacked = [_batch_first(array.stack()) for array in arrays]
    return tf.nest.pack_sequence_as(frame, stacked), state


def _batch_first(frames: tf.Tensor) -> tf.Tensor:
    """`[time, batch, ...]` as `[batch, time, ...]`."""
    return tf.transpose(frames, [1, 0, *range(2, frames.shape.rank)])


def repeat_rows(nest: Nest, times: tf.Tensor) -> Nest:
    """Each row of tensors so many times, one after the other.

    Args:
        nest: Tensors `[batch, ...]`.
        times: int32 scalar.

    Returns:
        Tensors `[batch * times, ...]`, in the same nest.
    """
    batch_size = tf.shape(tf.nest.flatten(nest)[0])[0]
    # `tf.repeat` is thirty operations, and states have many parts.
    rows = tf.repeat(tf.range(batch_size), times)
    return tf.nest.map_structure(lambda part: tf.gather(part, rows), nest)
