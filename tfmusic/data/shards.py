"""The files that hold the pieces of a split."""

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.data.features import parse_record
from tfmusic.errors import UserError, choose


class Shards:
    """The shards of a split, whose records are its pieces in order.

    Attributes:
        directory: Where the dataset is.
        split: `"train"`, `"validation"` or `"test"`.
        described: What `DatasetInfo.splits` says of it.
        lengths: Steps of each piece, int32 [num_pieces].
        specs: The representation's `feature_specs`.
        compression: Of the records, as TensorFlow calls it.
    """

    def __init__(self, directory: str, info: DatasetInfo, split: str):
        """Reads nothing but the description.

        Raises:
            UserError: There is no such split.
        """
        self.directory = directory
        self.split = split
        described = info.splits[choose("split", split, info.splits)]
        self.described: Mapping[str, Any] = described
        self.lengths = np.array(described["piece_steps"], np.int32)
        self.specs = info.make_representation().feature_specs
        self.compression = info.compression.upper()

    @functools.cached_property
    def paths(self) -> Sequence[str]:
        """The files.

        Raises:
            UserError: One of them is missing.
        """
        shards = self.described["shards"]
        paths = [os.path.join(self.directory, name) for name in shards]
        if missing := [path for path in paths if not tf.io.gfile.exists(path)]:
            raise UserError(
                f"{missing[0]} is missing; write the dataset again with "
                "tfmusic build ... --overwrite"
            )
        return paths

    @property
    def piece_counts(self) -> Sequence[int]:
        """How many pieces each file holds; read from them if it is not described."""
        return self.described.get("shard_pieces") or self._counted

    def check(self) -> None:
        """Reads all files through, so that faults show before long work, not in it.

        Raises:
            UserError: One is missing or corrupted, or holds other pieces.
        """
        if sum(self._counted) != self.described["num_pieces"]:
            raise self.corrupted()

    @functools.cached_property
    def _counted(self) -> Sequence[int]:
        try:
            return [self._count(path) for path in self.paths]
        except tf.errors.OpError as error:
            raise self.corrupted() from error

    def pieces(self) -> tf.data.Dataset:
        """The pieces as `parse_record` gives them."""
        return self._records(self.paths).map(
            lambda record: parse_record(record, self.specs)
        )

    def corrupted(self) -> UserError:
        """What is wrong with files that do not hold what is described."""
        where = f"{self.directory}: the {self.split} split"
        found = "other music than is described"
        for path in self.paths:
            try:
                self._count(path)
            except tf.errors.OpError:
                where, found = path, "a corrupted record"
                break
        return UserError(
            f"{where}: expected the records that dataset_info.json describes, found "
            f"{found}; copy the dataset again, or write it again with tfmusic "
            "build ... --overwrite"
        )

    def _records(self, paths: Sequence[str]) -> tf.data.Dataset:
        paths = tf.constant(paths, tf.string, [len(paths)])
        return tf.data.TFRecordDataset(paths, self.compression)

    def _count(self, path: str) -> int:
        return int(self._records([path]).reduce(np.int64(0), lambda n, _: n + 1))
