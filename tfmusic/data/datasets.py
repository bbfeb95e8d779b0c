"""tf.data pipelines over the pieces of a dataset.

Windows are cut from pieces in memory (`tfmusic.data.pieces`), so that the training
stream is a function of the seed alone.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfmusic.data.augmentation import Augmentation, augment, steps_to_vary
from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.data.features import Tensors, parse_record
from tfmusic.data.pieces import (
    Pieces,
    check_records,
    damage_of,
    load_pieces,
    read_records,
)
from tfmusic.data.rows import Rows
from tfmusic.data.windows import (
    check_stride,
    cut_windows,
    eval_starts,
    num_train_windows,
    train_starts,
)
from tfmusic.errors import UserError, choose

# Graph code on a batch of windows: (features, number of the batch) -> features.
VaryFn = Callable[[Tensors, tf.Tensor], Tensors]
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
    window_align_steps: int = 1,
    include_end: bool = True,
    consecutive: bool = False,
    augmentation: Augmentation | None = None,
    seed: int,
    skip_batches: int = 0,
    worker: int = 0,
    num_workers: int = 1,
    shard_files: bool = False,
) -> tf.data.Dataset:
    """Endless batches of shuffled windows of the training pieces.

    In each pass over the data every piece yields the same number of windows, at
    another phase, and all windows are shuffled. Batch i depends on the arguments and
    on i alone, so a run that begins at `skip_batches` sees what it would have seen.

    Args:
        data_dir: A dataset that `pipelines.build_tfrecords` wrote.
        example_fn: Turns one window of window_steps + 1 steps (see `cut_windows`) and a
            seed into (x, y, sample_weight).
        batch_size: Windows in a batch of all workers; a pass may end within one.
        window_steps: Input steps of a window.
        window_stride: Steps between the starts of windows; 0 means `window_steps`.
        window_align_steps: The first step that a window learns is a multiple of this,
            and the stride has to be one.
        include_end: Whether the step after the last one is learned.
        consecutive: Whether instead each piece is read from its beginning, each row of
            a batch going on where that of the batch before stopped (see
            `tfmusic.data.rows`); in a pass the pieces of each row are shuffled.
        augmentation: How windows are varied; None for not at all.
        seed: Decides the order, the phases, the variants and the seeds that
            `example_fn` gets.
        skip_batches: Where to begin.
        worker: Whose rows to give; the first worker has the first rows of each batch.
        num_workers: Among how many the rows of a batch are divided.
        shard_files: Whether each worker reads a share of the files alone and fills its
            rows from these, in passes of its own; else all read all files, and batches
            are those of one worker.

    Raises:
        UserError: There is no such dataset, it has no training pieces or more than
            memory holds, or windows cannot be aligned, varied or divided so.
    """
    if batch_size % num_workers:
        raise UserError(
            f"a batch of {batch_size} windows cannot be divided among {num_workers} "
            "workers; expected a multiple of their number"
        )
    stride = check_stride(window_steps, window_stride, window_align_steps)
    stream = 0
    if shard_files:
        pieces = load_pieces(data_dir, "train", worker, num_workers)
        # From here on like a worker that is alone, but for its random numbers.
        stream, batch_size = worker, batch_size // num_workers
        worker, num_workers = 0, 1
    else:
        pieces = load_pieces(data_dir, "train")
    counts = num_train_windows(
        pieces.lengths, window_steps, stride, include_end, window_align_steps
    )
    num_windows = int(counts.sum())
    piece_of_window = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    number_in_piece = np.arange(num_windows) - np.repeat(
        counts.cumsum() - counts, counts
    )
    with tf.device("cpu"):  # independent streams
        seeds = tf.unstack(tf.random.split([seed, stream], 4))
    phase_seed, order_seed, example_seed, variant_seed = seeds
    variations = (augmentation or Augmentation()).variations(pieces.representation)

    def windows_of_pass(index: tf.Tensor) -> tf.data.Dataset:
        phases = window_align_steps * tf.random.stateless_uniform(
            [len(counts)],
            tf.random.fold_in(phase_seed, index),
            0,
            stride // window_align_steps,
            tf.int32,
        )
        starts = train_starts(
            tf.constant(number_in_piece, tf.int32),
            tf.gather(phases, piece_of_window),
            tf.gather(pieces.lengths, piece_of_window),
            window_steps,
            stride,
            include_end,
            window_align_steps,
        )
        windows = tf.stack([piece_of_window, starts], axis=1)
        return tf.data.Dataset.from_tensor_slices(
            tf.random.experimental.stateless_shuffle(
                windows, tf.random.fold_in(order_seed, index)
            )
        )

    if consecutive:
        if variations:
            raise UserError(
                "model.carry_state: windows of a piece follow each other, so they "
                "cannot be varied one by one; set data.transpose_semitones, "
                "data.stretch and data.velocity_shift to 0"
            )
        dealt = Rows(pieces.lengths, batch_size, window_steps, stride, include_end)
        num_windows = dealt.num_batches * batch_size

        def windows_of_pass(index: tf.Tensor) -> tf.data.Dataset:
            windows = dealt.windows(tf.random.fold_in(order_seed, index))
            return tf.data.Dataset.from_tensor_slices(windows)

    first = skip_batches * batch_size
    batches = (
        tf.data.Dataset.counter(first // num_windows)
        .flat_map(windows_of_pass)
        .skip(first % num_windows)
        .batch(batch_size, drop_remainder=True)
        .enumerate(skip_batches)
    )

    share = batch_size // num_workers
    rows = slice(worker * share, worker * share + share)

    def vary(features: Tensors, number: tf.Tensor) -> Tensors:
        seed = tf.random.fold_in(variant_seed, number)
        size = window_steps + 1
        return augment(features, variations, seed, size, rows.start, batch_size)

    size = steps_to_vary(variations, window_steps + 1)
    return _examples(batches, pieces, example_fn, size, example_seed, vary, rows)


def num_train_batches(
    info: DatasetInfo,
    *,
    batch_size: int,
    window_steps: int,
    window_stride: int = 0,
    window_align_steps: int = 1,
    include_end: bool = True,
    consecutive: bool = False,
) -> int:
    """How many batches of `make_train_dataset` one pass over the data takes."""
    lengths = np.array(info.splits["train"]["piece_steps"], np.int64)
    stride = check_stride(window_steps, window_stride, window_align_steps)
    if consecutive:
        dealt = Rows(lengths, batch_size, window_steps, stride, include_end)
        return dealt.num_batches
    counts = num_train_windows(
        lengths, window_steps, stride, include_end, window_align_steps
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
    worker: int = 0,
    num_workers: int = 1,
) -> tf.data.Dataset:
    """All of a split in order, each step learned once, nothing varied.

    Args:
        data_dir: A dataset that `pipelines.build_tfrecords` wrote.
        split: `"train"`, `"validation"` or `"test"`.
        example_fn: As in `make_train_dataset`; its seeds are the same every time.
        batch_size: Windows in a batch; the last one may be smaller.
        window_steps: Input steps of a window. 0 means one window a piece, as long as
            the longest piece of its batch.
        include_end: Whether the step after the last one is learned.
        worker: Whose batches to give: every one of its number, counted from 0, and
            then each `num_workers`-th.
        num_workers: Among how many the batches are dealt out.

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
        .shard(num_workers, worker)
    )
    size = window_steps + 1 if window_steps else None
    return _examples(batches, pieces, example_fn, size, np.zeros([2], np.int32))


