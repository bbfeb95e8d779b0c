import random

import numpy as np
import pytest

from tfmusic.representations.chords import (
    PITCH_NAMES,
    KnownChords,
    as_pitch_classes,
    normal_order,
    pitches_of,
    pitches_of_name,
    unique_chords,
)


def rows(*chords):
    array = np.zeros((len(chords), 128), bool)
    for row, chord in zip(array, chords, strict=True):
        row[list(chord)] = True
    return array


def pitch_class_sets():
    return [tuple(i for i in range(12) if bits >> i & 1) for bits in range(1, 4096)]


def check_against_music21(sets):
    from music21 import chord

    for classes in sets:
        expected = chord.Chord(list(classes)).normalOrder
        assert list(normal_order(classes)) == expected, classes


def test_normal_order_is_the_most_compact():
    assert normal_order((0, 4, 7)) == (0, 4, 7)
    assert normal_order((0, 4, 9)) == (9, 0, 4)
    assert normal_order((0, 4, 8)) == (0, 4, 8)
    assert normal_order((5,)) == (5,)


def test_normal_order_is_that_of_music21_on_some_sets():
    check_against_music21(random.Random(0).sample(pitch_class_sets(), 40))


@pytest.mark.slow
def test_normal_order_is_that_of_music21_on_every_set():
    check_against_music21(pitch_class_sets())


def test_no_two_pitches_share_a_name():
    assert len(set(PITCH_NAMES)) == 128
    assert (PITCH_NAMES[60], PITCH_NAMES[69], PITCH_NAMES[0]) == ("C4", "A4", "C-1")
    assert [pitches_of_name(name) for name in PITCH_NAMES] == [[i] for i in range(128)]


def test_pitch_classes_sound_above_middle_c():
    folded = as_pitch_classes(rows((48, 64, 79), (36, 48), (127, 116)))
    assert [pitches_of(chord) for chord in folded] == [[60, 64, 67], [60, 72], [67, 68]]
    assert pitches_of_name("0.4.7") == [60, 64, 67]
    assert pitches_of_name("0") == [60, 72]


def test_unique_chords_put_together_again():
    chords = rows((60, 64), (), (60,), (60, 64), (127,), ())
    unique, places = unique_chords(chords)
    assert len(unique) == 4
    np.testing.assert_array_equal(unique[places], chords)


def test_known_chords_are_found_exactly():
    known = KnownChords(np.array([3, 4, 9]), rows((), (60,), (60, 64, 67)))
    found = known.find(rows((60, 64, 67), (60, 64), (), (60,)))
    assert found.tolist() == [9, -1, 3, 4]
    assert known.find(rows()).tolist() == []


def test_nearest_chord_shares_most():
    known = KnownChords(
        np.arange(3, 8), rows((), (60,), (60, 64), (60, 67), (60, 64, 67, 72))
    )
    # One of three, two of three twice: the smaller id, three of four.
    assert known.nearest(rows((60, 64, 67))).tolist() == [7]
    assert known.nearest(rows((60, 64, 50))).tolist() == [5]
    assert known.nearest(rows((60, 61))).tolist() == [4]
    assert known.nearest(rows((60, 64, 67), (61,), ())).tolist() == [7, 3, 3]


def test_chords_are_spelled_by_the_largest_known_parts():
    known = KnownChords(
        np.arange(3, 9), rows((60,), (64,), (67,), (72,), (60, 64), (64, 67))
    )
    spelled = known.spell(rows((60, 64, 67, 72), (67, 64), (72,), (60, 67)))
    assert spelled == [[7, 5, 6], [8], [6], [3, 5]]
