"""The state matrix of the biaxial systems, without what they lost."""

import numpy as np
import pytest

from tests.contracts import make_sequence
from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence
from tfmusic.representations import EncodeError, make_representation

C4 = 60 - 21


def make_state(**settings):
    return make_representation({"name": "play_articulate", **settings})


def piece(*metres, quarters=12):
    """A note of a quarter length each, in metres (quarter note, numerator, denom.)."""
    sequence = make_sequence([(60, 80, i, i + 1) for i in range(quarters)])
    for quarter, numerator, denominator in metres:
        sequence.time_signatures.add(
            time=quarter / 2, numerator=numerator, denominator=denominator
        )
    return sequence


def metres_of(sequence: NoteSequence):
    return [(s.time * 2, s.numerator, s.denominator) for s in sequence.time_signatures]


def test_channels_are_play_and_articulate():
    sequence = make_sequence([(60, 80, 0, 1), (60, 80, 1, 1.5), (64, 80, 0, 1.5)])
    roll = make_state().encode(sequence)["roll"]
    assert roll.shape == (6, 88, 2)
    assert roll[:, C4].tolist() == [[1, 1], [1, 0], [1, 0], [1, 0], [1, 1], [1, 0]]
    only = make_state(play_only=True).encode(sequence)["roll"]
    np.testing.assert_array_equal(only, roll[..., :1])


def test_reference_has_78_pitches():
    roll = make_state(lowest_pitch=24, highest_pitch=101).encode(piece())["roll"]
    assert roll.shape == (48, 78, 2)
    assert roll[:, 60 - 24, 0].all()


def test_every_metre_is_read_to_the_end():
    """The originals stop without a word at any numerator but 2 and 4."""
    for numerator, denominator in [(3, 4), (6, 8), (5, 8), (9, 16), (1, 4), (7, 2)]:
        roll = make_state().encode(piece((6, numerator, denominator)))["roll"]
        assert len(roll) == 48


def test_notes_within_a_step_survive():
    """There, on and off in a step leave nothing."""
    trill = make_sequence([(60, 80, 0, 0.02), (60, 80, 0.25, 0.3), (62, 80, 0.1, 0.2)])
    roll = make_state().encode(trill)["roll"]
    assert roll[:, C4].tolist() == [[1, 1], [1, 1]]
    assert roll[:, C4 + 2].tolist() == [[1, 1], [0, 0]]


def test_the_place_in_the_bar_is_counted_from_the_bar_line():
    features = make_state(steps_per_quarter=2).encode(piece((0, 3, 4), (4, 2, 4)))
    position = [0, 1, 2, 3, 4, 5, 0, 1] + 4 * [0, 1, 2, 3]
    assert features["bar_position"].tolist() == position
    # The second bar of three quarters is cut short by the change.
    assert features["bar_length"].tolist() == 8 * [6] + 16 * [4]
    assert features["bar_position"].dtype == np.int16


def test_metres_come_back_as_far_as_bars_are_concerned():
    written = [(0, 3, 4), (3, 6, 8), (6, 5, 8), (8.5, 2, 2)]
    canonical = make_state().canonicalize(piece(*written, quarters=14))
    # 6/8 has the bars of 3/4, so nothing changes there; 2/2 has those of 4/4.
    assert metres_of(canonical) == [(0, 3, 4), (6, 5, 8), (8.5, 4, 4)]
    assert metres_of(make_state().canonicalize(piece())) == [(0, 4, 4)]


def test_a_bar_cut_short_keeps_the_metre_and_begins_anew():
    canonical = make_state().canonicalize(piece((0, 4, 4), (2, 4, 4)))
    assert metres_of(canonical) == [(0, 4, 4), (2, 4, 4)]


def test_bars_between_steps_come_back_rounded():
    representation = make_state(steps_per_quarter=1)
    features = representation.encode(piece((0, 3, 8), quarters=6))
    assert features["bar_length"].tolist() == [2, 2, 1, 2, 2, 1]
    assert features["bar_position"].tolist() == [0, 1, 0, 0, 1, 0]
    assert metres_of(representation.decode(features)) == [
        *[(0, 2, 4), (2, 1, 4), (3, 2, 4), (5, 1, 4)]
    ]
    triplets = make_state(steps_per_quarter=3).canonicalize(piece((0, 1, 16)))
    assert {m[1:] for m in metres_of(triplets)} == {(1, 12)}


def test_generated_bars_are_read_as_documented():
    representation = make_state()
    features = {
        "roll": np.zeros((8, 88, 2), bool),
        "bar_position": np.array([5, 6, 0, 1, 2, 3, 0, 1]),
        "bar_length": np.array([-3, 9, 4, 8, 8, 8, 4, 4]),
    }
    assert metres_of(representation.decode(features)) == [(0, 1, 16), (0.5, 1, 4)]
    nothing = {name: array[:0] for name, array in features.items()}
    assert not representation.decode(nothing).time_signatures


def test_bars_that_never_end_are_refused():
    with pytest.raises(EncodeError, match="bar_too_long: .* found 4000000; take a coa"):
        make_state().encode(piece((0, 250_000, 1)))


def test_bars_need_a_beat():
    with pytest.raises(UserError, match="steps_per_quarter is 0; .* follows the beat"):
        make_state(steps_per_quarter=0, steps_per_second=8)
