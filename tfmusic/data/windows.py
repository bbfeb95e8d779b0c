"""Where the windows of a piece lie, and how they are cut out.

A window of `window_steps` input steps has one step more: the model reads all but its
last step and learns all but its first. The first window of a piece starts at step -1,
before the music, so that the first step of the piece is learned too; with `include_end`
the step after the last one is learned as the end.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tfmusic.data.features import Tensors
from tfmusic.data.settings import DataSettings
from tfmusic.errors import UserError

# How many times as long as those of training the windows of evaluation are at most.
_LONGER = 16


@dataclasses.dataclass(frozen=True)
class Windows:
    """Which windows of a piece a model learns.

    Attributes:
        settings: Their length, the stride between their starts, and how they are
            varied.
        include_end: Whether the step after the last one of a piece is learned.
        consecutive: Whether training reads each piece from its beginning, each row of a
            batch continuing where that of the batch before stopped (stateful training,
            see `tfmusic.data.orders.Rows`).

    Raises:
        UserError: Windows that have to be consecutive would overlap, leave gaps, be
            varied or drawn.
    """

    settings: DataSettings
    include_end: bool = True
    consecutive: bool = False

    def __post_init__(self):
        settings, stride = self.settings, self.stride
        if not self.consecutive:
            return
        if stride != self.steps:
            raise UserError(
                f"config.data.window_stride is {stride}: expected data.window_steps "
                f"({self.steps}) or 0 with model.carry_state, whose windows follow "
                "each other"
            )
        if settings.draw_measures:
            raise UserError(
                "config.model.carry_state: windows of a piece follow each other, so "
                "they cannot be drawn one by one; set data.draw_measures to False"
            )
        if any(
            (settings.transpose_semitones, settings.stretch, settings.velocity_shift)
        ):
            raise UserError(
                "config.model.carry_state: windows of a piece follow each other, so "
                "they cannot be varied one by one; set data.transpose_semitones, "
                "data.stretch and data.velocity_shift to 0"
            )

    @property
    def steps(self) -> int:
        """Input steps of a window."""
        return self.settings.window_steps

    @property
    def stride(self) -> int:
        """Steps between the starts of two windows."""
        return self.settings.window_stride or self.settings.window_steps

    def for_evaluation(self, batch_size: int, longest: int) -> tuple["Windows", int]:
        """What a network is judged by at once: windows, and how many of them.

        One that learns with the state of all windows before knows little in a window
        that begins in the middle of a piece; those that it is judged by are longer.

        Args:
            batch_size: How many of its own windows, or of as many steps in all.
            longest: Steps of the longest piece.
        """
        if not self.consecutive:
            return self, batch_size
        factor = min(-(-longest // self.steps), _LONGER)
        settings = dataclasses.replace(
            self.settings, window_steps=factor * self.steps, window_stride=0
        )
        windows = dataclasses.replace(self, settings=settings)
        return windows, max(batch_size // factor, 1)

    def count_shuffled(self, num_steps: np.ndarray) -> np.ndarray:
        """How many windows pieces yield in one pass of shuffled training, int32 [n].

        The number is the same whatever the phase, so that all passes have equal length.

        Args:
            num_steps: Lengths of the pieces, int [n].
        """
        slack = np.maximum(num_steps + int(self.include_end) - self.steps, 0)
        # With the largest phase the last window must still reach the end.
        more = (slack > 0) * -(-(slack + self.stride - 1) // self.stride)
        return np.asarray(1 + more, np.int32)

    def shuffled_starts(
        self, numbers: tf.Tensor, phases: tf.Tensor, num_steps: tf.Tensor
    ) -> tf.Tensor:
        """Where the windows of one pass of shuffled training start; graph code.

        The phase moves the windows of a piece towards its beginning; those that would
        then begin before the piece or reach beyond its end are pushed back into it. So
        no step is left out and windows are full unless the piece is shorter.

        Args:
            numbers: Which window of its piece each is, from 0, int32 [n].
            phases: The phase of its piece, 0..stride-1, int32 [n].
            num_steps: The length of its piece, int32 [n].

        Returns:
            int32 [n]; at least -1.
        """
        slack = tf.maximum(num_steps + int(self.include_end) - self.steps, 0)
        return tf.clip_by_value(numbers * self.stride - phases - 1, -1, slack - 1)

    def count_in_order(self, num_steps: np.ndarray) -> np.ndarray:
        """How many windows together learn each step of a piece once, int32 [n].

        The first starts at -1, each other one `steps` after the one before.
        """
        learned = num_steps + int(self.include_end)
        return np.asarray(np.maximum(-(-learned // self.steps), 1), np.int32)


def cut_windows(
    arrays: Tensors,
    offsets: tf.Tensor,
    num_steps: tf.Tensor,
    starts: tf.Tensor,
    size: int,
) -> Tensors:
    """Cuts windows out of pieces that are stored end to end; graph code.

    Args:
        arrays: Stored steps of pieces (see `parse_stored`), [total_steps, k] each.
        offsets: Where the piece of each window begins in them, int64 [batch].
        num_steps: The length of that piece, int32 [batch].
        starts: The first step of each window; may be negative, int32 [batch].
        size: The windows' number of steps, which may reach past the end.

    Returns:
        Each array as it is stored, [batch, size, k], zero outside its piece; `step`,
        int32 [batch, size], the steps' numbers, below 0 or from num_steps on where
        they lie outside; and `num_steps`, int32 [batch].
    """
    step = starts[:, None] + tf.range(size)
    inside = (step >= 0) & (step < num_steps[:, None])
    nearest = tf.clip_by_value(step, 0, num_steps[:, None] - 1)
    rows = offsets[:, None] + tf.cast(nearest, tf.int64)
    windows = {"step": step, "num_steps": num_steps}
    for name, array in arrays.items():
        stored = tf.gather(array, rows)
        # Packed booleans are zero where their byte is.
        windows[name] = tf.where(inside[..., None], stored, tf.zeros_like(stored))
    return windows
