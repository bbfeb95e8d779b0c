"""Rhythm as a musician would write it."""

import numpy as np
import pytest

from tests.notes.sequences import make_sequence
from tfmusic.notes.grid import TempoMap
from tfmusic.notes.measures import (
    QUARTER,
    Grid,
    Measure,
    fraction_on_grid,
    measures_of,
)
from tfmusic.notes.rhythm import write_measure
from tfmusic.notes.voices import MAX_VOICES, make_chords, split_voices

LETTERS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
FOUR_FOUR = Measure(0, 4 * QUARTER, (4, 4))
THREE_FOUR = Measure(0, 3 * QUARTER, (3, 4))
SIX_EIGHT = Measure(0, 3 * QUARTER, (6, 8))


def voices_of(measure: Measure, *notes):
    """Voices of notes (pitch, start, end) in quarters."""
    grid = Grid([measure])
    spans = np.array([note[1:] for note in notes], float).T * QUARTER
    pitches = [note[0] for note in notes]
    return split_voices(
        make_chords(*grid.snap(*spans), pitches, [80] * len(notes), grid)
    )


def written(measure: Measure, *notes) -> list[str]:
    """Each voice as text: `C` and so on is a note, `r` a rest, `3(...)` a tuplet."""
    lines = []
    for voice in voices_of(measure, *notes):
        words = []
        symbols = write_measure(voice, measure)
        assert sum(symbol.length for symbol in symbols) == measure.length
        for symbol in symbols:
            name = "r"
            if symbol.chord is not None:
                name = "".join(LETTERS[t.pitch % 12] for t in symbol.chord.tones)
            text = f"{name}:{symbol.value or 'measure'}{'.' * symbol.dots}"
            if symbol.chord is not None:
                text += "~" * (
                    symbol.tie(symbol.chord.tones[0]) in ("start", "continue")
                )
            if symbol.tuplet_ends == "start":
                text = f"3 {symbol.tuplet}s ( {text}"
            if symbol.tuplet_ends == "stop":
                text += " )"
            words.append(text)
        lines.append(" ".join(words))
    return lines


