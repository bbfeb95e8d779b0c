"""Which split a piece belongs to, by what it sounds like and not by its name."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import BeatGrid, quantize_notes

SPLITS = ("train", "validation", "test")
# Sixteenths: finer than the ear takes two editions of a piece for different ones.
_GRID = BeatGrid(steps_per_quarter=4)


def content_hash(sequence: NoteSequence, ignore_transposition: bool = True) -> str:
    """A hash of the notes of a piece: which pitches begin when.

    Two files of one piece have one hash, whatever their names, tempos, dynamics,
    instruments and opening rests; note lengths, which editions differ in, do not count.

    Args:
        sequence: The piece.
        ignore_transposition: Whether the piece in another key has the same hash.

    Returns:
        64 hex digits.
    """
    starts, _ = quantize_notes(sequence, _GRID)
    pitches = np.array([note.pitch for note in sequence.notes], np.int64)
    drums = np.array([note.is_drum for note in sequence.notes], bool)
    if ignore_transposition and not drums.all():
        # A drum's pitch is the kind of drum; it stays when the piece is transposed.
        pitches = np.where(drums, pitches, pitches - pitches[~drums].min())
    starts = starts - starts.min(initial=starts.max(initial=0))
    notes = np.unique(np.stack([starts, drums, pitches], axis=1), axis=0)
    return hashlib.sha256(notes.astype("<i8").tobytes()).hexdigest()


def assign_split(content: str, fractions: Sequence[float]) -> str:
    """The split of a piece; other pieces have no say in it.

    Args:
        content: Its `content_hash`: equal pieces land in one split.
        fractions: The size of each of `SPLITS`; they sum to 1.
    """
    place = int(content[:16], 16) / 2**64
    bounds = np.cumsum(fractions)
    return SPLITS[min(int(np.searchsorted(bounds, place, "right")), len(SPLITS) - 1)]


def assign_splits(
    contents: Iterable[str], fractions: Sequence[float]
) -> dict[str, str]:
    """The split of every piece of a dataset.

    As `assign_split` has it, unless the dataset is so small that a split would have no
    piece: then it takes one from the largest split, training before the others.

    Args:
        contents: The pieces' `content_hash`.
        fractions: The size of each of `SPLITS`; they sum to 1.

    Returns:
        The split by content hash.
    """
    splits = {content: assign_split(content, fractions) for content in sorted(contents)}
    for name, fraction in zip(SPLITS, fractions, strict=True):
        sizes = {split: list(splits.values()).count(split) for split in SPLITS}
        largest = max(SPLITS, key=sizes.get)
        to_spare = sizes[largest] - (name != "train")
        if fraction > 0 and not sizes[name] and to_spare > 0:
            splits[next(c for c in splits if splits[c] == largest)] = name
    return splits
