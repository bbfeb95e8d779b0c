import numpy as np

from tfmusic.generation.cadence import dominants, tonics


def sounding(*chords):
    rows = np.zeros((len(chords), 128), bool)
    for row, chord in zip(rows, chords, strict=True):
        row[list(chord)] = True
    return rows


def test_tonics_have_their_root_below():
    found = tonics(
        sounding(
            (48, 52, 55, 60),  # C E G c
            (48, 64),  # no fifth
            (48, 51, 67),  # C Eb G
            (48, 55),  # no third
            (52, 55, 60),  # C lies above
            (48, 52, 55, 58),  # a seventh
            (),
        )
    )
    assert not found[0].any()
    assert np.flatnonzero(found[1]).tolist() == [0, 1]
    # C minor may end in major.
    assert np.flatnonzero(found[13]).tolist() == [0, 1, 2]
    assert found.sum() == 5


def test_dominants_are_major_and_a_fifth_above():
    found = dominants(
        sounding(
            (43, 59, 62, 67),  # G B d g
            (43, 59, 65),  # with the seventh, without the fifth
            (43, 58, 62),  # G Bb d
            (47, 55, 62),  # B lies below
            (48, 52, 55),  # C E G, of F
        )
    )
    assert np.flatnonzero(found[1]).tolist() == [0, 1]
    np.testing.assert_array_equal(found[1:13], found[13:])
    assert np.flatnonzero(found[6]).tolist() == [4]
    assert found.sum() == 6
