"""Faults that a listener notices first, to choose the best of several pieces by."""

from collections.abc import Sequence

from tfmusic.evaluation.description import describe
from tfmusic.notes import NoteSequence

# What a fault counts: of what there is so many in a hundred changes of chord, and of
# what a piece should have and lacks. Rows that make no sense for a piece do not count.
_TOO_MANY = {
    "parallel fifths, per 100 chord changes": 1.0,
    "parallel octaves, per 100 chord changes": 1.0,
}
_LACKING = {
    "ends on the tonic, %": 10.0,
    "ends on a root-position triad, %": 10.0,
}


def count_faults(piece: NoteSequence) -> float:
    """Parallel fifths and octaves of 100 chord changes, and 10 for each bad ending.

    An ending is bad if its lowest note is not the tonic of the piece, and, of chords,
    if it is no triad with its root below. 0 is best; docs/measures.md has the rows.
    """
    rows = {}
    for section in describe(piece).sections.values():
        rows |= section
    faults = sum(weight * rows.get(name, 0.0) for name, weight in _TOO_MANY.items())
    return faults + sum(
        weight * (1.0 - rows.get(name, 100.0) / 100.0)
        for name, weight in _LACKING.items()
    )


def keep_best(pieces: Sequence[NoteSequence], number: int) -> list[NoteSequence]:
    """The pieces with the fewest faults, in their order."""
    order = sorted(range(len(pieces)), key=lambda i: count_faults(pieces[i]))
    return [pieces[i] for i in sorted(order[:number])]