@pytest.mark.parametrize(
    ("measure", "notes", "expected"),
    [
        (FOUR_FOUR, [(60, 0, 4)], "C:whole"),
        (FOUR_FOUR, [(60, 0, 1), (62, 1, 4)], "C:quarter D:half."),
        (FOUR_FOUR, [(60, 0, 1.25)], "C:quarter~ C:16th r:16th r:eighth r:half"),
        # Syncopations of eighths are read well, of sixteenths not.
        (
            FOUR_FOUR,
            [(60, 0.5, 1.5), (62, 1.5, 3)],
            "r:eighth C:quarter D:quarter. r:quarter",
        ),
        (
            FOUR_FOUR,
            [(60, 0.75, 1.25)],
            "r:eighth r:16th C:16th~ C:16th r:16th r:eighth r:half",
        ),
        (FOUR_FOUR, [(60, 0, 2.5)], "C:half~ C:eighth r:eighth r:quarter"),
        (FOUR_FOUR, [(60, 0, 0.125)], "C:32nd r:32nd r:16th r:eighth r:quarter r:half"),
        (THREE_FOUR, [(60, 2, 3)], "r:quarter r:quarter C:quarter"),
        (THREE_FOUR, [(60, 0, 3)], "C:half."),
        # Dotted beats show.
        (SIX_EIGHT, [(60, 0, 3)], "C:half."),
        (SIX_EIGHT, [(60, 0, 1), (62, 1, 2)], "C:quarter D:eighth~ D:eighth r:quarter"),
        (SIX_EIGHT, [(60, 0, 2)], "C:quarter.~ C:eighth r:quarter"),
        (SIX_EIGHT, [(60, 1.5, 3)], "r:quarter. C:quarter."),
        # A bar of seven eighths, and an upbeat of three.
        (Measure(0, 168, (7, 8)), [(60, 0, 3.5)], "C:half.~ C:eighth"),
        (
            Measure(0, 72, (4, 4), is_upbeat=True),
            [(60, 0, 0.5), (62, 0.5, 1.5)],
            "C:eighth D:quarter",
        ),
        # Triplets of eighths, of quarters over two beats, of sixteenths in half of one.
        (
            FOUR_FOUR,
            [(60, 0, 1 / 3), (62, 1 / 3, 2 / 3), (64, 2 / 3, 1)],
            "3 eighths ( C:eighth D:eighth E:eighth ) r:quarter r:half",
        ),
        (
            FOUR_FOUR,
            [(60, 0, 2 / 3), (62, 2 / 3, 4 / 3), (64, 4 / 3, 2)],
            "3 quarters ( C:quarter D:quarter E:quarter ) r:half",
        ),
        (
            FOUR_FOUR,
            [(60, 0, 1 / 6), (62, 1 / 6, 1 / 3), (64, 1 / 3, 1 / 2), (65, 0.5, 0.75)],
            "3 16ths ( C:16th D:16th E:16th ) F:16th r:16th r:quarter r:half",
        ),
        (
            FOUR_FOUR,
            [(60, 0, 1 / 3), (62, 1 / 3, 1), (64, 1, 4)],
            "3 eighths ( C:eighth D:quarter ) E:half.",
        ),
        (
            FOUR_FOUR,
            [(60, 0, 5 / 6), (62, 5 / 6, 1)],
            "3 eighths ( C:quarter~ C:16th D:16th ) r:quarter r:half",
        ),
        # What begins in a triplet and lasts longer is tied.
        (
            FOUR_FOUR,
            [(60, 0, 2 / 3), (62, 2 / 3, 4)],
            "3 eighths ( C:quarter D:eighth~ ) D:half.",
        ),
    ],
)
def test_one_voice_is_written_as_a_musician_would(measure, notes, expected):
    assert written(measure, *notes) == [expected]


def test_silence_is_one_rest_unless_the_measure_is_cut_short():
    def rests(measure):
        return [(s.value, s.length) for s in write_measure([], measure)]

    assert rests(THREE_FOUR) == [("", 144)]
    assert rests(Measure(0, 48, (3, 4), is_upbeat=True)) == [("quarter", 48)]


def test_what_sounds_together_is_a_chord_and_what_overlaps_another_voice():
    assert written(FOUR_FOUR, (60, 0, 4), (64, 0, 4)) == ["CE:whole"]
    # The higher voice comes first, whichever begins first.
    low_first = (48, 0, 4), (60, 0, 1), (62, 1, 2), (64, 2, 4)
    assert written(FOUR_FOUR, *low_first) == [
        "C:quarter D:quarter E:half",
        "C:whole",
    ]
    # One voice again where nothing overlaps.
    assert len(voices_of(FOUR_FOUR, (48, 0, 1), (60, 1, 2), (50, 2, 4))) == 1


def test_two_notes_of_one_pitch_are_two_notes():
    assert written(FOUR_FOUR, (60, 0, 4), (60, 0, 4)) == ["C:whole", "C:whole"]


def test_three_against_two_needs_two_voices():
    notes = [(72, i / 3, (i + 1) / 3) for i in range(3)]
    notes += [(60, i / 2, (i + 1) / 2) for i in range(2)]
    upper, lower = written(FOUR_FOUR, *notes)
    assert upper.startswith("3 eighths ( C:eighth C:eighth C:eighth )")
    assert lower.startswith("C:eighth C:eighth")
    # So do sixteenths and triplets within a half of a beat, though none overlaps.
    assert len(voices_of(FOUR_FOUR, (60, 0, 1 / 4), (62, 1 / 3, 1 / 2))) == 2
    assert len(voices_of(FOUR_FOUR, (60, 0, 1 / 4), (62, 2 / 3, 1))) == 1


