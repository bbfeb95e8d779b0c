"""How many shards of a split are in memory at a time.

A split that fits is one group of all its shards, read once. A larger one is read group
by group: while one is cut into windows, the next is read.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from tfmusic.data.features import Specs, Tensors, parse_stored
from tfmusic.data.packing import stored_size, stored_type
from tfmusic.data.shards import Shards
from tfmusic.errors import UserError


class Groups:
    """Some shards of a split in groups of equal number.

    Attributes:
        lengths: Steps of each piece, int32 [num_pieces].
        shard_bytes: What each shard takes in memory, int64 [num_shards].
        size: Shards in a group; the last one of a pass may have fewer.
        num_groups: Groups of a pass.
    """

    def __init__(self, shards: Shards, numbers: Sequence[int], max_bytes: int):
        """Makes groups as large as surely fit, whatever the order of the shards.

        Args:
            shards: The split's.
            numbers: Which of them.
            max_bytes: What a group may take in memory; a larger shard is one by itself.
        """
        counts = np.array(shards.piece_counts)
        ends = counts.cumsum()
        pieces = [np.arange(ends[i] - counts[i], ends[i]) for i in numbers]
        self.lengths = shards.lengths[np.concatenate(pieces)]
        self._shards = shards
        self._paths = [shards.paths[i] for i in numbers]
        self._first_piece = np.cumsum([0, *counts[numbers]], dtype=np.int32)
        num_steps = [shards.lengths[p].sum(dtype=np.int64) for p in pieces]
        self.shard_bytes = np.array(num_steps) * step_bytes(shards.specs)
        size = len(numbers)
        if self.shard_bytes.sum() > max_bytes:
            size = max(max_bytes // int(self.shard_bytes.max()), 1)
        self.num_groups = -(-len(numbers) // size)
        self.size = -(-len(numbers) // self.num_groups)

    def shards(self, number: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Which shards are in a group; graph code.

        Args:
            number: Of the group, counted from 0 over all passes, int64 [].
            seed: Decides the order of the shards in each pass, int32 [2]; None: each
                pass takes them as they are.

        Returns:
            int32 [num_shards], at most `size`.
        """
        order = tf.range(len(self._paths))
        if seed is not None and self.num_groups > 1:
            seed = tf.random.fold_in(seed, number // self.num_groups)
            order = tf.random.experimental.stateless_shuffle(order, seed)
        first = tf.cast(number % self.num_groups, tf.int32) * self.size
        return order[first : first + self.size]

    def pieces(self, shards: tf.Tensor) -> tf.Tensor:
        """The numbers of the pieces in some shards, int32 [n]; graph code."""
        first = tf.constant(self._first_piece)
        ranges = tf.ragged.range(tf.gather(first, shards), tf.gather(first, shards + 1))
        return ranges.values

    def hold(self) -> Tensors | None:
        """Reads all into memory if it is one group; as `read`.

        Raises:
            UserError: A file is corrupted.
        """
        if self.num_groups > 1:
            return None
        try:
            # Not on a GPU: windows are cut in main memory.
            with tf.device("cpu"):
                return self.read(self.shards(0))
        except tf.errors.OpError as error:
            raise self._shards.corrupted() from error

    def read(self, shards: tf.Tensor) -> Tensors:
        """Reads shards into memory, which takes twice what they do; graph code.

        Returns:
            The stored steps of their pieces, end to end, [total_steps, k] each.

        Raises:
            tf.errors.OpError: They are corrupted, or not those that are described.
        """
        num_steps = tf.gather(self.lengths, self.pieces(shards))
        total = tf.reduce_sum(tf.cast(num_steps, tf.int64))
        paths = tf.gather(tf.constant(self._paths), shards)
        records = tf.data.TFRecordDataset(paths, self._shards.compression)
        arrays = records.map(self._parse).rebatch(total).get_single_element()
        for array in arrays.values():
            tf.debugging.assert_equal(tf.shape(array, tf.int64)[0], total)
        return arrays

    def _parse(self, record: tf.Tensor) -> Tensors:
        stored = parse_stored(record, self._shards.specs)
        return {name: stored[name] for name in self._shards.specs}


def make_groups(
    shards: Shards,
    memory_megabytes: int,
    *,
    in_order: bool = False,
    worker: int = 0,
    num_workers: int = 1,
) -> Groups:
    """Groups that take a quarter of the memory.

    Args:
        shards: The split's.
        memory_megabytes: About how much memory music may take in all, in MiB.
        in_order: Whether pieces are read in order: a split that does not fit is then
            read shard by shard.
        worker: Whose files to read: every one of its number, counted from 0, and then
            each `num_workers`-th.
        num_workers: Among how many the files are dealt out.

    Raises:
        UserError: The split has no pieces, or none for this worker, or a file of it is
            missing or corrupted.
    """
    split = f"{shards.directory}: the {shards.split} split"
    if not shards.described["num_pieces"]:
        raise UserError(
            f"{split} has no pieces; write a dataset of more music, or with a larger "
            f"--{shards.split}_fraction"
        )
    num_files = len(shards.paths)
    numbers = range(num_files)[worker::num_workers]
    numbers = [i for i in numbers if shards.piece_counts[i]]
    if num_files < num_workers or not numbers:
        raise UserError(
            f"{split} has {num_files} file(s), expected at least one with pieces for "
            f"each of {num_workers} workers; write the dataset again with "
            f"--num_shards={num_workers}, or leave config.train.shard_files out"
        )
    most = memory_megabytes * 2**20 // 4
    groups = Groups(shards, numbers, most)
    if groups.num_groups > 1:
        shards.check()
    if in_order:
        return groups if groups.num_groups == 1 else Groups(shards, numbers, 0)
    if (largest := int(groups.shard_bytes.max())) > most:
        logging.warning(
            "%s takes %d MiB in memory, more than a quarter of "
            "config.train.memory_megabytes (%d); raise that, or write the dataset "
            "again with --num_shards=%d",
            shards.paths[numbers[int(groups.shard_bytes.argmax())]],
            largest >> 20,
            memory_megabytes,
            int(groups.shard_bytes.sum()) // most + 2,
        )
    return groups


def step_bytes(specs: Specs) -> int:
    """Bytes in memory of one step of a piece, over all arrays."""
    return sum(
        stored_size(spec) * np.dtype(stored_type(spec)).itemsize
        for spec in specs.values()
    )
