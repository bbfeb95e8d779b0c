"""What passes between the steps of the job, and between processes."""

import collections
import dataclasses
import functools
import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tfmusic.errors import DropError
from tfmusic.notes import NoteSequence
from tfmusic.notes.reading import Limits
from tfmusic.pipelines.filters import Filters
from tfmusic.pipelines.sources.items import SourceItem

_FILES_PER_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A dataset to write.

    Attributes:
        directory: Where, within the job's output.
        representation: `to_config()`, not fitted yet.
        preparation: See `DataSettings.preparation`.
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
        fractions: The size of each of `SPLITS` where the source has no say.
        num_shards: Files of each of `SPLITS`; 0 makes one for every 256 pieces.
        seed: Decides the order of the pieces and which shard they are in.
        compression: Of the records: `""` or `"gzip"`.
        limits: What a file may hold.
        filters: What is kept of the source.
        play_repeats: Whether the repeats of scores are played.
        file_seconds: How long one file may take.
        file_megabytes: How much memory one file may take.
        work_dir: Where steps leave what they have done for the next ones; all workers
            must be able to reach it.
        progress_file: A local file that grows by a byte for each file that is done;
            empty where workers share no file system.
    """

    experiments: tuple[Experiment, ...]
    source: str
    fractions: tuple[float, ...]
    num_shards: int
    seed: int
    compression: str
    limits: Limits
    filters: Filters
    play_repeats: bool
    file_seconds: float
    file_megabytes: int
    work_dir: str
    progress_file: str = ""

    def report_progress(self, num_files: int = 1) -> None:
        """Says that files are done."""
        if self.progress_file:
            with open(self.progress_file, "ab", buffering=0) as file:
                file.write(b"." * num_files)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What every piece is turned into for one experiment.

    Attributes:
        number: Of the experiment.
        representation: `to_config()`.
        preparation: As of the experiment.
        counts: Whether to give what a vocabulary is fitted on, and not arrays.
    """

    number: int
    representation: Mapping[str, Any]
    preparation: Mapping[str, Any]
    counts: bool


@dataclasses.dataclass(frozen=True)
class Batch:
    """Files that are converted by one worker.

    Attributes:
        name: Of the files that hold the results.
        items: The files.
        hashes: SHA-256 of the contents that they had when they were read before, by
            name; empty if they were not.
    """

    name: str
    items: tuple[SourceItem, ...]
    hashes: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Load:
    """A file to fetch.

    Attributes:
        load: As of its `SourceItem`.
        max_bytes: What it is called with.
    """

    load: Callable[[int], bytes]
    max_bytes: int

    def __call__(self) -> bytes:
        """The contents of the file, as far as they are wanted.

        Raises:
            DropError: It cannot be read.
        """
        return self.load(self.max_bytes)


@dataclasses.dataclass(frozen=True)
class Task:
    """A file to convert: its contents, and the other fields of its `SourceItem`."""

    data: bytes
    name: str
    parse: Callable[[bytes, str, Limits, bool], Sequence[NoteSequence | DropError]]
    metadata: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A piece as packed arrays, and what was lost on the way.

    Attributes:
        arrays: As `tfmusic.data.packing.pack` gives them.
        num_steps: Their length.
        num_notes: Notes of the piece.
        seconds: Its length.
        losses: What `Representation.losses` counts.
    """

    arrays: Mapping[str, bytes]
    num_steps: int
    num_notes: int
    seconds: float
    losses: collections.Counter


@dataclasses.dataclass(frozen=True)
class Drop:
    """A piece that could not be used.

    Attributes:
        name: The file, within the source.
        stage: `"load"`, `"read"`, `"filter"` or `"encode"`.
        reason: A slug, for counting.
        detail: What was expected, what was found and what to do.
        measured: What was found, where it is a number that is held against a limit.
        split: The split that the source puts it in; empty if it has no say.
        experiment: Whose; -1 if nobody can use it.
    """

    name: str
    stage: str
    reason: str
    detail: str
    measured: float | None = None
    split: str = ""
    experiment: int = -1

    @classmethod
    def of(cls, error: DropError, name: str, stage: str, **fields: Any) -> "Drop":
        """What an error says of a piece."""
        return cls(name, stage, error.reason, error.detail, error.measured, **fields)


@dataclasses.dataclass(frozen=True)
class Converted:
    """A piece for all experiments, by their numbers.

    Attributes:
        name: Unique in the source.
        content: Its `content_hash`.
        sketch: Its `content_sketch`.
        metadata: What is known of it.
        encoded: The piece.
        counts: What a vocabulary is fitted on.
        drops: Why an experiment cannot use it.
        repairs: What was repaired in reading its file, by plain words; of several
            pieces in a file the first has it.
    """

    name: str
    content: str
    sketch: str
    metadata: Mapping[str, Any]
    encoded: dict[int, Encoded] = dataclasses.field(default_factory=dict)
    counts: dict[int, collections.Counter] = dataclasses.field(default_factory=dict)
    drops: list[Drop] = dataclasses.field(default_factory=list)
    repairs: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )


class Place(NamedTuple):
    """Where a record is until it is in its shard.

    Attributes:
        path: Of a file.
        offset: Of the record's first byte.
        length: Its number of bytes.
    """

    path: str
    offset: int
    length: int


@dataclasses.dataclass(frozen=True)
class Shard:
    """A file of the dataset.

    Attributes:
        path: Where it is written.
        places: Of its records, in order.
        compression: `""` or `"gzip"`.
    """

    path: str
    places: tuple[Place, ...]
    compression: str


@dataclasses.dataclass(frozen=True)
class Packed:
    """A batch or a shard in few bytes, for those of a million files are in memory.

    Attributes:
        num_files: How many files of music it has, or of the dataset.
        data: Its bytes, which never leave the processes of one call.
    """

    num_files: int
    data: bytes

    @classmethod
    def of(cls, element: Batch | Shard) -> "Packed":
        """Packs a batch or a shard."""
        num_files = len(element.items) if isinstance(element, Batch) else 1
        return cls(num_files, zlib.compress(_coder().encode(element)))

    def unpack(self) -> Batch | Shard:
        """What was packed."""
        return _coder().decode(zlib.decompress(self.data))


@functools.cache
def _coder() -> Any:
    """Beam's own coder for whatever it carries."""
    # Beam takes a second to import, and is not there where no dataset is written.
    from tfmusic.pipelines.quiet_beam import beam

    return beam.coders.FastPrimitivesCoder()


def make_batches(
    stage: str, files: Iterable[tuple[SourceItem, str]]
) -> Iterator[Packed]:
    """Divides files among workers: the same way however many there are.

    Args:
        stage: What begins the names of the batches.
        files: Of each the SHA-256 of its contents as well, if it was read before, or
            else an empty string.
    """
    files = iter(files)
    for start in itertools.count(0, _FILES_PER_BATCH):
        if not (some := list(itertools.islice(files, _FILES_PER_BATCH))):
            return
        items = tuple(item for item, _ in some)
        hashes = {item.name: found for item, found in some if found}
        yield Packed.of(Batch(f"{stage}-{start:08d}", items, hashes))


def index_path(path: str) -> str:
    """Where a batch has the index of what became of its files, as JSON."""
    return path + ".json"


def counts_path(path: str) -> str:
    """Where it has what vocabularies are fitted on."""
    return path + ".counts.json"


def data_path(path: str) -> str:
    """Where it has its records, end to end."""
    return path + ".records"