def test_more_voices_than_programs_know_share_the_last_one():
    notes = [(60 + i, i / 4, 4 - i / 4) for i in range(7)]
    voices = voices_of(FOUR_FOUR, *notes)
    assert len(voices) == MAX_VOICES
    found = {tone for voice in voices for chord in voice for tone in chord.tones}
    assert sorted((t.pitch, t.start / 48, t.end / 48) for t in found) == notes
    # The shared voice is chords one after the other, with ties.
    shared = voices[-1]
    assert all(a.end <= b.start for a, b in zip(shared, shared[1:], strict=False))
    symbols = write_measure(shared, FOUR_FOUR)
    lowest = [s.tie(s.chord.tones[0]) for s in symbols if s.chord is not None]
    assert lowest[0] == "start" and lowest[-1] == "stop"
    assert set(lowest[1:-1]) == {"continue"}


def test_notes_go_to_the_grid_and_none_vanishes():
    grid = Grid([FOUR_FOUR])

    def snap(start, end):
        starts, ends = grid.snap(np.array([start * 48.0]), np.array([end * 48.0]))
        return starts[0] / 48, ends[0] / 48

    assert snap(0.01, 0.99) == (0, 1)
    assert snap(0.34, 0.66) == pytest.approx((1 / 3, 2 / 3))
    assert snap(1, 1) == (1, 1.125)
    assert snap(1 / 3, 1 / 3) == pytest.approx((1 / 3, 1 / 2))
    # Let go early: to the sixteenth, or to the triplet in which it began.
    assert snap(0, 0.9) == (0, 1)
    assert snap(0, 0.83) == pytest.approx((0, 5 / 6))  # this is meant to be there
    assert snap(0, 0.8) == (0, 0.75)
    assert snap(1 / 3, 0.6) == pytest.approx((1 / 3, 2 / 3))


def test_fraction_on_grid_tells_a_performance_from_written_music():
    assert fraction_on_grid(np.array([0, 0.125, 1 / 6, 1 / 3, 7.01])) == 1
    assert fraction_on_grid(np.array([0.06, 0.94])) == 0
    random = np.random.default_rng(0).uniform(0, 100, 10_000)
    assert 0.4 < fraction_on_grid(random) < 0.6


def bars(end: float, *signatures: tuple[float, int, int]):
    """(start, length, metre, is_upbeat) of each, in quarters."""
    sequence = make_sequence(qpm=60)  # a quarter is a second
    for time, numerator, denominator in signatures:
        sequence.time_signatures.add(
            time=time, numerator=numerator, denominator=denominator
        )
    found = measures_of(sequence, TempoMap.of(sequence), int(end * QUARTER))
    return [(m.start / 48, m.length / 48, m.metre, m.is_upbeat) for m in found]


def test_measures_follow_the_metres():
    assert bars(5) == [(0, 4, (4, 4), False), (4, 4, (4, 4), False)]
    assert bars(3, (0, 3, 4)) == [(0, 3, (3, 4), False)]
    assert bars(5, (0, 3, 4), (3, 2, 4)) == [
        (0, 3, (3, 4), False),
        (3, 2, (2, 4), False),
    ]
    # A change in the middle of a measure begins one.
    assert bars(12, (0, 4, 4), (6, 6, 8)) == [
        (0, 4, (4, 4), False),
        (4, 2, (4, 4), False),
        (6, 3, (6, 8), False),
        (9, 3, (6, 8), False),
    ]
    # What makes no sense is passed over.
    assert bars(4, (0, 0, 4), (1, 4, 3)) == [(0, 4, (4, 4), False)]
    assert bars(0) == [(0, 4, (4, 4), False)]


@pytest.mark.parametrize(
    "signatures", [[(1, 3, 4)], [(0, 1, 4), (1, 3, 4)], [(0, 3, 4), (1, 3, 4)]]
)
def test_an_upbeat_is_what_comes_before_a_full_measure(signatures):
    assert bars(4, *signatures) == [(0, 1, (3, 4), True), (1, 3, (3, 4), False)]
