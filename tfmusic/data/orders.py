"""The order in which windows are cut from a split, one group of shards at a time."""

import abc
import heapq

import numpy as np
import tensorflow as tf

from tfmusic.data.features import Tensors
from tfmusic.data.groups import Groups
from tfmusic.data.windows import Windows, cut_windows


class Order(abc.ABC):
    """Which windows there are in each group, and in which order.

    Attributes:
        num_windows: Windows of one pass over the data.
    """

    num_windows: int

    def __init__(self, windows: Windows, groups: Groups):
        """Keeps what to cut from."""
        self._windows = windows
        self._groups = groups

    def shards(self, number: tf.Tensor) -> tf.Tensor:
        """The shards of a group counted over all passes, int32 [n]; graph code."""
        return self._groups.shards(number)

    def pieces(self, number: tf.Tensor) -> tf.Tensor:
        """The pieces of that group, int32 [n]; graph code."""
        return self._groups.pieces(self.shards(number))

    @abc.abstractmethod
    def windows(self, number: tf.Tensor) -> tf.Tensor:
        """The windows of that group: piece and start, int32 [n, 2]; graph code."""

    def place(
        self,
        starts: tf.Tensor,
        offsets: tf.Tensor,
        num_steps: tf.Tensor,
        arrays: Tensors,
    ) -> tf.Tensor:
        """Starts that take the music to know; graph code.

        Args:
            starts: What `windows` gave, int32 [n].
            offsets: Where the piece of each window begins in the arrays, int64 [n].
            num_steps: The length of that piece, int32 [n].
            arrays: Of the group, [total_steps, k] each.

        Returns:
            The first step of each window, int32 [n].
        """
        del offsets, num_steps, arrays
        return starts

    def cut(
        self, numbers: tf.data.Dataset, size: int, block_size: int
    ) -> tf.data.Dataset:
        """The windows as `cut_windows` gives them, in blocks of about one batch.

        Args:
            numbers: Of groups, each with how many of its windows to skip.
            size: Steps of a window.
            block_size: Windows in a block; the last one of a group may have fewer.
        """
        held, lengths = self._groups.hold(), self._groups.lengths

        # Autograph would take a third of the time that it takes to begin, for nothing.
        @tf.autograph.experimental.do_not_convert
        def read(number: tf.Tensor, skipped: tf.Tensor):
            is_held = held is not None
            arrays = held if is_held else self._groups.read(self.shards(number))
            return number, skipped, arrays

        @tf.autograph.experimental.do_not_convert
        def cut_group(number: tf.Tensor, skipped: tf.Tensor, arrays: Tensors):
            pieces = self.pieces(number)
            num_steps = tf.cast(tf.gather(lengths, pieces), tf.int64)
            offsets = tf.scatter_nd(
                pieces[:, None], tf.cumsum(num_steps, exclusive=True), [len(lengths)]
            )

            @tf.autograph.experimental.do_not_convert
            def cut(windows: tf.Tensor) -> Tensors:
                piece, starts = tf.unstack(windows, axis=1)
                num_steps, offset = tf.gather(lengths, piece), tf.gather(offsets, piece)
                starts = self.place(starts, offset, num_steps, arrays)
                return cut_windows(arrays, offset, num_steps, starts, size)

            windows = self.windows(number)[skipped:]
            return (
                tf.data.Dataset.from_tensor_slices(windows).batch(block_size).map(cut)
            )

        # One group is read while that before it is cut.
        return numbers.map(read).prefetch(1).flat_map(cut_group)

    def find(self, place: int) -> tuple[int, int]:
        """Where a window is that is counted over all passes.

        Returns:
            The number of its group, and its place among the windows of that.
        """
        num_passes, rest = divmod(place, self.num_windows)
        number = num_passes * self._groups.num_groups
        if rest:
            while rest >= (size := self._num_windows_in(number)):
                rest -= size
                number += 1
        return number, rest

    def _num_windows_in(self, number: int) -> int:
        return len(self.windows(tf.constant(number, tf.int64)))


class InOrder(Order):
    """Every piece from its beginning, each step learned once: for evaluation."""

    def __init__(self, windows: Windows, groups: Groups):
        """Counts windows."""
        super().__init__(windows, groups)
        self._counts = windows.count_in_order(groups.lengths)
        self.num_windows = int(self._counts.sum(dtype=np.int64))

    def windows(self, number: tf.Tensor) -> tf.Tensor:
        """Piece by piece."""
        pieces = self.pieces(number)
        return _in_order(pieces, tf.gather(self._counts, pieces), self._windows.steps)


