"""Variants of windows for training: other keys, other tempos, other dynamics.

What a variant of an array is, its representation says (`Variation`, `EventStretch`);
here a variant is drawn for each window among those in which nothing of it gets lost.
The window as it is is always one of them.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfmusic.data.features import Tensors
from tfmusic.data.stretching import apply_stretch, fitting_stretches, steps_to_cut
from tfmusic.representations.variation import EventStretch, Joint, Variation

Variations = Sequence[Variation | Joint | EventStretch]


def steps_to_vary(variations: Variations, size: int) -> int:
    """How long windows must be cut to be varied into windows of `size` steps."""
    stretches = [v for v in variations if isinstance(v, EventStretch)]
    return max([size, *(steps_to_cut(stretch, size) for stretch in stretches)])


def augment(
    features: Tensors,
    variations: Variations,
    seed: tf.Tensor,
    size: int,
    first_row: int = 0,
    num_rows: int | None = None,
) -> Tensors:
    """Varies windows; graph code.

    Args:
        features: Windows of `steps_to_vary` steps, as `cut_windows` gives them.
        variations: What to do, one after another.
        seed: int32 [2].
        size: Steps of the varied windows.
        first_row: Which row of a larger batch the first window is.
        num_rows: Rows of that; None: there is no larger one.
    """
    features = dict(features)
    for i, variation in enumerate(variations):
        is_stretch = isinstance(variation, EventStretch)
        parts = variation.parts if isinstance(variation, Joint) else (variation,)
        if is_stretch:
            fits = fitting_stretches(features, variation, size)
        else:
            each = [fitting_variants(features[part.feature], part) for part in parts]
            fits = tf.reduce_all(tf.stack(each), axis=0)
        num_fits, num_variants = tf.unstack(tf.shape(fits))
        noise = tf.random.stateless_uniform(
            [num_rows or num_fits, num_variants], tf.random.fold_in(seed, i)
        )[first_row : first_row + num_fits]
        choice = tf.argmax(tf.where(fits, noise, -1.0), axis=1)
        if is_stretch:
            features = apply_stretch(features, variation, choice, size)
            continue
        for part in parts:
            array = features[part.feature]
            features[part.feature] = apply_variants(array, part, choice)
    return features


def fitting_variants(array: tf.Tensor, variation: Variation) -> tf.Tensor:
    """Which variants windows have; graph code.

    Args:
        array: [batch, time, ...].
        variation: Of this array.

    Returns:
        Bool [batch, num_variants]; the first is always true.
    """
    lost = tf.constant(variation.table.T < 0)  # [number, variant]
    if variation.of == "keys":
        # Time by itself, and first: several axes at once are four times as slow.
        used = tf.reduce_any(tf.cast(array, tf.bool), axis=1)
        used = tf.reduce_any(used, axis=_all_but(used.shape.rank, {0, -2}))
        lost = used[..., None] & lost  # [batch, key, variant]
    elif variation.of == "rows":
        lost = tf.gather(lost, array[..., variation.column])
        lost &= _varied_rows(array, variation)[..., None]
    else:
        lost = tf.gather(lost, array)
    return ~tf.reduce_any(lost, axis=_all_but(lost.shape.rank, {0, -1}))


def apply_variants(
    array: tf.Tensor, variation: Variation, choice: tf.Tensor
) -> tf.Tensor:
    """The chosen variant of each window; graph code.

    Args:
        array: [batch, time, ...].
        variation: Of this array.
        choice: Variants that the windows have, int [batch].
    """
    if variation.of == "keys":
        sources = tf.gather(_sources(variation.table), choice)
        silent = tf.zeros_like(array[..., :1, :])
        array = tf.concat([silent, array], axis=-2)
        return tf.gather(array, sources, axis=array.shape.rank - 2, batch_dims=1)
    rows = tf.gather(variation.table, choice)  # [batch, number]
    if variation.of == "rows":
        columns = tf.unstack(array, axis=-1)
        values = columns[variation.column]
        columns[variation.column] = tf.where(
            _varied_rows(array, variation),
            tf.gather(rows, values, batch_dims=1),
            values,
        )
        return tf.stack(columns, axis=-1)
    return tf.gather(rows, array, batch_dims=1)


def _sources(table: np.ndarray) -> np.ndarray:
    """From where each key comes that a table moves, counted from 1; 0: from nowhere."""
    sources = np.zeros_like(table)
    variants, keys = np.nonzero(table >= 0)
    sources[variants, table[variants, keys]] = keys + 1
    return sources


def _varied_rows(array: tf.Tensor, variation: Variation) -> tf.Tensor:
    """Which rows of the last axis are of an id that varies, bool [...]."""
    in_use = tf.reduce_any(array != 0, axis=-1)
    return in_use & (array[..., 0] < variation.num_ids) if variation.num_ids else in_use


def _all_but(rank: int, axes: set[int]) -> list[int]:
    return [axis for axis in range(rank) if not {axis, axis - rank} & axes]
