"""The pieces of a split in memory, end to end and packed as on disk.

Nothing is streamed from disk while a model trains, for music is small: an hour of
MAESTRO takes 0.57 MB as performance events and 1.27 MB as two hands in sixteenths, so
10,000 hours take 5.7 and 12.7 GB. They are held once; what this machine's memory cannot
hold is refused before it is read.
"""

import dataclasses
import math
import os

import numpy as np
import tensorflow as tf

from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.data.features import Specs, Tensors, parse_stored
from tfmusic.data.packing import stored_size, stored_type
from tfmusic.errors import UserError, choose
from tfmusic.representations import Representation

# Where TensorFlow's kernels want arrays to begin, in bytes.
_ALIGNMENT = 64


@dataclasses.dataclass(frozen=True)
class Pieces:
    """The pieces of a split in memory, end to end.

    Attributes:
        representation: What the pieces are encoded with.
        arrays: Stored steps of all pieces, [total_steps, k] each.
        lengths: Number of steps of each piece, int32 [num_pieces].
        offsets: Where each piece begins, int64 [num_pieces].
    """

    representation: Representation
    arrays: Tensors
    lengths: np.ndarray
    offsets: np.ndarray


def load_pieces(
    data_dir: str, split: str, worker: int = 0, num_workers: int = 1
) -> Pieces:
    """Reads a split into memory.

    Args:
        data_dir: A dataset that `pipelines.build_tfrecords` wrote.
        split: `"train"`, `"validation"` or `"test"`.
        worker: Whose files to read: every one of its number, counted from 0, and then
            each `num_workers`-th.
        num_workers: Among how many the files are dealt out.

    Raises:
        UserError: There is no such dataset, or the split has no pieces, or none for
            this worker, or more than fit into this machine's memory, or a file of it is
            damaged.
    """
    info = DatasetInfo.load(data_dir)
    representation = info.make_representation()
    specs = representation.feature_specs
    choose("split", split, info.splits)
    num_steps = info.splits[split]["num_steps"]
    if not num_steps:
        raise UserError(
            f"{data_dir}: the {split} split has no pieces; write a dataset of more "
            f"music, or with a larger --{split}_fraction"
        )
    num_files = len(info.splits[split]["shards"])
    if num_files < num_workers:
        raise UserError(
            f"{data_dir}: the {split} split has {num_files} file(s), expected at least "
            f"one for each of {num_workers} workers; write the dataset again with "
            f"--num_shards={num_workers}, or leave config.train.shard_files out"
        )
    files = slice(worker, None, num_workers)
    records = read_records(info, data_dir, split, files).map(
        lambda record: parse_stored(record, specs), tf.data.AUTOTUNE
    )
    if num_workers > 1:
        num_steps = _count_steps(records, info, data_dir, split)
        if not num_steps:
            raise UserError(
                f"{data_dir}: the {split} files of worker {worker} hold no pieces; "
                f"write the dataset again with --num_shards={num_workers}, or leave "
                "config.train.shard_files out"
            )
    check_memory(f"{data_dir}: the {split} split", num_steps * step_bytes(specs))
    buffers = {
        name: _aligned_buffer((num_steps, stored_size(spec)), stored_type(spec))
        for name, spec in specs.items()
    }
    lengths = []
    offset = 0
    try:
        for record in records.as_numpy_iterator():
            end = offset + record["num_steps"]
            for name, buffer in buffers.items():
                buffer[offset:end] = record[name]
            lengths.append(record["num_steps"])
            offset = end
    except (tf.errors.OpError, ValueError) as error:  # too many steps, for one
        raise damage_of(info, data_dir, split) from error
    if offset != num_steps:
        raise damage_of(info, data_dir, split)
    lengths = np.array(lengths, np.int32)
    # In main memory wherever the model trains: windows are cut there.
    arrays = {
        name: tf.experimental.dlpack.from_dlpack(buffer.__dlpack__())
        for name, buffer in buffers.items()
    }
    offsets = np.cumsum(lengths, dtype=np.int64) - lengths
    return Pieces(representation, arrays, lengths, offsets)


def _count_steps(
    records: tf.data.Dataset, info: DatasetInfo, data_dir: str, split: str
) -> int:
    """The steps of all records; the description does not know those of a file."""
    lengths = records.map(lambda record: tf.cast(record["num_steps"], tf.int64))
    try:
        return int(lengths.reduce(np.int64(0), lambda total, n: total + n))
    except tf.errors.OpError as error:
        raise damage_of(info, data_dir, split) from error


def check_records(info: DatasetInfo, data_dir: str, split: str) -> None:
    """Reads a split through: before long work, not in its midst, damage is to show.

    Raises:
        UserError: There is no such split, or a file of it is missing or damaged.
    """
    try:
        num_records = _count(read_records(info, data_dir, split))
    except tf.errors.OpError as error:
        raise damage_of(info, data_dir, split) from error
    if num_records != info.splits[split]["num_pieces"]:
        raise damage_of(info, data_dir, split)


def _count(records: tf.data.Dataset) -> int:
    return int(records.reduce(np.int64(0), lambda number, _: number + 1))


def damage_of(info: DatasetInfo, data_dir: str, split: str) -> UserError:
    """What is wrong with a split that does not hold what its description says."""
    where, found = f"{data_dir}: the {split} split", "other music than is described"
    for name in info.splits[split]["shards"]:
        path = os.path.join(data_dir, name)
        try:
            _count(tf.data.TFRecordDataset(path, info.compression.upper()))
        except tf.errors.OpError:
            where, found = path, "a record that is cut off or was changed"
            break
    return UserError(
        f"{where}: expected the records that dataset_info.json tells of, found "
        f"{found}; copy the dataset again, or write it again with python -m "
        "pipelines.build_tfrecords ... --overwrite"
    )


def step_bytes(specs: Specs) -> int:
    """Bytes in memory of one step of a piece, over all arrays."""
    return sum(
        stored_size(spec) * np.dtype(stored_type(spec)).itemsize
        for spec in specs.values()
    )


def check_memory(what: str, num_bytes: int) -> None:
    """Refuses what this machine cannot hold in memory.

    Raises:
        UserError: It has less.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if num_bytes > memory:
        raise UserError(
            f"{what} takes {num_bytes / 1e9:,.1f} GB of memory, this machine has "
            f"{memory / 1e9:,.1f} GB; take a larger one, a coarser grid or a part of "
            "the music"
        )


def _aligned_buffer(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """An empty array that TensorFlow can take over as it is, without a copy."""
    num_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = np.empty(num_bytes + _ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % _ALIGNMENT
    return buffer[start : start + num_bytes].view(dtype).reshape(shape)


def read_records(
    info: DatasetInfo, data_dir: str, split: str, files: slice = slice(None)
) -> tf.data.Dataset:
    """The serialised records of a split, or of some of its files, in order.

    Raises:
        UserError: There is no such split, or a file of it is missing.
    """
    choose("split", split, info.splits)
    paths = [os.path.join(data_dir, name) for name in info.splits[split]["shards"]]
    paths = paths[files]
    if missing := [path for path in paths if not tf.io.gfile.exists(path)]:
        raise UserError(
            f"{missing[0]} is missing; write the dataset again with "
            "python -m pipelines.build_tfrecords ... --overwrite"
        )
    return tf.data.TFRecordDataset(
        tf.constant(paths, tf.string, [len(paths)]), info.compression.upper()
    )
