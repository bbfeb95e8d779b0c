"""Events in chunks of time, played slower or faster.

A table cannot say it, as events move from chunk to chunk: each window is cut longer
than it will be, its events are moved, and what then begins within its length is kept.
"""

import math

import tensorflow as tf

from tfmusic.data.features import Tensors
from tfmusic.representations.events import DURATION, ID, LONGEST, NUM_IDS, START
from tfmusic.representations.variation import EventStretch


def steps_to_cut(stretch: EventStretch, size: int) -> int:
    """Chunks of the music as it is that the shortest variant of `size` ones takes."""
    return math.ceil(size / min(stretch.factors))


def fitting_stretches(features: Tensors, stretch: EventStretch, size: int) -> tf.Tensor:
    """Which variants windows have; graph code.

    One in which more events begin in a chunk than it holds, in which a note lasts
    longer than can be written, or in which the piece ends where it did not, is none.

    Args:
        features: Windows of `steps_to_cut` chunks.
        stretch: The variants.
        size: Chunks of the windows to be.

    Returns:
        Bool [batch, num_variants]; the first is always true.
    """
    max_events = features[stretch.events].shape[-2]
    start = features["step"][:, 0]
    length = tf.minimum(features["num_steps"] - start, tf.shape(features["step"])[1])
    silent = tf.maximum(-start, 0)  # see `_move`
    columns = []
    for factor in stretch.factors:
        begins, ends, _, inside = _move(features, stretch, size, factor)
        counts = _counts(begins // stretch.chunk_steps, inside, size)
        fits = tf.reduce_all(counts <= max_events, axis=1)
        fits &= tf.reduce_all(~inside | (ends - begins <= LONGEST), axis=1)
        music = tf.cast(length - silent, tf.float32) * factor
        fits &= (length < size) | (tf.cast(silent, tf.float32) + music >= size)
        columns.append(fits)
    columns[0] = tf.ones_like(columns[0])
    return tf.stack(columns, axis=1)


def apply_stretch(
    features: Tensors, stretch: EventStretch, choice: tf.Tensor, size: int
) -> Tensors:
    """The chosen variant of each window; graph code.

    The first chunk of the music in a window begins when it did. Where a piece ends in
    its window, `num_steps` says where it does so now.

    Args:
        features: Windows of `steps_to_cut` chunks.
        stretch: The variants.
        choice: Variants that the windows have, int [batch].
        size: Chunks of the windows to be.

    Returns:
        All features, of `size` chunks.
    """
    factors = tf.gather(tf.constant(stretch.factors, tf.float64), choice)
    begins, ends, used, inside = _move(features, stretch, size, factors[:, None])
    chunks, starts = begins // stretch.chunk_steps, begins % stretch.chunk_steps

    array = features[stretch.events]
    batch, max_events, width = tf.shape(array)[0], array.shape[-2], array.shape[-1]
    rows = tf.reshape(array, [batch, -1, width])  # [batch, chunk * event, feature]
    rows = tf.unstack(rows, axis=-1)
    rows[START] = tf.cast(starts, rows[START].dtype)
    rows[DURATION] = tf.cast(ends - begins, rows[DURATION].dtype)
    # In order of start and id, those that are left out at the end.
    key = begins * NUM_IDS + tf.cast(rows[ID], tf.int64)
    order = tf.argsort(tf.where(inside, key, tf.int64.max), axis=1, stable=True)
    rows = tf.gather(tf.stack(rows, axis=-1), order, batch_dims=1)
    inside = tf.gather(inside, order, batch_dims=1)
    chunks = tf.gather(chunks, order, batch_dims=1)

    counts = _counts(chunks, inside, size)
    first = tf.cumsum(counts, axis=1, exclusive=True)
    place = tf.range(tf.shape(chunks)[1]) - tf.gather(
        first, tf.where(inside, chunks, 0), batch_dims=1
    )
    window = tf.broadcast_to(tf.range(batch)[:, None], tf.shape(place))
    at = tf.stack([window, tf.cast(chunks, tf.int32), place], axis=-1)
    array = tf.scatter_nd(at[inside], rows[inside], [batch, size, max_events, width])

    start = features["step"][:, 0]
    last = tf.reduce_max(tf.where(used, begins // stretch.chunk_steps, -1), axis=1)
    cut = tf.shape(features["step"])[1]
    ends_here = (features["num_steps"] <= start + cut) & (last >= 0)
    end = start + tf.cast(last, tf.int32) + 1
    return {
        **features,
        stretch.events: tf.ensure_shape(array, [None, size, max_events, width]),
        stretch.counts: tf.cast(counts, features[stretch.counts].dtype),
        "step": features["step"][:, :size],
        "num_steps": tf.where(ends_here, end, features["num_steps"]),
    }


def _move(
    features: Tensors, stretch: EventStretch, size: int, factor: tf.Tensor | float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Where events begin and end after a stretch, in steps from the window's beginning.

    Returns:
        int64 [batch, chunk * event] twice; which there are; and which begin within
        `size` chunks, bool likewise.
    """
    array = tf.cast(features[stretch.events], tf.int64)
    batch, num_chunks, max_events = tf.unstack(tf.shape(array)[:3])
    used = tf.range(max_events) < tf.cast(features[stretch.counts], tf.int32)[..., None]
    used = tf.reshape(used, [batch, -1])
    chunk_begins = tf.range(tf.cast(num_chunks, tf.int64)) * stretch.chunk_steps
    begins = chunk_begins[:, None] + array[..., START]
    begins = tf.reshape(begins, [batch, -1])
    ends = begins + tf.reshape(array[..., DURATION], [batch, -1])
    # Before the music there may be chunks of nothing, which keep their length.
    silent = tf.maximum(-features["step"][:, :1], 0)
    silent = tf.cast(silent, tf.int64) * stretch.chunk_steps

    def moved(steps: tf.Tensor) -> tf.Tensor:
        exact = tf.cast(steps - silent, tf.float64) * factor
        return silent + tf.cast(tf.floor(exact + 0.5), tf.int64)

    begins, ends = moved(begins), moved(ends)
    ends = tf.maximum(ends, begins + 1)
    return begins, ends, used, used & (begins < size * stretch.chunk_steps)


def _counts(chunks: tf.Tensor, inside: tf.Tensor, size: int) -> tf.Tensor:
    """How many events begin in each chunk: int32 [batch, size]."""
    chunks = tf.where(inside, tf.cast(chunks, tf.int32), size)
    return tf.math.bincount(chunks, minlength=size + 1, maxlength=size + 1, axis=-1)[
        :, :size
    ]