class Shuffled(Order):
    """Each pass at another phase, with shards and the windows of a group shuffled."""

    def __init__(self, windows: Windows, groups: Groups, seeds: tf.Tensor):
        """Counts windows.

        Args:
            windows: Which.
            groups: Of shards.
            seeds: Of the phases and of the order, int32 [2, 2].
        """
        super().__init__(windows, groups)
        self._counts = windows.count_shuffled(groups.lengths)
        self.num_windows = int(self._counts.sum(dtype=np.int64))
        self._phase_seed, self._order_seed = tf.unstack(seeds)

    def shards(self, number: tf.Tensor) -> tf.Tensor:
        """In another order in each pass."""
        # Groups are counted from 0, so this seed is none of theirs.
        return self._groups.shards(number, tf.random.fold_in(self._order_seed, -1))

    def windows(self, number: tf.Tensor) -> tf.Tensor:
        """All windows of the group, shuffled."""
        windows, lengths = self._windows, self._groups.lengths
        phases = tf.random.stateless_uniform(
            [len(lengths)],
            tf.random.fold_in(self._phase_seed, number // self._groups.num_groups),
            0,
            windows.stride,
            tf.int32,
        )
        pieces = self.pieces(number)
        counts = tf.gather(self._counts, pieces)
        pieces = tf.repeat(pieces, counts)
        starts = windows.shuffled_starts(
            _count_up(counts), tf.gather(phases, pieces), tf.gather(lengths, pieces)
        )
        return tf.random.experimental.stateless_shuffle(
            tf.stack([pieces, starts], axis=1),
            tf.random.fold_in(self._order_seed, number),
        )


class Drawn(Shuffled):
    """As many windows as `Shuffled` has, each from a random measure of a random piece.

    All pieces of a group are equally likely, and so are those measures of a piece from
    which a window fits. The first step that is learned is the measure's.
    """

    def windows(self, number: tf.Tensor) -> tf.Tensor:
        """A random piece of the group each, and a random number."""
        pieces = self.pieces(number)
        num_windows = tf.reduce_sum(tf.gather(self._counts, pieces))
        random = tf.random.stateless_uniform(
            [num_windows, 2],
            tf.random.fold_in(self._order_seed, number),
            0,
            2**31 - 1,
            tf.int32,
        )
        drawn = tf.gather(pieces, random[:, 0] % tf.size(pieces))
        return tf.stack([drawn, random[:, 1]], axis=1)

    def place(
        self,
        starts: tf.Tensor,
        offsets: tf.Tensor,
        num_steps: tf.Tensor,
        arrays: Tensors,
    ) -> tf.Tensor:
        """Chooses a measure by the random number; the piece's beginning without any."""
        bar_lines = tf.where(arrays["bar_position"][:, 0] == 0)[:, 0]
        slack = num_steps + int(self._windows.include_end) - self._windows.steps
        last = offsets + tf.cast(tf.maximum(slack, 0), tf.int64)
        first = tf.searchsorted(bar_lines, offsets)
        count = tf.searchsorted(bar_lines, last, side="right") - first
        chosen = first + starts % tf.maximum(count, 1)
        lines = tf.gather(tf.concat([bar_lines, last[:1]], axis=0), chosen)
        return tf.where(count > 0, tf.cast(lines - offsets, tf.int32), 0) - 1


class Rows(Order):
    """Batches whose rows continue where those of the batch before stopped.

    For stateful training: a recurrent state goes from batch to batch (truncated
    back-propagation through time). The pieces of a group are dealt out to the rows of a
    batch; a row is its pieces one after another, each cut into windows that follow each
    other without a gap, and batch i of the group holds the i-th window of each row.
    Groups are the same in each pass; the pieces of each row are shuffled.

    Attributes:
        num_batches: Batches of each group: the windows of its longest row. Rows differ
            by less than the longest piece.
    """

    def __init__(
        self, windows: Windows, groups: Groups, seed: tf.Tensor, num_rows: int
    ):
        """Deals out pieces, the longest first, each to the row that has least.

        Args:
            windows: Which.
            groups: Of shards.
            seed: Decides the order of the pieces of each row, int32 [2].
            num_rows: Rows of a batch.
        """
        super().__init__(windows, groups)
        self._seed = seed
        self._num_rows = num_rows
        self._counts = windows.count_in_order(groups.lengths)
        self._row = np.zeros(len(self._counts), np.int32)
        num_batches = []
        for number in range(groups.num_groups):
            pieces = self.pieces(tf.constant(number, tf.int64)).numpy()
            loads = [(0, row) for row in range(num_rows)]  # a heap
            for i in np.argsort(-self._counts[pieces], kind="stable"):
                piece = pieces[i]
                load, self._row[piece] = loads[0]
                load += int(self._counts[piece])
                heapq.heapreplace(loads, (load, int(self._row[piece])))
            num_batches.append(max(load for load, _ in loads))
        self.num_batches = np.array(num_batches, np.int32)
        self.num_windows = int(self.num_batches.sum(dtype=np.int64)) * num_rows

    def windows(self, number: tf.Tensor) -> tf.Tensor:
        """Batch by batch.

        Rows that are through get windows beyond the end of a piece, where nothing is
        learned.
        """
        in_order = self.pieces(number)
        pieces = tf.random.experimental.stateless_shuffle(
            in_order, tf.random.fold_in(self._seed, number)
        )
        by_row = tf.argsort(tf.gather(self._row, pieces), stable=True)
        pieces = tf.gather(pieces, by_row)
        counts = tf.gather(self._counts, pieces)
        windows = _in_order(pieces, counts, self._windows.steps)
        row = tf.gather(self._row, windows[:, 0])
        place = _count_up(tf.math.bincount(row, minlength=self._num_rows))
        nothing = [in_order[0], tf.gather(self._groups.lengths, in_order[0]) + 1]
        num_batches = tf.gather(self.num_batches, number % self._groups.num_groups)
        dealt = tf.tensor_scatter_nd_update(
            tf.fill([num_batches, self._num_rows, 2], 0) + nothing,
            tf.stack([place, row], axis=1),
            windows,
        )
        return tf.reshape(dealt, [-1, 2])  # [batch * row, 2]


def _in_order(pieces: tf.Tensor, counts: tf.Tensor, steps: int) -> tf.Tensor:
    """So many windows of each piece, one after another: piece and start, [n, 2]."""
    starts = _count_up(counts) * steps - 1
    return tf.stack([tf.repeat(pieces, counts), starts], axis=1)


def _count_up(counts: tf.Tensor) -> tf.Tensor:
    """0, 1, ... anew for each count: [2, 3] gives [0, 1, 0, 1, 2]."""
    before = tf.repeat(tf.cumsum(counts, exclusive=True), counts)
    return tf.range(tf.reduce_sum(counts)) - before
