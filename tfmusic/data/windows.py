"""Where the windows of a piece lie, and how they are cut out.

A window of `window_steps` input steps has one step more: the model reads all but its
last step and learns all but its first. The first window of a piece starts at step -1,
before the music, so that the first step of the piece is learned too; with `include_end`
the step after the last one is learned as the end.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfmusic.data.features import Tensors, unpack
from tfmusic.errors import UserError
from tfmusic.representations.base import FeatureSpec


def check_stride(window_steps: int, stride: int, align_steps: int) -> int:
    """The steps between the starts of two windows.

    Args:
        window_steps: Input steps of a window.
        stride: What was asked for; 0 means `window_steps`.
        align_steps: What starts are aligned to.

    Raises:
        UserError: They are not multiples of `align_steps`.
    """
    stride = stride or window_steps
    if align_steps < 1 or stride % align_steps:
        raise UserError(
            f"data.window_align_steps is {align_steps}; expected 1 or more, and what "
            f"divides the {stride} steps from one window to the next "
            "(data.window_stride, or data.window_steps where that is 0)"
        )
    return stride


def num_train_windows(
    num_steps: np.ndarray,
    window_steps: int,
    stride: int,
    include_end: bool,
    align_steps: int = 1,
) -> np.ndarray:
    """How many windows each piece yields in one pass over the data.

    The number is the same whatever the phase, so that all passes have equal length.

    Args:
        num_steps: Lengths of pieces, int [num_pieces].
        window_steps: Input steps of a window.
        stride: Steps between the starts of two windows.
        include_end: Whether the end of a piece is learned.
        align_steps: What the stride is a multiple of; see `train_starts`.
    """
    slack = np.maximum(num_steps + int(include_end) - window_steps, 0)
    slack = -(-slack // align_steps) * align_steps
    # With the largest phase the last window must still reach the end.
    return 1 + (slack > 0) * (-(-(slack + stride - align_steps) // stride))


def train_starts(
    numbers: tf.Tensor,
    phases: tf.Tensor,
    num_steps: tf.Tensor,
    window_steps: int,
    stride: int,
    include_end: bool,
    align_steps: int = 1,
) -> tf.Tensor:
    """Where the windows of one pass start; graph code.

    The phase moves the windows of a piece towards its beginning; those that would then
    begin before the piece or reach beyond its end are pushed back into it. So no step
    is left out and windows are full unless the piece is shorter.

    The first step that a window learns, the one after its start, is a multiple of
    `align_steps`: a beat, or a bar of music in one metre. Then the last window may
    reach beyond the end by less than that.

    Args:
        numbers: Which window of its piece each is, from 0, int32 [n].
        phases: The phase of its piece, 0..stride-1, a multiple of align_steps, int32
            [n].
        num_steps: The length of its piece, int32 [n].
        window_steps: Input steps of a window.
        stride: Steps between the starts of two windows.
        include_end: Whether the end of a piece is learned.
        align_steps: What the stride is a multiple of.

    Returns:
        int32 [n]; at least -1.
    """
    slack = tf.maximum(num_steps + int(include_end) - window_steps, 0)
    last = -(-slack // align_steps) * align_steps - 1
    return tf.clip_by_value(numbers * stride - phases - 1, -1, last)


def eval_starts(num_steps: int, window_steps: int, include_end: bool) -> np.ndarray:
    """Starts of windows that together learn each step of a piece once; int [n]."""
    return np.arange(-1, num_steps - 1 + int(include_end), window_steps)


def cut_windows(
    arrays: Tensors,
    specs: Mapping[str, FeatureSpec],
    offsets: tf.Tensor,
    num_steps: tf.Tensor,
    starts: tf.Tensor,
    size: tf.Tensor | int,
) -> Tensors:
    """Cuts windows out of pieces that are stored end to end; graph code.

    Args:
        arrays: Stored steps of all pieces (see `parse_stored`), [total_steps, k] each.
        specs: The arrays' specs.
        offsets: Where the piece of each window begins in them, int64 [batch].
        num_steps: The length of that piece, int32 [batch].
        starts: The first step of each window; may be negative, int32 [batch].
        size: The windows' number of steps, which may reach past the end, int32 [].

    Returns:
        Each feature as bool, int32 or float32 [batch, size, ...], zero outside its
        piece; `step`, int32 [batch, size], the steps' numbers, below 0 or from
        num_steps on where they lie outside; and `num_steps`, int32 [batch].
    """
    step = starts[:, None] + tf.range(size)
    inside = (step >= 0) & (step < num_steps[:, None])
    nearest = tf.clip_by_value(step, 0, num_steps[:, None] - 1)
    rows = offsets[:, None] + tf.cast(nearest, tf.int64)
    windows = {"step": step, "num_steps": num_steps}
    for name, spec in specs.items():
        stored = tf.gather(arrays[name], rows)
        # Packed booleans are zero where their byte is.
        kept = tf.where(inside[..., None], stored, tf.zeros_like(stored))
        windows[name] = unpack(kept, spec)
    return windows
