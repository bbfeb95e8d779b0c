"""What a model makes of gaps in held-out chorales, beside what stood there.

    python -m benchmarks.infilling --model_dir=DIR --data_dir=DIR [--quick]

What is below is written to the sopranos of 30 held-out pieces, and bars 3 and 4 anew in
all voices. The first table sets the harmonised pieces beside the pieces themselves, the
second the new bars beside the old ones. Controls, such as --gibbs_steps, are flags.
"""

import time
from collections.abc import Sequence

import numpy as np
from absl import flags

from tfmusic import command_line
from tfmusic.evaluation.comparison import compare
from tfmusic.evaluation.faults import keep_best
from tfmusic.evaluation.tables import aggregate
from tfmusic.notes import NoteSequence
from tfmusic.notes.keys import Key
from tfmusic.notes.transforms import crop
from tfmusic.serving.gallery import read_pieces
from tfmusic.serving.gaps import read_gap
from tfmusic.serving.player import Player
from tfmusic.serving.setting import knows_one_key

_MODEL_DIR = flags.DEFINE_string("model_dir", None, "An export.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Its dataset.", required=True)
_QUICK = flags.DEFINE_bool("quick", False, "A fifth of the pieces.")

_FERMATAS = flags.DEFINE_bool("fermatas", True, "Tell where the phrases end.")
_BEST_OF = flags.DEFINE_integer("best_of", 1, "As for tfmusic generate.")

NUM_PIECES = 30
BARS = (3, 4)
CLAIMED = {
    "parallel_fifths": "parallel fifths, per 100 chord changes",
    "parallel_octaves": "parallel octaves, per 100 chord changes",
    "ends_on_tonic": "ends on the tonic, %",
}


def tune_of(player: Player, piece: NoteSequence) -> NoteSequence:
    """The soprano of a piece alone."""
    gap = read_gap(player.card, player.representation, piece, keep=("soprano",))
    tune = NoteSequence()
    tune.CopyFrom(piece)
    del tune.notes[:]
    kept = zip(piece.notes, gap.is_kept, strict=True)
    tune.notes.extend(note for note, is_kept in kept if is_kept)
    if not _FERMATAS.value:
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


def bars_of(player: Player, piece: NoteSequence) -> tuple[float, float] | None:
    """Where `BARS` of a decoded piece lie, in seconds; None if it has none."""
    position = player.representation.encode(piece)["bar_position"]
    bars = np.cumsum(position == 0)
    steps = np.flatnonzero((bars >= BARS[0]) & (bars <= BARS[1]))
    if not len(steps):
        return None
    grid = player.representation.grid
    return float(grid.to_seconds(steps[0])), float(grid.to_seconds(steps[-1] + 1))


def harmonise(player: Player, pieces: Sequence[NoteSequence], controls) -> list:
    """Writes what is below each soprano; prints and gives the claims."""
    tunes = [tune_of(player, piece) for piece in pieces]
    made, unmatched, num_steps = [], 0, 0
    start = time.monotonic()
    for i, tune in enumerate(tunes):
        settings = dict(num_outputs=_BEST_OF.value, seed=i, controls=controls)
        if knows_one_key(player.card):  # a tune alone does not tell it well
            settings["key"] = written_in(tune)
        found = player.infill(tune, keep=("soprano",), **settings)
        made.append(keep_best(found, 1)[0])
        unmatched += player.unmatched_steps / _BEST_OF.value
        num_steps += len(player.representation.encode(tune)["bar_position"])
    seconds = (time.monotonic() - start) / len(pieces)
    comparison = compare(made, pieces)
    print(f"Music to the soprano, {len(pieces)} pieces:\n\n{comparison.table()}")
    values = aggregate(next(iter(comparison.groups.values())))
    kept = [has_tune(*pair) for pair in zip(made, tunes, strict=True)]
    claims = {"soprano_kept": np.mean(kept), "seconds_a_piece": seconds}
    claims["steps_without_a_chord"] = unmatched / num_steps
    claims |= {
        name: values[label].mean for name, label in CLAIMED.items() if label in values
    }
    return [f"infilling.{name} = {value:.3f}" for name, value in claims.items()]


def fill_bars(player: Player, pieces: Sequence[NoteSequence], controls) -> list:
    """Writes two bars of each piece anew; prints and gives the claims."""
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
    return [f"infilling.bars_overlap = {overlap.mean:.3f}"] if overlap else []


def main() -> None:
    """Measures and prints."""
    player = Player(_MODEL_DIR.value)
    controls = command_line.extra_flags()
    pieces = read_pieces(_DATA_DIR.value, "test")
    pieces = pieces[: NUM_PIECES // 5 if _QUICK.value else NUM_PIECES]
    lines = harmonise(player, pieces, controls) + fill_bars(player, pieces, controls)
    print("\n".join(lines))


if __name__ == "__main__":
    command_line.run(main, takes_extra_flags=True)
