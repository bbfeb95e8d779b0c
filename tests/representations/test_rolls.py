"""What the rolls keep, and the defects of their ancestors that they must not have."""

import numpy as np
import pytest

from tests.contracts import make_sequence, music_of
from tfmusic.representations import make_representation
from tfmusic.representations.base import EncodeError

# Keys of the pitches that the pieces below use.
C4, E4, G2 = 60 - 21, 64 - 21, 43 - 21


def make_roll(kind="binary_roll", **settings):
    return make_representation({"name": kind, **settings})


def encode(sequence, kind="binary_roll", **settings):
    return make_roll(kind, **settings).encode(sequence)["roll"]


def note_steps(sequence, seconds_per_step=0.125):
    return [
        (note.pitch, *np.divide((note.start_time, note.end_time), seconds_per_step))
        for note in sequence.notes
    ]


def test_channels_are_sounding_and_struck():
    roll = encode(make_sequence([(60, 80, 0, 1), (64, 80, 0.5, 1.25)]))
    assert roll.shape == (5, 88, 2)
    np.testing.assert_array_equal(roll[:, C4, 0], [1, 1, 1, 1, 0])
    np.testing.assert_array_equal(roll[:, C4, 1], [1, 0, 0, 0, 0])
    np.testing.assert_array_equal(roll[:, E4, 0], [0, 0, 1, 1, 1])
    np.testing.assert_array_equal(roll[:, E4, 1], [0, 0, 1, 0, 0])
    assert roll.sum() == 4 + 1 + 3 + 1


def test_shape_follows_the_settings():
    sequence = make_sequence([(60, 80, 0, 1)])
    settings = {"lowest_pitch": 60, "highest_pitch": 71}
    assert encode(sequence, **settings).shape == (4, 12, 2)
    assert encode(sequence, onsets=False, **settings).shape == (4, 12, 1)
    assert encode(sequence, "two_hands_roll", **settings).shape == (4, 2, 12, 2)
    assert encode(sequence, "two_hands_roll", onsets=False).shape == (4, 2, 88, 1)


@pytest.mark.parametrize("kind", ["binary_roll", "two_hands_roll"])
def test_short_notes_and_restrikes_survive(kind):
    """System A keeps each sixth step and loses a fifth of the notes of its data."""
    short = [(60, 80, i, i + 0.001) for i in range(6)]
    restrikes = [(64, 80, i / 4, (i + 1) / 4) for i in range(24)]
    representation = make_roll(kind)
    sequence = make_sequence(short + restrikes)
    decoded = representation.decode(representation.encode(sequence))
    assert len(decoded.notes) == 30
    assert not representation.losses(sequence)


def test_restrikes_merge_without_onsets_and_are_counted():
    sequence = make_sequence([(60, 80, i / 4, (i + 1) / 4) for i in range(8)])
    representation = make_roll(onsets=False)
    decoded = representation.decode(representation.encode(sequence))
    assert note_steps(decoded) == [(60, 0, 8)]
    assert representation.losses(sequence) == {"merged_restrikes": 7}


@pytest.mark.parametrize("signature", [(4, 4), (3, 4), (3, 8), (6, 8), (9, 8), (5, 4)])
def test_grid_does_not_depend_on_metre(signature):
    """System A has 2.67 or 8 steps a quarter in compound metres, B stops reading."""
    notes = [(60 + i, 80, i / 2, i / 2 + 0.5) for i in range(18)]
    roll = encode(make_sequence(notes, time_signature=signature))
    np.testing.assert_array_equal(roll, encode(make_sequence(notes)))
    assert len(roll) == 36


def test_grid_does_not_depend_on_tempo():
    notes = [(60 + i, 80, i / 2, i / 2 + 0.5) for i in range(18)]
    fast = encode(make_sequence(notes, qpm=187.3))
    np.testing.assert_array_equal(fast, encode(make_sequence(notes)))


def test_frames_follow_real_time():
    notes = [(60, 80, 0, 4)]
    settings = {"steps_per_quarter": 0, "steps_per_second": 10}
    assert len(encode(make_sequence(notes, qpm=120.0), **settings)) == 20
    assert len(encode(make_sequence(notes, qpm=60.0), **settings)) == 40


def test_every_instrument_is_read():
    """Systems A, C and E read the first instrument or two."""
    tracks = [[(60 + i, 80, 0, 1)] for i in range(5)]
    assert encode(make_sequence(*tracks))[0, :, 0].sum() == 5
    assert encode(make_sequence(*tracks), "two_hands_roll")[0, ..., 0].sum() == 5


def test_first_instrument_is_read_alone_on_request():
    sequence = make_sequence([], [(60, 80, 0, 1)], [(64, 80, 0, 1)])
    representation = make_roll(first_instrument_only=True)
    roll = representation.encode(sequence)["roll"]
    np.testing.assert_array_equal(np.flatnonzero(roll[0, :, 0]), [C4])
    assert representation.losses(sequence) == {"other_instruments": 1}


