"""A dataset of encoded pieces, and the batches that models learn from.

    dataset = Dataset.open("data")
    windows = Windows(DataSettings(window_steps=64))
    for x, y, weight in dataset.train(windows, model.example_fn, batch_size=8, seed=0):
        ...

Windows are cut from pieces in memory. A split that takes more than a quarter of
`memory_megabytes` is streamed in groups of shards of that size: one is learned, the
next is read meanwhile (twice in memory for a moment, as it is put together), and the
last quarter is left for validation.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfmusic.data.augmentation import augment, steps_to_vary
from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.data.features import Tensors, unpack
from tfmusic.data.groups import Groups, make_groups
from tfmusic.data.orders import Drawn, InOrder, Rows, Shuffled
from tfmusic.data.shards import Shards
from tfmusic.data.windows import Windows
from tfmusic.errors import UserError
from tfmusic.representations import Representation

# Graph code on one window: (features, seed int32 [2]) -> (x, y, sample_weight).
ExampleFn = Callable[[Tensors, tf.Tensor], Any]
# Graph code on a batch of windows: (features, number of the batch) -> features.
_VaryFn = Callable[[Tensors, tf.Tensor], Tensors]

# Enough to hide the work; tf.data would hold gigabytes of rolls if it chose itself.
PREFETCH_BATCHES = 4


class Dataset:
    """What a job wrote into a directory.

    Attributes:
        directory: Where it is.
        info: What `dataset_info.json` says.
        representation: What the pieces are encoded with.
    """

    def __init__(self, directory: str, info: DatasetInfo, memory_megabytes: int = 1024):
        """Takes a description that has been read; see `open`."""
        self.directory = directory
        self.info = info
        self.representation: Representation = info.make_representation()
        self._memory_megabytes = memory_megabytes
        self._shards = functools.cache(functools.partial(Shards, directory, info))

    @classmethod
    def open(cls, directory: str, memory_megabytes: int = 1024) -> "Dataset":
        """Reads the description of a dataset.

        Args:
            directory: What `pipelines.build_tfrecords` wrote.
            memory_megabytes: About how much memory music may take, in MiB; see above.

        Raises:
            UserError: The directory holds no dataset, or one that is half-written or of
                another version.
        """
        return cls(directory, DatasetInfo.load(directory), memory_megabytes)

    def check_records(self, split: str) -> None:
        """Reads a split through, so that faults show before long work, not in it.

        Raises:
            UserError: There is no such split, or a file of it is missing or corrupted.
        """
        self._shards(split).check()

    def pieces(self, split: str) -> tf.data.Dataset:
        """The whole pieces of a split in order, as `parse_record` gives them.

        Raises:
            UserError: There is no such split, or a file of it is missing or corrupted.
        """
        self.check_records(split)
        return self._shards(split).pieces()

    def piece(self, split: str, number: int) -> dict[str, Any]:
        """One whole piece, as numpy arrays and Python strings.

        Args:
            split: `"train"`, `"validation"` or `"test"`.
            number: Which piece of the split, from 0.

        Raises:
            UserError: There is no such split or piece, or it is corrupted.
        """
        shards = self._shards(split)
        num_pieces = len(shards.lengths)
        if not 0 <= number < num_pieces:
            raise UserError(
                f"piece {number}: the {split} split of {self.directory} has "
                f"{num_pieces} pieces, numbered from 0"
            )
        found = shards.pieces().skip(number).take(1)
        try:
            piece = next(found.as_numpy_iterator())
        except (tf.errors.OpError, StopIteration) as error:
            raise shards.corrupted() from error
        return {
            name: value.decode() if isinstance(value, bytes) else value
            for name, value in piece.items()
        }

    def train(
        self,
        windows: Windows,
        example_fn: ExampleFn,
        *,
        batch_size: int,
        seed: int,
        skip_batches: int = 0,
        worker: int = 0,
        num_workers: int = 1,
        shard_files: bool = False,
    ) -> tf.data.Dataset:
        """Endless batches of windows of the training pieces.

        In each pass over the data every piece yields the same number of windows, at
        another phase. All windows are shuffled where the split fits in memory; of a
        larger one each pass takes the shards in another order, and the windows within a
        group of shards are shuffled. Batch i depends on the arguments, the memory and i
        alone, so a run that begins at `skip_batches` sees what it would have seen.

        Args:
            windows: Which windows, and how they are varied.
            example_fn: Turns one window of `windows.steps` + 1 steps (see
                `cut_windows`) and a seed into (x, y, sample_weight).
            batch_size: Windows in a batch of all workers; a pass may end within one.
            seed: Decides the order, the phases, the variants and the seeds that
                `example_fn` gets.
            skip_batches: Where to begin.
            worker: Whose rows to give; the first worker has the first rows of each
                batch.
            num_workers: Among how many the rows of a batch are divided.
            shard_files: Whether each worker reads its own part of the files alone and
                fills its rows from these, in passes of its own; else all read all
                files, and batches are those of one worker.

        Raises:
            UserError: There are no training pieces or they are corrupted, or windows
                cannot be varied or divided so.
        """
        if batch_size % num_workers:
            raise UserError(
                f"a batch of {batch_size} windows cannot be divided among "
                f"{num_workers} workers; expected a multiple of their number"
            )
        known = self.representation.feature_specs
        if windows.settings.draw_measures and "bar_position" not in known:
            raise UserError(
                f"config.data.draw_measures: {self.representation.name} does not say "
                "where measures begin; set it to False"
            )
        variations = windows.settings.variations(self.representation)
        stream = 0
        if shard_files:
            groups = self._groups("train", worker=worker, num_workers=num_workers)
            # From here on like a worker that is alone, but for its random numbers.
            stream, batch_size = worker, batch_size // num_workers
            worker, num_workers = 0, 1
        else:
            groups = self._groups("train")
        with tf.device("cpu"):
            seeds = tf.random.split([seed, stream], 4)
            if windows.consecutive:
                order = Rows(windows, groups, seeds[1], batch_size)
            else:
                kind = Drawn if windows.settings.draw_measures else Shuffled
                order = kind(windows, groups, seeds[:2])
            first, skipped = order.find(skip_batches * batch_size)
        numbers = tf.data.Dataset.counter(first).map(
            lambda number: (number, skipped * tf.cast(number == first, tf.int32))
        )
        size = windows.steps + 1
        batches = (
            order.cut(numbers, steps_to_vary(variations, size), batch_size)
            .rebatch(batch_size, drop_remainder=True)
            .enumerate(skip_batches)
        )
        num_rows = batch_size // num_workers
        rows = slice(worker * num_rows, worker * num_rows + num_rows)

        def vary(features: Tensors, number: tf.Tensor) -> Tensors:
            seed = tf.random.fold_in(seeds[3], number)
            return augment(features, variations, seed, size, rows.start, batch_size)

        return self._examples(batches, example_fn, seeds[2], vary, rows)

    def num_train_batches(self, windows: Windows, batch_size: int) -> int:
        """How many batches of `train` one pass over the data takes."""
        if windows.consecutive:
            groups = self._groups("train")
            return int(Rows(windows, groups, [0, 0], batch_size).num_batches.sum())
        counts = windows.count_shuffled(self._shards("train").lengths)
        return -(-int(counts.sum(dtype=np.int64)) // batch_size)

    def evaluation(
        self,
        split: str,
        windows: Windows,
        example_fn: ExampleFn,
        *,
        batch_size: int,
        worker: int = 0,
        num_workers: int = 1,
    ) -> tf.data.Dataset:
        """All of a split in order, each step learned once, nothing varied.

        Args:
            split: `"train"`, `"validation"` or `"test"`.
            windows: How long they are, and whether the ends of pieces are learned.
            example_fn: As in `train`; its seeds are the same every time.
            batch_size: Windows in a batch; the last one may be smaller.
            worker: Whose batches to give: every one of its number, counted from 0, and
                then each `num_workers`-th.
            num_workers: Among how many the batches are dealt out.

        Raises:
            UserError: There is no such split, or it has no pieces or is corrupted.
        """
        groups = self._groups(split, in_order=True)
        numbers = tf.data.Dataset.range(groups.num_groups).map(lambda n: (n, 0))
        batches = (
            InOrder(windows, groups)
            .cut(numbers, windows.steps + 1, batch_size)
            .rebatch(batch_size)
            .enumerate()
            .shard(num_workers, worker)
        )
        total = self.num_evaluation_batches(split, windows, batch_size)
        own = len(range(worker, total, num_workers))
        examples = self._examples(batches, example_fn, np.zeros([2], np.int32))
        return examples.apply(tf.data.experimental.assert_cardinality(own))

    def num_evaluation_batches(
        self, split: str, windows: Windows, batch_size: int
    ) -> int:
        """How many batches `evaluation` gives to all workers."""
        counts = windows.count_in_order(self._shards(split).lengths)
        return -(-int(counts.sum(dtype=np.int64)) // batch_size)

    def _groups(self, split: str, **kwargs: Any) -> Groups:
        return make_groups(self._shards(split), self._memory_megabytes, **kwargs)

    def _examples(
        self,
        batches: tf.data.Dataset,
        example_fn: ExampleFn,
        seed: tf.Tensor | np.ndarray,
        vary: _VaryFn = lambda features, number: features,
        rows: slice = slice(None),
    ) -> tf.data.Dataset:
        """Makes examples of numbered batches of windows.

        Args:
            batches: (number, what `cut_windows` gave).
            example_fn: As in `train`.
            seed: Where the windows' seeds come from, int32 [2].
            vary: Makes other windows of the features of a batch, given its number.
            rows: Which rows of each batch are wanted.
        """
        specs = self.representation.feature_specs

        # Autograph would wrap a user's error, and `example_fn` is graph code without.
        @tf.autograph.experimental.do_not_convert
        def make_batch(number: tf.Tensor, stored: Tensors) -> Any:
            num_windows = tf.size(stored["num_steps"])
            seeds = tf.random.stateless_uniform(
                [num_windows, 2], tf.random.fold_in(seed, number), None, None, tf.int32
            )[rows]
            features = {name: array[rows] for name, array in stored.items()}
            for name, spec in specs.items():
                features[name] = unpack(features[name], spec)
            features = vary(features, number)
            # All windows at once: twelve times faster for tokens than one by one.
            return tf.vectorized_map(lambda args: example_fn(*args), (features, seeds))

        # Rewriting the graph would copy the music, which it holds.
        options = tf.data.Options()
        options.experimental_optimization.apply_default_optimizations = False
        options.autotune.enabled = False
        return (
            batches.map(make_batch, tf.data.AUTOTUNE)
            .prefetch(PREFETCH_BATCHES)
            .with_options(options)
        )
