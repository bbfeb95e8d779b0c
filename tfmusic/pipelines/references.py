"""Real music to set beside generated music: a dataset's, or any that a user has."""

import collections
import dataclasses
import os
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from tfmusic.data.dataset_info import FILE_NAME, DatasetInfo
from tfmusic.errors import DropError, UserError
from tfmusic.files import is_remote
from tfmusic.notes import NoteSequence
from tfmusic.notes.beats import onto_beat
from tfmusic.pipelines.conversion import describe
from tfmusic.pipelines.filters import Filters
from tfmusic.pipelines.planning import Settings
from tfmusic.pipelines.sources import Source, SourceItem, open_source
from tfmusic.sandbox import Sandbox
from tfmusic.serving.gallery import read_pieces

# As many pieces of a source tell what it is like.
MAX_PIECES = 256
_DEFAULTS = Settings()


@dataclasses.dataclass(frozen=True)
class References:
    """Real music.

    Attributes:
        held_out: Pieces that no model has learned from.
        training: What the model has learned from, encoded and decoded; may be empty.
        as_written: The pieces of `held_out` before they were encoded. Empty if those
            are it, or if their source is not there any more.
    """

    held_out: Sequence[NoteSequence] = ()
    training: Sequence[NoteSequence] = ()
    as_written: Sequence[NoteSequence] = ()


def read_references(text: str, split: str = "test") -> References:
    """Reads the music that a user names.

    Of a dataset that is a split, as its representation has it, and, if the source that
    it was made from is still there, the same pieces as they were written: records hold
    what an encoding keeps, and their names lead to the files.

    Args:
        text: A dataset, or music as `open_source` takes it.
        split: Of a dataset.

    Raises:
        UserError: It is neither, or there is no music.
    """
    if tf.io.gfile.exists(os.path.join(text, FILE_NAME)):
        held_out = read_pieces(text, split)
        names = [piece.filename for piece in held_out]
        return References(
            held_out=held_out,
            training=read_pieces(text, "train"),
            as_written=read_originals(DatasetInfo.load(text), names),
        )
    try:
        source = open_source(text)
    except UserError as error:
        reason = str(error).removeprefix("--source: ")
        raise UserError(
            f"{text}: expected a dataset that tfmusic build wrote, or music as its "
            f"--source takes it, but {reason}"
        ) from error
    pieces = read_source(source)
    if not pieces:
        raise UserError(
            f"{text}: expected a dataset (with {FILE_NAME}) or files of music, found "
            "neither"
        )
    return References(held_out=pieces)


def read_source(source: Source) -> list[NoteSequence]:
    """Up to `MAX_PIECES` pieces of a source, the same ones every time."""
    items = list(source.items())
    if len(items) > MAX_PIECES:
        chosen = np.random.default_rng(0).permutation(len(items))[:MAX_PIECES]
        items = [items[i] for i in sorted(chosen)]
    pieces = [piece for _, piece in _pieces(Source(source.name, lambda: iter(items)))]
    return pieces[:MAX_PIECES]


def read_originals(info: DatasetInfo, names: Sequence[str]) -> list[NoteSequence]:
    """Reads pieces of a dataset from the files that they were made from.

    Args:
        info: Of the dataset.
        names: Of the pieces, as their records have them.

    Returns:
        The pieces in the order of the names, without those that are not found; none if
        the source is gone, which is said.
    """
    wanted = set(names)
    files = {name.partition("#")[0] for name in names} | wanted
    try:
        source = open_source(info.source)
        items = [item for item in source.items() if item.name in files]
    except UserError as error:
        logging.info("no column of the music as written: %s", error)
        return []
    filters = Filters(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in info.filters.items()}
    )
    found = {
        name: piece
        for name, piece in _pieces(Source(info.source, lambda: iter(items)), filters)
        if name in wanted
    }
    if len(found) < len(wanted):
        logging.info(
            "%d of %d held-out pieces are in %s as they were written",
            len(found),
            len(wanted),
            info.source,
        )
    return [found[name] for name in names if name in found]


def _read_all(
    items: Iterator[SourceItem],
) -> Iterator[tuple[SourceItem, Sequence[NoteSequence | DropError] | DropError]]:
    """Reads files within the limits of the job that writes datasets."""
    sandbox = Sandbox(SourceItem.read, _DEFAULTS.file_seconds, _DEFAULTS.file_megabytes)
    try:
        for item in items:
            try:
                # What fetches from buckets is in this process.
                read = SourceItem.read if is_remote(item.path) else sandbox
                yield item, read(item)
            except DropError as error:
                yield item, error
    finally:
        sandbox.close()


def _pieces(
    source: Source, filters: Filters | None = None
) -> Iterator[tuple[str, NoteSequence]]:
    """The pieces of a source by the names that records have; others are passed over."""
    filters = filters or Filters()
    dropped = collections.Counter()
    for item, sequences in _read_all(source.items()):
        if isinstance(sequences, DropError):
            dropped[sequences.reason] += 1
            continue
        for number, sequence in enumerate(sequences, 1):
            if isinstance(sequence, DropError) or not sequence.notes:
                continue
            name = f"{item.name}#{number}" if len(sequences) > 1 else item.name
            sequence.filename = name
            metadata = {**describe(sequence), **item.metadata}
            try:
                yield name, onto_beat(filters.apply(sequence, metadata))
            except DropError as error:
                dropped[error.reason] += 1
    if dropped:
        reasons = ", ".join(f"{n} {reason}" for reason, n in dropped.items())
        logging.info("%s: left out: %s", source.name, reasons)
