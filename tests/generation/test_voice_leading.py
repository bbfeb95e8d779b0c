import numpy as np
import pytest
import tensorflow as tf

from tfmusic.evaluation.voice_leading import _parallels
from tfmusic.generation.voice_leading import VoiceLeading


def table(*chords):
    pitches = np.zeros([len(chords), 128], bool)
    for row, chord in zip(pitches, chords, strict=True):
        row[list(chord)] = True
    return pitches


def parallels(before, *after) -> list[float]:
    """How many parallels each chord makes after another."""
    leading = VoiceLeading(table(before, *after))
    voices = leading.after(leading.initial_voices(1), tf.constant([0]))
    return leading.count_parallels(voices)[0, 1:].numpy().tolist()


C = (48, 55, 64, 72)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ((50, 57, 65, 74), 2),  # fifths C-G to D-A, octaves C-C to D-D
        ((47, 55, 62, 74), 0),  # contrary motion
        ((48, 55, 64, 72), 0),  # nothing moves
        ((48, 55, 65, 74), 0),  # the fifth is held
        ((50, 57, 65, 69), 1),  # fifths alone
        ((45, 52, 60, 72), 1),  # the fifth falls
        ((55, 62, 67, 71), 1),  # the fifth leaps: C-G to G-D
        ((60, 67, 76, 84), 2),  # an octave higher is parallel too
        ((), 0),  # a rest
    ],
)
def test_parallels_by_hand(after, expected):
    assert parallels(C, after) == [expected]


def test_a_chord_of_three_pitches_is_read_as_voices_that_move_least():
    # C4 C4 G3 C3: the upper two in unison, both in octaves with the bass, and a fifth.
    assert parallels((48, 55, 60), (50, 57, 62)) == [4]
    # C4 G3 E3 C3 to C4 G3 E3 E3: the bass alone moves, up to the tenor.
    leading = VoiceLeading(table((48, 52, 55, 60), (52, 55, 60)))
    voices = leading.after(leading.initial_voices(1), tf.constant([0]))
    voices = leading.after(voices, tf.constant([1]))
    assert voices[0].numpy().tolist() == [60, 55, 52, 52]


def test_nothing_is_parallel_after_a_rest():
    assert parallels((), C) == [0]


def test_counts_are_those_of_the_measure():
    random = np.random.default_rng(0)
    chords = [
        sorted(random.choice(np.arange(45, 75), 4, replace=False)) for _ in range(200)
    ]
    leading = VoiceLeading(table(*chords))
    voices = leading.initial_voices(1)
    found = 0
    for step in range(199):
        voices = leading.after(voices, tf.constant([step]))
        np.testing.assert_array_equal(voices[0], chords[step][::-1])
        found += leading.count_parallels(voices)[0, step + 1].numpy()
    pitches = np.array(chords)[:, ::-1]
    assert found == _parallels(pitches, 0) + _parallels(pitches, 7) > 10
