"""What a model makes of gaps in pieces, beside what stood there."""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from tfmusic.evaluation.comparison import compare
from tfmusic.evaluation.faults import keep_best
from tfmusic.evaluation.tables import aggregate
from tfmusic.notes import NoteSequence
from tfmusic.notes.transforms import crop
from tfmusic.serving.player import Player

BARS = (3, 4)
_CLAIMED = {
    "parallel_fifths": "parallel fifths, per 100 chord changes",
    "parallel_octaves": "parallel octaves, per 100 chord changes",
    "ends_on_tonic": "ends on the tonic, %",
}


def soprano(piece: NoteSequence) -> list[tuple]:
    """The notes of the first voice."""
    return [
        (note.start_time, note.end_time, note.pitch, note.velocity)
        for note in piece.notes
        if note.instrument == 0
    ]


def bars_of(player: Player, piece: NoteSequence) -> tuple[float, float] | None:
    """Where `BARS` of a decoded piece lie, in seconds; None if it has none."""
    position = player.representation.encode(piece)["bar_position"]
    bars = np.cumsum(position == 0)
    steps = np.flatnonzero((bars >= BARS[0]) & (bars <= BARS[1]))
    if not len(steps):
        return None
    grid = player.representation.grid
    return float(grid.to_seconds(steps[0])), float(grid.to_seconds(steps[-1] + 1))


def harmonise(
    player: Player,
    pieces: Sequence[NoteSequence],
    controls: Mapping[str, float] | None = None,
    best_of: int = 1,
) -> dict[str, float]:
    """Writes three voices to each soprano; prints the table and gives the claims."""
    start = time.monotonic()
    made = [
        keep_best(
            player.infill(
                piece,
                keep=("soprano",),
                num_outputs=best_of,
                seed=i,
                controls=controls,
            ),
            1,
        )[0]
        for i, piece in enumerate(pieces)
    ]
    seconds = (time.monotonic() - start) / len(pieces)
    comparison = compare(made, pieces)
    print(f"Three voices to the soprano, {len(pieces)} pieces:\n\n{comparison.table()}")
    values = aggregate(next(iter(comparison.groups.values())))
    kept = [soprano(a) == soprano(b) for a, b in zip(made, pieces, strict=True)]
    claims = {"soprano_kept": np.mean(kept), "seconds_a_piece": seconds}
    found = {name: label for name, label in _CLAIMED.items() if label in values}
    return claims | {name: values[label].mean for name, label in found.items()}


def fill_bars(
    player: Player,
    pieces: Sequence[NoteSequence],
    controls: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Writes two bars of each piece anew; prints the table and gives the claims."""
    made, old = [], []
    for i, piece in enumerate(pieces):
        span = bars_of(player, piece)
        if span:
            [filled] = player.infill(piece, bars=BARS, seed=i, controls=controls)
            made.append(crop(filled, *span))
            old.append(crop(piece, *span))
    comparison = compare(made, old)
    print(f"Bars {BARS[0]} and {BARS[1]}, new and old:\n\n{comparison.table()}")
    overlap = comparison.mean_overlap
    return {"overlap": overlap.mean} if overlap else {}
