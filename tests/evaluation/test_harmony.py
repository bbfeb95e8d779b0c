"""Chords, endings and voice leading: right values by hand."""

import numpy as np
import pytest

from tests.contracts import make_sequence
from tests.evaluation.test_metre import four_parts
from tfmusic.evaluation.harmony import ending, harmony, is_chordal, pitch_classes
from tfmusic.evaluation.note_arrays import NoteArrays
from tfmusic.evaluation.voice_leading import voice_leading
from tfmusic.evaluation.voices import VoiceGrid, sounding_frames

C_MAJOR = (72, 67, 64, 48)
ROOT, TONIC, CADENCE = (
    "ends on a root-position triad, %",
    "ends on the tonic, %",
    "last two chords V-I, %",
)


def frames_of(*chords):
    """What sounds in chords of a quarter each."""
    sequence = make_sequence(
        [
            (p, 80, i, i + 1)
            for i, chord in enumerate(chords)
            for p in sorted(set(chord))
        ]
    )
    return sounding_frames(NoteArrays.of(sequence))


def leading_of(*chords, length=1):
    parts = [(chord, i * length, (i + 1) * length) for i, chord in enumerate(chords)]
    notes = NoteArrays.of(four_parts(*parts))
    return voice_leading(VoiceGrid.of(notes, sounding_frames(notes)))


@pytest.mark.parametrize(
    ("before", "last", "expected"),
    [
        ((71, 67, 62, 55), C_MAJOR, (100, 100, 100)),  # V-I
        ((71, 65, 62, 55), C_MAJOR, (100, 100, 100)),  # V7-I
        ((71, 67, 65, 55), C_MAJOR, (100, 100, 100)),  # V7 without its fifth
        ((72, 69, 65, 53), C_MAJOR, (100, 100, 0)),  # IV-I
        ((70, 67, 62, 55), C_MAJOR, (100, 100, 0)),  # minor v-I
        ((71, 67, 62, 55), (72, 67, 64, 52), (0, 0, 0)),  # first inversion
        ((66, 62, 57, 50), (71, 67, 62, 43), (100, 0, 100)),  # V-I of G, the dominant
        ((68, 64, 59, 52), (72, 69, 64, 45), (100, 0, 100)),  # V-i in A minor
        ((71, 67, 62, 55), (72, 67, 60, 48), (0, 100, 100)),  # an empty fifth
    ],
)
def test_endings(before, last, expected):
    found = ending(frames_of(C_MAJOR, (72, 69, 65, 53), before, last), tonic=0)
    assert (found[ROOT], found[TONIC], found[CADENCE]) == expected


def test_rest_after_the_last_chord_changes_no_ending():
    frames = frames_of((71, 67, 62, 55), C_MAJOR)
    longer = np.concatenate([frames, np.zeros((5, 128), bool)])
    assert ending(longer, 0) == ending(frames, 0)
    assert ending(np.zeros((5, 128), bool), 0) == {}


def test_tune_has_a_tonic_but_no_chords():
    frames = frames_of((67,), (60,))
    assert ending(frames, 0) == {TONIC: 100.0}
    assert not is_chordal(frames)
    assert set(harmony(frames)) == {"chords held 1.5 quarters or more, per 16 bars"}


def test_chords_are_known_in_any_inversion_and_key():
    sus = (72, 67, 65, 48)
    found = harmony(frames_of(C_MAJOR, (76, 72, 67, 52), (70, 66, 63, 47), sus))
    # The third is B, D sharp, F sharp and B flat: a major seventh.
    assert found["triads and seventh chords, % of chords"] == 75


def test_held_chords_are_counted_in_16_bars():
    # 8 quarters: one chord of 1.5 quarters and one of 4.5; then one of 1, thrice.
    sequence = four_parts(
        (C_MAJOR, 0, 1.5),
        ((71, 67, 62, 55), 1.5, 6),
        *((((72, 67, 64, 48), (71, 67, 62, 55))[i], 6 + i, 7 + i) for i in range(2)),
    )
    found = harmony(sounding_frames(NoteArrays.of(sequence)))
    assert found["chords held 1.5 quarters or more, per 16 bars"] == 2 * 64 / 8


def test_pitch_classes_of_the_highest_pitches():
    frames = np.zeros((1, 128), bool)
    frames[0, [0, 127]] = True
    assert np.flatnonzero(pitch_classes(frames)[0]).tolist() == [0, 7]


def test_parallels_move_both_ways_alike():
    # Bass and tenor: C-G to D-A, then back; soprano an octave over the bass.
    found = leading_of((72, 64, 55, 48), (74, 65, 57, 50), (72, 64, 55, 48))
    assert found["parallel fifths, per 100 chord changes"] == 100
    assert found["parallel octaves, per 100 chord changes"] == 100
    # Contrary motion from a fifth to a twelfth, and a fifth that is held, are none.
    found = leading_of((72, 64, 55, 48), (72, 65, 57, 38), (72, 69, 57, 38))
    assert found["parallel fifths, per 100 chord changes"] == 0
    # From a fourth to a fifth, and from a fifth to a sixth, upwards: none either.
    found = leading_of((72, 64, 53, 48), (72, 64, 57, 50), (72, 64, 61, 52))
    assert found["parallel fifths, per 100 chord changes"] == 0


def test_repeated_chords_are_one():
    found = leading_of((72, 64, 55, 48), (72, 64, 55, 48), (74, 65, 57, 50))
    assert found["parallel fifths, per 100 chord changes"] == 100


def test_spacing_leaps_and_crossings():
    found = leading_of((79, 64, 60, 40), (72, 64, 65, 52))
    # Soprano to alto: 15, then 8. Moves: 7, 5 and 12. Then the tenor is over the alto.
    assert found["upper voices more than an octave apart, % of chords"] == 50
    assert found["leaps of more than a fifth, % of moves of a voice"] == pytest.approx(
        100 / 3
    )
    assert found["voices crossed, % of chords"] == 50


def test_sorted_pitches_cannot_cross():
    notes = NoteArrays.of(make_sequence([(p, 80, 0, 4) for p in C_MAJOR]))
    found = voice_leading(VoiceGrid.of(notes, sounding_frames(notes)))
    assert "voices crossed, % of chords" not in found
