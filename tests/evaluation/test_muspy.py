"""Where MusPy measures the same, the values are the same (MusPy 0.5.0, 2026-11-29).

Its `Music` had 24 steps a quarter, the times of notes were rounded to them, and
`groove_consistency` got the steps of a bar.
"""

import importlib.util
import pathlib

import pytest

from tests.contracts import make_sequence
from tfmusic.evaluation.metre import groove_consistency
from tfmusic.evaluation.music_statistics import statistics
from tfmusic.evaluation.note_arrays import NoteArrays
from tfmusic.evaluation.tonality import scale_consistency
from tfmusic.notes.reading import read_file

PIECES = {
    # Two bars of quarters, then one of a dotted rhythm; F sharp is out of C major.
    "tune": make_sequence(
        [
            *((60 + step, 80, i, i + 1) for i, step in enumerate((0, 2, 4, 5))),
            *((67 - step, 80, 4 + i, 5 + i) for i, step in enumerate((0, 1, 3, 5))),
            *((60, 80, 8 + start, 8.5 + start) for start in (0, 1.5, 2, 3.5)),
        ],
        time_signature=(4, 4),
    ),
    # A bass note and two chords in each bar; triplets in the melody.
    "waltz": make_sequence(
        [(72 + i % 5, 80, i / 3, (i + 1) / 3) for i in range(27)],
        [(48 + bar, 80, 3 * bar, 3 * bar + 1) for bar in range(4)],
        [
            (pitch, 80, 3 * bar + beat, 3 * bar + beat + 0.5)
            for bar in range(3)
            for beat in (1, 2)
            for pitch in (60, 64)
        ],
        time_signature=(3, 4),
    ),
}
# groove_consistency, pitch_class_entropy, scale_consistency, polyphony.
EXPECTED = {
    "tune": (0.9722222222222222, 2.2841591278514217, 0.9166666666666666, 1.0),
    "waltz": (0.962962962962963, 2.2441601360067125, 0.6976744186046512, 1.9),
    "bwv253": (0.9677083333333333, 2.869321416589422, 0.9634146341463414, 3.9375),
    "bwv254": (0.9706439393939394, 2.91790683455023, 0.9656862745098039, 3.9431818182),
    "bwv285": (0.9713541666666666, 2.92658630071017, 0.9361702127659575, 3.9270833333),
}


def read_chorale(name):
    (package,) = importlib.util.find_spec("music21").submodule_search_locations
    return read_file(pathlib.Path(package) / "corpus" / "bach" / f"{name}.mxl")


@pytest.mark.parametrize("name", EXPECTED)
def test_values_are_those_of_muspy(name):
    sequence = PIECES.get(name) or read_chorale(name)
    notes, music = NoteArrays.of(sequence), statistics(sequence)
    found = (
        groove_consistency(notes),
        music.pitch_class_entropy,
        scale_consistency(notes),
        music.polyphony,
    )
    assert found == pytest.approx(EXPECTED[name], abs=1e-6)
