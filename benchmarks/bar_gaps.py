"""What a model of bars makes of gaps in held-out pieces, beside what stood there.

    python -m benchmarks.bar_gaps --model_dir=DIR --source=FOLDER_OR_DATASET \
        [--infill=bars:5-8] [--keep=right] [--num_pieces=8] [--quick]

Of each piece the first bars are taken; what the model refuses, such as a tune in two
voices, is left out and named. The table sets what is new beside what it took the place
of. In key are notes of the scale of the whole piece. Controls, such as
--particles, are flags.
"""

import glob
import os
import time

import numpy as np
from absl import flags

from tfmusic import command_line
from tfmusic.errors import UserError
from tfmusic.evaluation.comparison import compare
from tfmusic.notes import NoteSequence
from tfmusic.notes.beats import onto_beat
from tfmusic.notes.guarded import read_input
from tfmusic.notes.keys import Key, best_key
from tfmusic.serving.gallery import read_pieces
from tfmusic.serving.gaps import parse_bars, read_gap
from tfmusic.serving.player import Player

_MODEL_DIR = flags.DEFINE_string("model_dir", None, "An export.", required=True)
_SOURCE = flags.DEFINE_string(
    "source", None, "A dataset, or a folder of MIDI files.", required=True
)
_INFILL = flags.DEFINE_string("infill", None, "As for tfmusic generate.")
_KEEP = flags.DEFINE_list("keep", None, "As for tfmusic generate.")
_BARS = flags.DEFINE_integer("first_bars", 16, "How much of each piece is taken.")
_NUM_PIECES = flags.DEFINE_integer("num_pieces", 8, "How many pieces.")
_QUICK = flags.DEFINE_bool("quick", False, "A quarter of the pieces.")

_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10, 11)}


def main() -> None:
    """Measures and prints."""
    player = Player(_MODEL_DIR.value)
    number = max(_NUM_PIECES.value // (4 if _QUICK.value else 1), 1)
    asked = dict(
        bars=parse_bars(_INFILL.value) if _INFILL.value else None,
        keep=_KEEP.value or (),
    )
    controls = command_line.extra_flags()
    kept, seconds, keys = [], [], []
    made, old = [], []
    for i, piece in enumerate(_pieces(number)):
        piece = player.cut_primer(piece, bars=_BARS.value)
        try:
            gap = read_gap(player.card, player.representation, piece, **asked)
        except UserError as error:
            print(f"piece {i + 1} is left out: {error}")
            continue
        piece = gap.primer.sequence  # on its beat
        start = time.monotonic()
        [filled] = player.infill(piece, seed=i, controls=controls, **asked)
        seconds.append(time.monotonic() - start)
        pairs = zip(piece.notes, gap.is_kept, strict=True)
        given = [note for note, stays in pairs if stays]
        kept.append(list(filled.notes[: len(given)]) == given)
        removed = [n for n, k in zip(piece.notes, gap.is_kept, strict=True) if not k]
        new = filled.notes[len(given) :]
        if removed and len(new):
            key = best_key(piece)
            keys.append([_in_key(notes, key) for notes in (new, removed)])
            made.append(_alone(piece, new))
            old.append(_alone(piece, removed))
    if not made:
        raise UserError("source: expected pieces with notes in the gap, found none")
    comparison = compare(made, old)
    print(f"New notes, and those they took the place of:\n\n{comparison.table()}")
    counts = [sum(len(piece.notes) for piece in music) for music in (made, old)]
    claims = {
        "given_kept": np.mean(kept),
        "overlap": comparison.mean_overlap.mean,
        "new_notes": counts[0],
        "old_notes": counts[1],
        "new_in_key": np.mean(keys, axis=0)[0],
        "old_in_key": np.mean(keys, axis=0)[1],
        "seconds_a_piece": np.mean(seconds[1:] or seconds),
    }
    for name, value in claims.items():
        print(f"bar_gaps.{name} = {value:.3f}")


def _pieces(number: int) -> list[NoteSequence]:
    """So many pieces of what is given."""
    files = sorted(glob.glob(os.path.join(_SOURCE.value, "*.mid")))
    if files:
        return [onto_beat(read_input(file, "source")) for file in files[:number]]
    return list(read_pieces(_SOURCE.value, "test")[:number])


def _alone(piece: NoteSequence, notes: list[NoteSequence.Note]) -> NoteSequence:
    """Some notes, in the tempos of a piece."""
    result = NoteSequence()
    result.CopyFrom(piece)
    del result.notes[:]
    result.notes.extend(notes)
    return result


def _in_key(notes: list[NoteSequence.Note], key: Key) -> float:
    """The fraction of notes in the scale of a key."""
    degrees = [(note.pitch - key.tonic) % 12 for note in notes]
    return float(np.isin(degrees, _SCALES[key.mode]).mean())


if __name__ == "__main__":
    command_line.run(main, takes_extra_flags=True)
