"""tf.data pipelines over the pieces of a dataset.

Pieces are small arrays, packed as on disk; a split is held in memory end to end, so
that a window is an index into it and the training stream a function of the seed alone.
"""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.data.features import Specs, Tensors, parse_record, parse_stored
from tfmusic.data.windows import (
    cut_windows,
    eval_starts,
    num_train_windows,
    train_starts,
)
from tfmusic.errors import UserError, choose

# Graph code on one window: (features, seed int32 [2]) -> (x, y, sample_weight).
ExampleFn = Callable[[Tensors, tf.Tensor], Any]

# Enough to hide the work; tf.data would hold gigabytes of rolls if it chose itself.
PREFETCH_BATCHES = 4


def make_train_dataset(
    data_dir: str,
    *,
    example_fn: ExampleFn,
    batch_size: int,
    window_steps: int,
    window_stride: int = 0,
    include_end: bool = True,
    seed: int,
    skip_batches: int = 0,
) -> tf.data.Dataset:
    """Endless batches of shuffled windows of the training pieces.

    In each pass over the data every piece yields the same number of windows, at
    another phase, and all windows are shuffled. Batch i depends on the arguments and
    on i alone, so a run that begins at `skip_batches` sees what it would have seen.

    Args:
        data_dir: A dataset that `pipelines.build_tfrecords` wrote.
        example_fn: Turns one window of window_steps + 1 steps (see `cut_windows`) and a
            seed into (x, y, sample_weight).
        batch_size: Windows in a batch; a pass may end within one.
        window_steps: Input steps of a window.
        window_stride: Steps between the starts of windows; 0 means `window_steps`.
        include_end: Whether the step after the last one is learned.
        seed: Decides the order, the phases and the seeds that `example_fn` gets.
        skip_batches: Where to begin.

    Raises:
        UserError: There is no such dataset, or it has no training pieces.
    """
    pieces = load_pieces(data_dir, "train")
    stride = window_stride or window_steps
    counts = num_train_windows(pieces.lengths, window_steps, stride, include_end)
    num_windows = int(counts.sum())
    piece_of_window = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    number_in_piece = np.arange(num_windows) - np.repeat(
        counts.cumsum() - counts, counts
    )
    with tf.device("cpu"):  # three independent streams
        phase_seed, order_seed, example_seed = tf.unstack(tf.random.split([seed, 0], 3))

    def windows_of_pass(index: tf.Tensor) -> tf.data.Dataset:
        phases = tf.random.stateless_uniform(
            [len(counts)], tf.random.fold_in(phase_seed, index), 0, stride, tf.int32
        )
        starts = train_starts(
            tf.constant(number_in_piece, tf.int32),
            tf.gather(phases, piece_of_window),
            tf.gather(pieces.lengths, piece_of_window),
            window_steps,
            stride,
            include_end,
        )
        windows = tf.stack([piece_of_window, starts], axis=1)
        return tf.data.Dataset.from_tensor_slices(
            tf.random.experimental.stateless_shuffle(
                windows, tf.random.fold_in(order_seed, index)
            )
        )

    first = skip_batches * batch_size
    batches = (
        tf.data.Dataset.counter(first // num_windows)
        .flat_map(windows_of_pass)
        .skip(first % num_windows)
        .batch(batch_size, drop_remainder=True)
        .enumerate(skip_batches)
    )
    return _examples(batches, pieces, example_fn, window_steps + 1, example_seed)


def num_train_batches(
    info: DatasetInfo,
    *,
    batch_size: int,
    window_steps: int,
    window_stride: int = 0,
    include_end: bool = True,
) -> int:
    """How many batches of `make_train_dataset` one pass over the data takes."""
    counts = num_train_windows(
        np.array(info.splits["train"]["piece_steps"], np.int64),
        window_steps,
        window_stride or window_steps,
        include_end,
    )
    return -(-int(counts.sum()) // batch_size)


def make_eval_dataset(
    data_dir: str,
    split: str,
    *,
    example_fn: ExampleFn,
    batch_size: int,
    window_steps: int = 0,
    include_end: bool = True,
) -> tf.data.Dataset:
    """All of a split in order, each step learned once.

    Args:
        data_dir: A dataset that `pipelines.build_tfrecords` wrote.
        split: `"train"`, `"validation"` or `"test"`.
        example_fn: As in `make_train_dataset`; its seeds are the same every time.
        batch_size: Windows in a batch; the last one may be smaller.
        window_steps: Input steps of a window. 0 means one window a piece, as long as
            the longest piece of its batch.
        include_end: Whether the step after the last one is learned.

    Raises:
        UserError: There is no such dataset, or the split has no pieces.
    """
    pieces = load_pieces(data_dir, split)
    windows = [
        (piece, start)
        for piece, n in enumerate(pieces.lengths)
        for start in eval_starts(n, window_steps or n + 1, include_end)
    ]
    batches = (
        tf.data.Dataset.from_tensor_slices(np.array(windows, np.int32))
        .batch(batch_size)
        .enumerate()
    )
    size = window_steps + 1 if window_steps else None
    return _examples(batches, pieces, example_fn, size, np.zeros([2], np.int32))


def _examples(
    batches: tf.data.Dataset,
    pieces: "Pieces",
    example_fn: ExampleFn,
    size: int | None,
    seed: tf.Tensor | np.ndarray,
) -> tf.data.Dataset:
    """Cuts numbered batches of (piece, start), and makes examples of them.

    Args:
        batches: (number, int32 [batch, 2]).
        pieces: What to cut from.
        example_fn: As in `make_train_dataset`.
        size: Steps in a window; None takes the longest piece of the batch, from step -1
            to the one after its end.
        seed: Where the windows' seeds come from, int32 [2].
    """

    def make_batch(number: tf.Tensor, windows: tf.Tensor) -> Any:
        piece, starts = tf.unstack(windows, axis=1)
        num_steps = tf.gather(pieces.lengths, piece)
        features = cut_windows(
            pieces.arrays,
            pieces.specs,
            tf.gather(pieces.offsets, piece),
            num_steps,
            starts,
            tf.reduce_max(num_steps) + 2 if size is None else size,
        )
        seeds = tf.random.stateless_uniform(
            tf.shape(windows), tf.random.fold_in(seed, number), None, None, tf.int32
        )
        # All windows at once: twelve times faster for tokens than one by one.
        return tf.vectorized_map(lambda args: example_fn(*args), (features, seeds))

    return batches.map(make_batch, tf.data.AUTOTUNE).prefetch(PREFETCH_BATCHES)


def make_piece_dataset(data_dir: str, split: str) -> tf.data.Dataset:
    """The whole pieces of a split in order, as `parse_record` gives them.

    Raises:
        UserError: There is no such dataset or split.
    """
    info = DatasetInfo.load(data_dir)
    specs = info.make_representation().feature_specs
    return _records(info, data_dir, split).map(
        lambda record: parse_record(record, specs)
    )


def read_piece(data_dir: str, split: str, number: int) -> dict[str, Any]:
    """One whole piece, as numpy arrays and Python strings.

    Args:
        data_dir: A dataset that `pipelines.build_tfrecords` wrote.
        split: `"train"`, `"validation"` or `"test"`.
        number: Which piece of the split, from 0.

    Raises:
        UserError: There is no such dataset, split or piece.
    """
    num_pieces = int(DatasetInfo.load(data_dir).splits[split]["num_pieces"])
    if not 0 <= number < num_pieces:
        raise UserError(
            f"piece {number}: the {split} split of {data_dir} has {num_pieces} pieces, "
            "numbered from 0"
        )
    dataset = make_piece_dataset(data_dir, split).skip(number).take(1)
    piece = next(dataset.as_numpy_iterator())
    return {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in piece.items()
    }


@dataclasses.dataclass(frozen=True)
class Pieces:
    """The pieces of a split in memory, end to end.

    Attributes:
        arrays: Stored steps of all pieces, [total_steps, k] each.
        specs: The arrays' specs.
        lengths: Number of steps of each piece, int32 [num_pieces].
        offsets: Where each piece begins, int64 [num_pieces].
    """

    arrays: Tensors
    specs: Specs
    lengths: np.ndarray
    offsets: np.ndarray


def load_pieces(data_dir: str, split: str) -> Pieces:
    """Reads a split into memory.

    Raises:
        UserError: There is no such dataset, or the split has no pieces.
    """
    info = DatasetInfo.load(data_dir)
    specs = info.make_representation().feature_specs
    records = list(
        _records(info, data_dir, split)
        .map(lambda record: parse_stored(record, specs), tf.data.AUTOTUNE)
        .as_numpy_iterator()
    )
    if not records:
        raise UserError(
            f"{data_dir}: the {split} split has no pieces; write a dataset of more "
            f"music, or with a larger --{split}_fraction"
        )
    lengths = np.array([record["num_steps"] for record in records], np.int32)
    # In main memory wherever the model trains: windows are cut there.
    with tf.device("cpu"):
        arrays = {
            name: tf.constant(np.concatenate([record[name] for record in records]))
            for name in specs
        }
    offsets = np.cumsum(lengths, dtype=np.int64) - lengths
    return Pieces(arrays, specs, lengths, offsets)


def _records(info: DatasetInfo, data_dir: str, split: str) -> tf.data.Dataset:
    choose("split", split, info.splits)
    paths = [os.path.join(data_dir, name) for name in info.splits[split]["shards"]]
    if missing := [path for path in paths if not tf.io.gfile.exists(path)]:
        raise UserError(
            f"{missing[0]} is missing; write the dataset again with "
            "python -m pipelines.build_tfrecords ... --overwrite"
        )
    return tf.data.TFRecordDataset(
        tf.constant(paths, tf.string, [len(paths)]), info.compression.upper()
    )
