"""Keys and scales: right values by hand."""

import numpy as np
import pytest

from tests.contracts import make_sequence
from tfmusic.evaluation.note_arrays import NoteArrays, Segments
from tfmusic.evaluation.tonality import (
    _KRUMHANSL_KESSLER,
    SoundingTime,
    key_of,
    scale_consistency,
    tonality,
    windowed_entropy,
)

HOME = "windows of 16 quarters in the home key, %"
C_SCALE = (60, 64, 67, 72, 65, 69, 71, 62)


def tonality_of(sequence, has_beat=True):
    notes = NoteArrays.of(sequence, has_beat)
    return tonality(notes, SoundingTime(Segments.of(notes)))


def scale_in(key, start, num_quarters):
    return [
        (C_SCALE[i % 8] + key, 80, start + i, start + i + 1)
        for i in range(num_quarters)
    ]


def test_profiles_are_those_of_music21():
    from music21.analysis import discrete

    weights = discrete.KrumhanslSchmuckler().getWeights
    assert list(_KRUMHANSL_KESSLER[0]) == list(weights("major"))
    assert list(_KRUMHANSL_KESSLER[1]) == list(weights("minor"))


@pytest.mark.parametrize("tonic", range(12))
def test_keys_of_their_own_profiles(tonic):
    for mode, profile in enumerate(_KRUMHANSL_KESSLER):
        assert key_of(np.roll(profile, tonic)) == 12 * mode + tonic


def test_windows_away_from_home():
    # 32 quarters of C and 16 of F sharp: windows begin at 0, 8, 16, 24 and 32. Of the
    # fourth half is in either; the last is away.
    found = tonality_of(make_sequence(scale_in(0, 0, 32) + scale_in(6, 32, 16)))
    assert found[HOME] in (60, 80)
    assert tonality_of(make_sequence(scale_in(0, 0, 48)))[HOME] == 100
    # Music shorter than a window is one.
    assert tonality_of(make_sequence(scale_in(0, 0, 4)))[HOME] == 100


def test_sounding_time_is_cut_at_windows():
    sequence = make_sequence([(60, 80, 0, 3), (72, 80, 1, 2), (64, 80, 2.5, 4)])
    sounding = SoundingTime(Segments.of(NoteArrays.of(sequence)))
    found = sounding.between(np.array([0.0, 2.0]), np.array([2.0, 9.0]))
    # Two Cs an octave apart count twice.
    assert found[:, 0].tolist() == [3, 1]
    assert found[:, 4].tolist() == [0, 1.5]
    assert sounding.total.sum() == 5.5


def test_note_out_of_the_scale_lowers_the_rate():
    notes = scale_in(0, 0, 11)
    assert scale_consistency(NoteArrays.of(make_sequence(notes))) == 1
    notes.append((66, 80, 11, 11.5))
    found = scale_consistency(NoteArrays.of(make_sequence(notes)))
    assert found == pytest.approx(11 / 12)


def test_entropy_is_the_mean_over_bars():
    # One pitch in the first bar, four alike in the second, none in the third, two in
    # the fourth: 0, 2 and 1 bits.
    notes = [(60, 80, 0, 4)]
    notes += [(60 + i, 80, 4 + i, 5 + i) for i in range(4)]
    notes += [(60, 80, 12, 14), (67, 80, 14, 16)]
    arrays = NoteArrays.of(make_sequence(notes))
    assert windowed_entropy(arrays, 1) == pytest.approx(1)
    # Of four bars there is one window: 3, 1, 1, 1 and 1 notes.
    fractions = np.array([3, 1, 1, 1, 1]) / 7
    expected = -fractions @ np.log2(fractions)
    assert windowed_entropy(arrays, 4) == pytest.approx(expected)
    assert windowed_entropy(arrays, 8) == pytest.approx(expected)


def test_music_without_a_beat_has_windows_of_seconds():
    sequence = make_sequence(scale_in(0, 0, 48), qpm=120)
    found = tonality_of(sequence, has_beat=False)
    assert "windows of 16 seconds in the home key, %" in found
    assert "pitch class entropy within 4 seconds, bits" in found
    # At 120 a minute, eight notes begin within four seconds.
    assert found["pitch class entropy within 4 seconds, bits"] == pytest.approx(
        windowed_entropy(NoteArrays.of(make_sequence(scale_in(0, 0, 48))), 2)
    )
    assert not any("quarter" in label or "bar" in label for label in found)


def test_silence_has_no_key():
    assert tonality_of(make_sequence([])) == {}
