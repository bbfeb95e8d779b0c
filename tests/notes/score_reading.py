"""Reading scores that a test makes."""

import pytest

from tests.notes.score_files import (
    attributes,
    notes,
    score,
)
from tfmusic.notes import NoteSequence
from tfmusic.notes.reading import Limits, ReadError, read_bytes

CHORD_SYMBOL = NoteSequence.TextAnnotation.CHORD_SYMBOL
TUNE = [attributes() + notes("C4 E4 G4 E4"), notes("C4 E4 G4 E4")]
# At 120 quarter notes a minute.
TUNE_READ = [(p, i / 2, (i + 1) / 2) for i, p in enumerate([60, 64, 67, 64] * 2)]


def read(*parts, name="a.xml", **score_arguments) -> NoteSequence:
    return read_bytes(score(*parts, **score_arguments).encode(), name)


def heard(sequence: NoteSequence) -> list[tuple]:
    """(pitch, start, end) by start."""
    return sorted(
        ((n.pitch, n.start_time, n.end_time) for n in sequence.notes),
        key=lambda row: (row[1], row[0]),
    )


def metres(sequence: NoteSequence) -> list[tuple]:
    return [(m.time, m.numerator, m.denominator) for m in sequence.time_signatures]


def keys(sequence: NoteSequence) -> list[tuple]:
    return [(k.time, k.key, k.mode) for k in sequence.key_signatures]


def chords(sequence: NoteSequence) -> list[tuple]:
    return [
        (t.time, t.text)
        for t in sequence.text_annotations
        if t.annotation_type == CHORD_SYMBOL
    ]


def refusal(data: bytes, name: str, **limits) -> str:
    with pytest.raises(ReadError) as caught:
        read_bytes(data, name, Limits(**limits))
    assert "\n" not in str(caught.value)
    return caught.value.reason


def harmony(root: str, kind: str, more: str = "", transposed: str = "") -> str:
    alter = f"<root-alter>{transposed}</root-alter>" if transposed else ""
    return (
        f"<harmony><root><root-step>{root}</root-step>{alter}</root>"
        f"<kind>{kind}</kind>{more}</harmony>"
    )