def test_hands_are_told_by_name_and_not_by_place():
    left, right = [(43, 80, 0, 1)], [(60, 80, 0, 1)]
    for tracks, names in [
        ((left, right), ("Piano left", "Piano right")),
        ((right, left), ("Piano right", "Piano left")),
    ]:
        roll = encode(make_sequence(*tracks, names=names), "two_hands_roll")
        np.testing.assert_array_equal(np.argwhere(roll[0, ..., 0]), [[0, C4], [1, G2]])


def test_decoded_hands_are_named_and_found_again():
    """Even where one rests, or they are crossed."""
    representation = make_roll("two_hands_roll")
    roll = np.zeros((8, 2, 88, 2), bool)
    roll[:, 1, E4] = True  # the left hand alone, above the middle
    decoded = representation.decode({"roll": roll})
    assert [info.name for info in decoded.instrument_infos] == [
        "Right hand",
        "Left hand",
    ]
    np.testing.assert_array_equal(representation.encode(decoded)["roll"], roll)
    roll[:, 0, G2] = True
    decoded = representation.decode({"roll": roll})
    np.testing.assert_array_equal(representation.encode(decoded)["roll"], roll)


def test_both_hands_may_hold_one_key():
    sequence = make_sequence(
        [(60, 80, 0, 2)], [(60, 80, 1, 3)], names=("right hand", "left hand")
    )
    representation = make_roll("two_hands_roll")
    decoded = representation.decode(representation.encode(sequence))
    assert note_steps(decoded) == [(60, 0, 8), (60, 4, 12)]
    assert not representation.losses(sequence)


def test_losses_are_counted_by_reason():
    sequence = make_sequence(
        [(60, 80, 0, 4), (60, 80, 2, 3), (60, 80, 2, 2.5), (20, 80, 0, 1)],
        [(109, 80, 0, 1), (38, 80, 0, 1)],
    )
    sequence.notes[-1].is_drum = True
    assert make_roll().losses(sequence) == {
        "outside_range": 2,
        "drums": 1,
        "unisons": 1,
        "cut_notes": 1,
    }
    assert make_roll(onsets=False).losses(sequence) == {
        "outside_range": 2,
        "drums": 1,
        "merged_restrikes": 2,
    }


def test_drums_do_not_count_as_a_hand():
    piano = [(60, 80, 0, 1), (40, 80, 0, 1)]
    sequence = make_sequence(piano, [(38, 80, 0, 1)])
    sequence.notes[-1].is_drum = True
    np.testing.assert_array_equal(
        encode(sequence, "two_hands_roll"),
        encode(make_sequence(piano), "two_hands_roll"),
    )


def test_of_notes_on_one_key_the_longest_or_the_newest_sounds():
    representation = make_roll()
    sequence = make_sequence([(60, 80, 0, 1), (60, 80, 0, 4), (60, 80, 2, 3)])
    decoded = representation.canonicalize(sequence)
    assert note_steps(decoded) == [(60, 0, 8), (60, 8, 12)]


def test_generated_rolls_are_read_as_documented():
    representation = make_roll()
    roll = np.zeros((6, 88, 2), bool)
    roll[1:5, C4, 0] = True  # begins to sound without being struck
    roll[3, C4, 1] = True  # struck again
    roll[2, E4, 1] = True  # struck without sounding
    decoded = representation.decode({"roll": roll})
    assert note_steps(decoded) == [(60, 1, 3), (60, 3, 5)]


def test_silent_roll_is_silent_music():
    for kind in ("binary_roll", "two_hands_roll"):
        representation = make_roll(kind)
        shape = representation.feature_specs["roll"].shape[1:]
        decoded = representation.decode({"roll": np.zeros((4, *shape), bool)})
        assert not decoded.notes
        assert decoded.total_time == 0.5


def test_silence_at_both_ends_survives():
    roll = np.zeros((9, 88, 1), bool)
    roll[2:5, 40] = True
    representation = make_roll("binary_roll", onsets=False, steps_per_quarter=2)
    decoded = representation.decode({"roll": roll})
    np.testing.assert_array_equal(representation.encode(decoded)["roll"], roll)
    assert representation.canonicalize(decoded) == decoded


def test_endless_silence_is_refused():
    sequence = make_sequence([(60, 80, 0, 1)])
    sequence.total_time = 1e9
    with pytest.raises(EncodeError, match="too_long"):
        make_roll("binary_roll").encode(sequence)


def test_decoded_music_has_the_tempo_and_velocity_of_the_settings():
    sequence = make_sequence([(60, 12, 0, 1), (64, 99, 1, 2)], qpm=77.0)
    representation = make_roll(qpm=96.0, velocity=100)
    music = music_of(representation.canonicalize(sequence))
    assert music["tempos"] == [(0.0, 96.0)]
    assert [note[4] for note in music["notes"]] == [100, 100]
    assert music["total_time"] == 2 * 60 / 96
    assert music["instruments"] == [(0, "Piano")]