def num_eval_batches(
    info: DatasetInfo,
    split: str,
    *,
    batch_size: int,
    window_steps: int = 0,
    include_end: bool = True,
) -> int:
    """How many batches `make_eval_dataset` gives to all workers."""
    num_windows = sum(
        len(eval_starts(n, window_steps or n + 1, include_end))
        for n in info.splits[split]["piece_steps"]
    )
    return -(-num_windows // batch_size)


def _examples(
    batches: tf.data.Dataset,
    pieces: Pieces,
    example_fn: ExampleFn,
    size: int | None,
    seed: tf.Tensor | np.ndarray,
    vary: VaryFn = lambda features, number: features,
    rows: slice = slice(None),
) -> tf.data.Dataset:
    """Cuts numbered batches of (piece, start), and makes examples of them.

    Args:
        batches: (number, int32 [batch, 2]).
        pieces: What to cut from.
        example_fn: As in `make_train_dataset`.
        size: Steps in a window; None takes the longest piece of the batch, from step -1
            to the one after its end.
        seed: Where the windows' seeds come from, int32 [2].
        vary: Makes other windows of the features of a batch, given its number.
        rows: Which rows of each batch are wanted.
    """

    # Autograph would wrap a user's error, and `example_fn` is graph code without it.
    @tf.autograph.experimental.do_not_convert
    def make_batch(number: tf.Tensor, windows: tf.Tensor) -> Any:
        seeds = tf.random.stateless_uniform(
            tf.shape(windows), tf.random.fold_in(seed, number), None, None, tf.int32
        )[rows]
        piece, starts = tf.unstack(windows[rows], axis=1)
        num_steps = tf.gather(pieces.lengths, piece)
        features = cut_windows(
            pieces.arrays,
            pieces.representation.feature_specs,
            tf.gather(pieces.offsets, piece),
            num_steps,
            starts,
            tf.reduce_max(num_steps) + 2 if size is None else size,
        )
        features = vary(features, number)
        # All windows at once: twelve times faster for tokens than one by one.
        return tf.vectorized_map(lambda args: example_fn(*args), (features, seeds))

    # Rewriting the graph would copy the pieces, which it holds.
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    return (
        batches.map(make_batch, tf.data.AUTOTUNE)
        .prefetch(PREFETCH_BATCHES)
        .with_options(options)
    )


def make_piece_dataset(data_dir: str, split: str) -> tf.data.Dataset:
    """The whole pieces of a split in order, as `parse_record` gives them.

    Raises:
        UserError: There is no such dataset or split, or a file of it is damaged.
    """
    info = DatasetInfo.load(data_dir)
    check_records(info, data_dir, split)
    return _parse_records(info, data_dir, split)


def _parse_records(info: DatasetInfo, data_dir: str, split: str) -> tf.data.Dataset:
    specs = info.make_representation().feature_specs
    return read_records(info, data_dir, split).map(
        lambda record: parse_record(record, specs)
    )


def read_piece(data_dir: str, split: str, number: int) -> dict[str, Any]:
    """One whole piece, as numpy arrays and Python strings.

    Args:
        data_dir: A dataset that `pipelines.build_tfrecords` wrote.
        split: `"train"`, `"validation"` or `"test"`.
        number: Which piece of the split, from 0.

    Raises:
        UserError: There is no such dataset, split or piece, or it is damaged.
    """
    info = DatasetInfo.load(data_dir)
    choose("split", split, info.splits)
    num_pieces = int(info.splits[split]["num_pieces"])
    if not 0 <= number < num_pieces:
        raise UserError(
            f"piece {number}: the {split} split of {data_dir} has {num_pieces} pieces, "
            "numbered from 0"
        )
    dataset = _parse_records(info, data_dir, split).skip(number).take(1)
    try:
        piece = next(dataset.as_numpy_iterator())
    except (tf.errors.OpError, StopIteration) as error:
        raise damage_of(info, data_dir, split) from error
    return {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in piece.items()
    }
