"""Voices as frames: who has which note, and what is lost."""

import numpy as np
import pytest

from tests.contracts import make_sequence
from tfmusic.errors import UserError
from tfmusic.representations import make_representation

# Two quarters of four voices on one instrument; the alto strikes twice.
PIANO = [
    (72, 80, 0, 2),
    (67, 80, 0, 1),
    (67, 80, 1, 2),
    (64, 80, 0, 2),
    (48, 80, 0, 1),
    (50, 80, 1, 2),
]


def make_frames(**settings):
    settings = {"steps_per_quarter": 1, **settings}
    return make_representation({"name": "voice_frames", **settings})


def test_each_cell_has_a_pitch_and_whether_it_is_struck():
    found = make_frames().encode(make_sequence(PIANO, time_signature=(3, 4)))
    assert found["pitch"].tolist() == [[72, 67, 64, 48], [72, 67, 64, 50]]
    assert found["struck"].tolist() == [[1, 1, 1, 1], [0, 1, 0, 1]]
    assert found["bar_position"].tolist() == [0, 1]
    assert found["bar_length"].tolist() == [3, 3]


def test_without_onsets_repeated_notes_are_one():
    kind = make_frames(onsets=False)
    found, losses = kind.encode_with_losses(make_sequence(PIANO))
    assert "struck" not in found
    assert losses == {"merged_restrikes": 1}
    assert len(kind.decode(found).notes) == 5


def test_instruments_are_voices_from_the_highest_to_the_lowest():
    tracks = [[(pitch, 80, 0, 1)] for pitch in (48, 60, 72, 55)]
    found = make_frames().encode(make_sequence(*tracks))
    assert found["pitch"].tolist() == [[72, 60, 55, 48]]


def test_names_say_which_voice_an_instrument_is():
    tracks = [[(pitch, 80, 0, 1)] for pitch in (60, 70, 50, 55)]
    names = ("soprano", "Alto", "TENOR", "Bass")
    sequence = make_sequence(*tracks, names=names)
    assert make_frames().encode(sequence)["pitch"].tolist() == [[60, 70, 50, 55]]
    del sequence.notes[2:]  # the voices that rest are known too
    assert make_frames().encode(sequence)["pitch"].tolist() == [[60, 70, 0, 0]]


def test_a_melody_alone_is_the_first_voice():
    low = make_sequence([(40 + i, 80, i, i + 1) for i in range(3)])
    found = make_frames().encode(low)["pitch"]
    assert found.tolist() == [[40, 0, 0, 0], [41, 0, 0, 0], [42, 0, 0, 0]]


def test_a_voice_that_rests_leaves_the_others_theirs():
    later = [(74, 80, 2, 3), (65, 80, 2, 3), (50, 80, 2, 3), (76, 80, 3, 4)]
    found = make_frames().encode(make_sequence([*PIANO, *later, (52, 80, 3, 4)]))
    assert found["pitch"][2:].tolist() == [[74, 0, 65, 50], [76, 0, 0, 52]]


def test_inner_notes_of_large_chords_are_left_out():
    chord = [(pitch, 80, 0, 1) for pitch in (72, 69, 67, 64, 60, 48)]
    found, losses = make_frames().encode_with_losses(make_sequence(chord))
    assert found["pitch"].tolist() == [[72, 69, 67, 48]]
    assert losses == {"inner_notes": 2}


def test_a_voice_has_one_note_at_a_time():
    track = [(72, 80, 0, 2), (67, 80, 0, 1), (74, 80, 1, 2)]
    others = [[(pitch, 80, 0, 1)] for pitch in (60, 55, 48)]
    found, losses = make_frames().encode_with_losses(make_sequence(track, *others))
    assert found["pitch"][:, 0].tolist() == [72, 74]
    assert losses == {"voice_chords": 1, "voice_overlaps": 1}


def test_transposed_voices_stay_in_the_range():
    variation = make_frames(lowest_pitch=50, highest_pitch=60).transpositions((0, 2))
    assert variation.table[1, [0, 50, 58, 59]].tolist() == [0, 52, 60, -1]
    np.testing.assert_array_equal(variation.table[0], np.arange(128))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps_per_quarter": 0, "steps_per_second": 4.0}, "steps_per_quarter"),
        ({"lowest_pitch": 0}, "lowest_pitch is 0"),
        ({"voice_names": ()}, "voice_names"),
        ({"voice_names": ("Alto", "alto")}, "voice_names"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make_frames(**settings)
