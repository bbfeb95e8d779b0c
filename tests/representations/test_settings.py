"""Wrong settings are told in one line that says how to mend them."""

import dataclasses

import pytest

from tests.contracts import make_sequence
from tfmusic.errors import UserError
from tfmusic.representations import (
    REPRESENTATIONS,
    EncodeError,
    make_representation,
)

MISTAKES = [
    ({}, "needs a 'name'; it can be bar_events, binary_roll, chord_frames,"),
    ({"name": "two_hand_roll"}, "'two_hand_roll' .did you mean 'two_hands_roll'?"),
    ({"name": "binary_roll", "onset": True}, "'onset' .did you mean 'onsets'?"),
    ({"name": "chord_frames", "onsets": True}, "unknown 'onsets'.* can be decode_st"),
    ({"name": "binary_roll", "steps_per_quarter": 0}, "steps_per_second, one of them"),
    ({"name": "binary_roll", "steps_per_second": 8}, "one of them above 0 and the oth"),
    ({"name": "binary_roll", "steps_per_quarter": -4}, "not -4 and 0.0"),
    ({"name": "binary_roll", "steps_per_quarter": 2.5}, "is 2.5; expected a whole n"),
    ({"name": "binary_roll", "onsets": 1}, "onsets is 1; expected True or"),
    ({"name": "binary_roll", "qpm": "fast"}, "qpm is 'fast'; expected a num"),
    ({"name": "binary_roll", "qpm": 0}, "qpm: expected quarter notes per minute abov"),
    ({"name": "binary_roll", "velocity": 0}, "velocity is 0; expected 1..127"),
    ({"name": "binary_roll", "velocity": 128}, "velocity is 128; expected 1..127"),
    ({"name": "binary_roll", "lowest_pitch": -1}, "lowest_pitch is -1; expected 0..12"),
    (
        {"name": "binary_roll", "lowest_pitch": 60, "highest_pitch": 59},
        "highest_pitch is 59; expected lowest_pitch..127, that is 60..127",
    ),
    ({"name": "binary_roll", "highest_pitch": 128}, "highest_pitch is 128; expected l"),
    ({"name": "note_chord_tokens", "mode": "note"}, "'note' .did you mean 'notes'?"),
    (
        {"name": "note_chord_tokens", "max_shift_steps": 0},
        "max_shift_steps is 0; expected 1 or more",
    ),
    (
        {"name": "note_chord_tokens", "max_duration_steps": 0},
        "max_duration_steps is 0; expected 1 or more",
    ),
    ({"name": "note_chord_tokens", "min_count": 0}, "min_count is 0; expected 1 or mo"),
    (
        {"name": "note_chord_tokens", "max_vocabulary": 100},
        "max_vocabulary is 100; expected 0 .no limit. or at least the 187 tokens",
    ),
    ({"name": "chord_frames", "max_vocabulary": -1}, "max_vocabulary is -1; expected"),
    (
        {"name": "chord_frames", "decode_steps_per_second": -1},
        "decode_steps_per_second is -1.0; expected 0 or more",
    ),
    (
        {
            "name": "note_chord_tokens",
            "mode": "reference",
            "steps_per_quarter": 0,
            "steps_per_second": 8,
        },
        "steps_per_quarter is 0; expected 1 or more in mode 'reference'",
    ),
    (
        {"name": "note_chord_tokens", "mode": "reference", "steps_per_quarter": 3},
        "reference_step_quarters is 0.5; expected a multiple of a step, 1/3 quarter",
    ),
    (
        {"name": "note_chord_tokens", "mode": "reference", "lowest_pitch": 61},
        "lowest_pitch is 61; expected that pitches 60..83 hold decoded chords",
    ),
    (
        {"name": "note_chord_tokens", "mode": "reference", "highest_pitch": 82},
        "highest_pitch is 82; expected that pitches 60..83 hold decoded chords",
    ),
    (
        {"name": "performance_events", "max_shift_steps": 0},
        "max_shift_steps is 0; expected 1 or more",
    ),
    (
        {"name": "performance_events", "num_velocity_bins": 128},
        "num_velocity_bins is 128; expected 0..127",
    ),
    (
        {"name": "performance_events", "steps_per_quarter": 4},
        "one of them above 0 and the other 0, not 4 and 100.0",
    ),
    (
        {"name": "event_chunks", "steps_per_quarter": 4, "steps_per_second": 0},
        "steps_per_second is 0.0; expected above 0: chunks need a grid in real time",
    ),
    (
        {"name": "event_chunks", "chunk_seconds": 0.0005},
        "chunk_seconds is 0.0005; expected a multiple of a step, 1/960 s",
    ),
    ({"name": "event_chunks", "chunk_seconds": 100}, "seconds is 100.0; expected at m"),
    ({"name": "event_chunks", "max_events": 256}, "max_events is 256; expected 1..255"),
    ({"name": "event_chunks", "pedal_bins": 0}, "pedal_bins is 0; expected 1..127"),
    ({"name": "event_chunks", "lowest_pitch": 20}, "lowest_pitch is 20; expected 21 o"),
    ({"name": "event_chunks", "highest_pitch": 109}, "is 109; expected 108 or less"),
]


