import pytest

from tests.contracts import make_sequence
from tfmusic.evaluation.faults import count_faults, keep_best

C = (48, 52, 55, 60)
F = (53, 57, 60, 65)
G = (43, 59, 62, 67)
# C, F and G with voices that go their own ways, and with two that run in fifths.
SMOOTH = [C, (41, 57, 60, 65), G, (48, 55, 64, 67)] * 4
STIFF = [C, F, (55, 59, 62, 67), C] * 4


def hymn(chords, last=C):
    """A quarter each, at 120 a minute."""
    return make_sequence(
        [
            (pitch, 80, i / 2, (i + 1) / 2)
            for i, chord in enumerate([*chords, last])
            for pitch in chord
        ]
    )


def test_parallels_and_bad_endings_are_faults():
    good, stiff = hymn(SMOOTH), hymn(STIFF)
    assert count_faults(good) < count_faults(stiff)
    away = hymn(SMOOTH, last=(43, 59, 62, 67))  # G major below, a triad but not home
    assert count_faults(away) >= count_faults(good) + 9
    open_ = hymn(SMOOTH, last=(52, 55, 60, 64))  # home, with its third below
    assert count_faults(open_) >= count_faults(good) + 19


def test_octaves_are_faults_too():
    # Bass and soprano go up and down together, no others make a fifth.
    octaves = hymn([(48, 55, 64, 72), (50, 55, 65, 74)] * 6, last=(48, 55, 64, 72))
    assert count_faults(octaves) > count_faults(hymn(SMOOTH)) + 20


def test_a_tune_is_judged_by_its_end_alone():
    def tune(*pitches):
        notes = [(p, 80, i / 2, (i + 1) / 2) for i, p in enumerate(pitches)]
        return make_sequence(notes)

    scale = (60, 64, 67, 72, 67, 64, 62, 60) * 3
    assert count_faults(tune(*scale, 60)) == 0
    assert count_faults(tune(*scale, 62)) == pytest.approx(10)


def test_the_best_are_kept_in_their_order():
    away = hymn(SMOOTH, last=(52, 55, 60, 64))
    pieces = [away, hymn(SMOOTH), hymn(STIFF), hymn(SMOOTH)]
    kept = keep_best(pieces, 2)
    assert [id(piece) for piece in kept] == [id(pieces[1]), id(pieces[3])]
