"""What a model makes of gaps in pieces, beside what stood there."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfmusic.evaluation.comparison import compare
from tfmusic.evaluation.faults import keep_best
from tfmusic.evaluation.tables import aggregate
from tfmusic.notes import NoteSequence
from tfmusic.notes.keys import Key, best_key
from tfmusic.notes.transforms import crop
from tfmusic.serving.gaps import read_gap
from tfmusic.serving.player import Player
from tfmusic.serving.setting import knows_one_key

BARS = (3, 4)
_CLAIMED = {
    "parallel_fifths": "parallel fifths, per 100 chord changes",
    "parallel_octaves": "parallel octaves, per 100 chord changes",
    "ends_on_tonic": "ends on the tonic, %",
}


def tune_of(player: Player, piece: NoteSequence, fermatas: bool) -> NoteSequence:
    """The soprano of a piece alone, perhaps with its fermatas."""
    gap = read_gap(player.card, player.representation, piece, keep=("soprano",))
    tune = NoteSequence()
    tune.CopyFrom(piece)
    del tune.notes[:]
    kept = zip(piece.notes, gap.is_kept, strict=True)
    tune.notes.extend(note for note, is_kept in kept if is_kept)
    if not fermatas:
        del tune.text_annotations[:]
    return tune


def written_in(piece: NoteSequence) -> str:
    """The key that a decoded piece is written in."""
    signature = piece.key_signatures[0]
    mode = NoteSequence.KeySignature.Mode.Name(signature.mode).lower()
    return str(Key(signature.key, mode, 1.0))


def has_tune(piece: NoteSequence, tune: NoteSequence) -> bool:
    """Whether a piece begins with the notes of a tune, as they are."""
    return list(piece.notes[: len(tune.notes)]) == list(tune.notes)


def ends_in_its_key(piece: NoteSequence) -> bool:
    """Whether the lowest last note is the tonic of the key that music21 finds.

    The table finds keys by other profiles, which take some for the dominant.
    """
    end = max(note.end_time for note in piece.notes)
    last = min(note.pitch for note in piece.notes if note.end_time > end - 1e-3)
    return last % 12 == best_key(piece).tonic


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
    fermatas: bool = True,
) -> dict[str, float]:
    """Writes what is below each soprano; prints the table and gives the claims."""
    tunes = [tune_of(player, piece, fermatas) for piece in pieces]
    made, unmatched, num_steps = [], 0, 0
    start = time.monotonic()
    for i, tune in enumerate(tunes):
        settings: dict[str, Any] = dict(num_outputs=best_of, seed=i, controls=controls)
        if knows_one_key(player.card):  # a tune alone does not tell it well
            settings["key"] = written_in(tune)
        found = player.infill(tune, keep=("soprano",), **settings)
        made.append(keep_best(found, 1)[0])
        unmatched += player.unmatched_steps / best_of
        num_steps += len(player.representation.encode(tune)["bar_position"])
    seconds = (time.monotonic() - start) / len(pieces)
    comparison = compare(made, pieces)
    print(f"Music to the soprano, {len(pieces)} pieces:\n\n{comparison.table()}")
    values = aggregate(next(iter(comparison.groups.values())))
    kept = [has_tune(*pair) for pair in zip(made, tunes, strict=True)]
    claims = {"soprano_kept": np.mean(kept), "seconds_a_piece": seconds}
    claims["steps_without_a_chord"] = unmatched / num_steps
    for name, music in (("", made), ("held_out_", pieces)):
        claims[f"{name}ends_in_its_key"] = np.mean([ends_in_its_key(p) for p in music])
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
