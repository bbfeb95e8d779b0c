import numpy as np

from tfmusic.generation.cadence import tonic_triads


def test_tonic_triads_have_their_root_below():
    chords = {
        "C E G c": ((48, 52, 55, 60), {"C major"}),
        "C E": ((48, 64), {"C major", "C minor"}),
        "C Eb G": ((48, 51, 67), {"C minor"}),
        "C G": ((48, 55), set()),  # no third
        "E G C": ((52, 55, 60), set()),  # C lies above
        "C E G Bb": ((48, 52, 55, 58), set()),
        "nothing": ((), set()),
    }
    sounding = np.zeros((len(chords), 128), bool)
    for i, (pitches, _) in enumerate(chords.values()):
        sounding[i, list(pitches)] = True
    found = tonic_triads(sounding)
    assert not found[0].any()
    assert found[1].tolist() == [True, True, False, False, False, False, False]
    # C minor may end in major.
    assert found[13].tolist() == [True, True, True, False, False, False, False]
    assert found.sum() == 5
