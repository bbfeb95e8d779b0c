"""Batches whose rows go on where those of the batch before stopped.

For training that carries a recurrent state from batch to batch, as truncated
back-propagation through time does. Pieces are dealt out to the rows of a batch; a row
is its pieces one after another, each cut into windows that follow each other without a
gap, and batch i holds the i-th window of each row.
"""

import heapq

import numpy as np
import tensorflow as tf

from tfmusic.errors import UserError


class Rows:
    """How the pieces of a dataset are dealt out.

    Attributes:
        num_batches: Batches of a pass over the data: the longest row's windows. Rows
            differ by less than the longest piece.
    """

    def __init__(
        self,
        num_steps: np.ndarray,
        num_rows: int,
        window_steps: int,
        stride: int,
        include_end: bool,
    ):
        """Deals out pieces, the longest first, each to the row that has least.

        Args:
            num_steps: Lengths of pieces, int [num_pieces].
            num_rows: Rows of a batch.
            window_steps: Input steps of a window.
            stride: Steps between the starts of two windows, `window_steps`.
            include_end: Whether the end of a piece is learned.

        Raises:
            UserError: Windows would overlap or leave a gap.
        """
        if stride != window_steps:
            raise UserError(
                f"data.window_stride is {stride}: expected data.window_steps "
                f"({window_steps}) or 0 with model.carry_state, whose windows follow "
                "each other"
            )
        self._num_steps = np.asarray(num_steps, np.int32)
        self._num_rows = num_rows
        self._window_steps = window_steps
        learned = np.asarray(num_steps, np.int64) + int(include_end)
        self._counts = np.maximum(-(-learned // window_steps), 1).astype(np.int32)
        loads = [(0, row) for row in range(num_rows)]
        self._row = np.zeros(len(learned), np.int32)
        for piece in np.argsort(-self._counts, kind="stable"):
            load, self._row[piece] = loads[0]
            heapq.heapreplace(
                loads, (load + int(self._counts[piece]), int(self._row[piece]))
            )
        self.num_batches = max(load for load, _ in loads)

    def windows(self, seed: tf.Tensor) -> tf.Tensor:
        """The windows of a pass, batch by batch; graph code.

        Args:
            seed: Decides the order of the pieces of each row, int32 [2].

        Returns:
            Piece and start of each window, int32 [num_batches * num_rows, 2]. Rows that
            are through get windows beyond the end of a piece, where nothing is learned.
        """
        pieces = tf.random.experimental.stateless_shuffle(
            tf.range(len(self._counts)), seed
        )
        pieces = tf.gather(
            pieces, tf.argsort(tf.gather(self._row, pieces), stable=True)
        )
        counts = tf.gather(self._counts, pieces)
        piece = tf.repeat(pieces, counts)
        row = tf.gather(self._row, piece)
        number = _count_up(counts)
        place = _count_up(tf.math.bincount(row, minlength=self._num_rows))
        starts = number * self._window_steps - 1
        nothing = [0, int(self._num_steps[0]) + 1]
        shape = [self.num_batches, self._num_rows]
        windows = tf.tensor_scatter_nd_update(
            tf.fill([*shape, 2], 0) + nothing,
            tf.stack([place, row], axis=1),
            tf.stack([piece, starts], axis=1),
        )
        return tf.reshape(windows, [-1, 2])  # [batch * row, 2]


def _count_up(counts: tf.Tensor) -> tf.Tensor:
    """0, 1, ... anew for each count: [2, 3] gives [0, 1, 0, 1, 2]."""
    before = tf.repeat(tf.cumsum(counts, exclusive=True), counts)
    return tf.range(tf.reduce_sum(counts)) - before