@pytest.mark.parametrize(("config", "message"), MISTAKES)
def test_mistake_is_told_in_one_line(config, message):
    with pytest.raises(UserError, match=message) as raised:
        make_representation(config)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_every_kind_is_found_by_its_name(name):
    assert make_representation({"name": name}).name == name


def test_whole_numbers_and_floats_are_one_setting():
    config = {"name": "binary_roll", "steps_per_quarter": 0}
    whole = make_representation({**config, "steps_per_second": 8})
    real = make_representation({**config, "steps_per_second": 8.0})
    assert whole == real
    assert whole.fingerprint() == real.fingerprint()


def test_a_setting_of_a_later_version_leaves_fingerprints_as_they_were():
    today = REPRESENTATIONS["binary_roll"]

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Later(today):
        new: int = 0

    assert Later(qpm=90.0).fingerprint() == today(qpm=90.0).fingerprint()
    prints = {r.fingerprint() for r in (Later(new=1), Later(), today(qpm=90.0))}
    assert len(prints) == 3


def test_lists_of_a_configuration_become_tuples():
    fitted = make_representation({"name": "chord_frames"}).fit_counts({"60": 1})
    config = {**fitted.to_config(), "tokens": list(fitted.tokens)}
    assert make_representation(config) == fitted


@pytest.mark.parametrize("name", ["chord_frames", "note_chord_tokens"])
@pytest.mark.parametrize(
    "use",
    [
        lambda r: r.encode(make_sequence([(60, 80, 0, 1)])),
        lambda r: r.decode({"tokens": [3]}),
        lambda r: r.vocabulary,
        lambda r: r.token_pitches(),
    ],
)
def test_vocabulary_that_is_not_fitted_is_refused(name, use):
    representation = make_representation({"name": name})
    assert not representation.is_fitted
    with pytest.raises(UserError, match=f"{name} has no vocabulary yet; call fit"):
        use(representation)


def test_pieces_without_anything_to_encode_are_dropped(representation):
    drums = make_sequence([(60, 80, 0, 1)])
    drums.notes[0].is_drum = True
    low = make_sequence([(3, 80, 0, 1)])
    pieces = [make_sequence([])]
    if not getattr(representation, "programs", False):
        pieces.append(drums)
    if representation.lowest_pitch > 3:
        pieces.append(low)
    for sequence in pieces:
        with pytest.raises(EncodeError, match="no_notes: expected notes from pitch"):
            representation.encode(sequence)


def test_pieces_that_last_for_days_are_dropped(representation):
    sequence = make_sequence([(60, 80, 0, 1), (60, 80, 2e6, 2e6 + 1)])
    with pytest.raises(
        EncodeError, match=f"too_long: .* most {representation.max_steps} s"
    ):
        representation.encode(sequence)
