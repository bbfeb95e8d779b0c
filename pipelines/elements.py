"""What passes between the steps of the job, and between processes."""

import collections
import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A dataset to write.

    Attributes:
        directory: Where, within the job's output.
        representation: `to_config()`, not fitted yet.
        preparation: See `tfmusic.data.dataset_info.preparation_of`.
    """

    directory: str
    representation: Mapping[str, Any]
    preparation: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Job:
    """What the job is to do, for all workers.

    Attributes:
        experiments: The datasets to write.
        source: What the records say they come from.
        output_dir: Where the experiments' directories are made.
        fractions: The size of each of `SPLITS`.
        num_shards: Files of each of `SPLITS`.
        progress_file: A local file that grows by a byte for each file read and each
            piece done with; empty where workers share no file system.
    """

    experiments: tuple[Experiment, ...]
    source: str
    output_dir: str
    fractions: tuple[float, ...]
    num_shards: tuple[int, ...]
    progress_file: str = ""

    def report_progress(self, num_bytes: int = 1) -> None:
        """Says that one more step of the way is done."""
        if self.progress_file:
            with open(self.progress_file, "ab", buffering=0) as file:
                file.write(b"." * num_bytes)


@dataclasses.dataclass(frozen=True)
class Piece:
    """A piece that was read.

    Attributes:
        name: Unique in the source.
        content: Its `content_hash`.
        split: What the source says; empty to decide by content.
        metadata: Title, composer and whatever else is known.
        serialized: The NoteSequence.
    """

    name: str
    content: str
    split: str
    metadata: Mapping[str, Any]
    serialized: bytes


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A piece as a record; they are ordered within a shard by `order`."""

    order: str
    record: bytes
    num_steps: int
    num_notes: int
    seconds: float
    losses: collections.Counter


@dataclasses.dataclass(frozen=True)
class Drop:
    """A piece that could not be used.

    Attributes:
        name: The file, within the source.
        stage: `"read"`, `"prepare"` or `"encode"`.
        reason: A slug, for counting.
        detail: What was expected, what was found and what to do.
        experiment: Whose; -1 if nobody can use it.
    """

    name: str
    stage: str
    reason: str
    detail: str
    experiment: int = -1
