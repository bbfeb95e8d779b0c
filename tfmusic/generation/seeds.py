"""Seeds of a whole batch, or of each row its own.

Where a batch has one seed, that is int64 `[]`, and int64 `[2]` with the number of a
step. Where rows have seeds of their own, these are int64 `[row, 2]`: a seed, and the
row's place among those that a batch of this seed has; and `[row, 3]` with the number of
a step before the place. A row then gets what it gets in that batch.
"""

from collections.abc import Callable

import tensorflow as tf


def rows(seed: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """Seeds int64 `[row]` and places int32 `[row]` as seeds of rows."""
    return tf.stack([seed, tf.cast(place, tf.int64)], axis=1)


def numbered(seed: tf.Tensor, number: tf.Tensor | int) -> tf.Tensor:
    """The seed of a step or a purpose."""
    number = tf.cast(number, tf.int64)
    if seed.shape.rank == 0:
        return tf.stack([seed, number])
    numbers = tf.fill(tf.shape(seed)[:1], number)
    return tf.stack([seed[:, 0], numbers, seed[:, 1]], axis=1)


def unnumbered(seed: tf.Tensor) -> tf.Tensor:
    """The seed whose step this is of."""
    return seed[0] if seed.shape.rank == 1 else seed[:, ::2]


def split_seed(seed: tf.Tensor, num: int) -> list[tf.Tensor]:
    """Independent seeds, like the given one, for several draws within one step."""
    if seed.shape.rank == 1:
        return tf.unstack(tf.random.split(seed, num))
    parts = tf.map_fn(lambda row: tf.random.split(row[:2], num), seed)
    return [
        tf.concat([part, seed[:, 2:]], axis=1)
        for part in tf.unstack(parts, num, axis=1)
    ]


def draw(
    sample: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    num_rows: tf.Tensor,
    seed: tf.Tensor,
    dtype: tf.DType = tf.float32,
) -> tf.Tensor:
    """Draws rows.

    Args:
        sample: `(number of rows, seed [2]) -> [row, ...]`. A row must not depend on how
            many come after it.
        num_rows: How many, where the batch has one seed.
        seed: int64 `[2]` or `[row, 3]`.
        dtype: Of what is drawn.
    """
    if seed.shape.rank == 1:
        return sample(num_rows, seed)

    def one(row: tf.Tensor) -> tf.Tensor:
        place = tf.cast(row[2], tf.int32)
        return sample(place + 1, row[:2])[place]

    return tf.map_fn(one, seed, fn_output_signature=dtype)
