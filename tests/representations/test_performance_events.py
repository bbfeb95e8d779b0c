"""Events of performances, and how far they are those of note-seq."""

import collections

import numpy as np
import pytest
from note_seq import performance_lib, sequences_lib
from note_seq.performance_encoder_decoder import PerformanceOneHotEncoding

from tests.contracts import make_sequence
from tfmusic.notes.transforms import apply_sustain, stretch
from tfmusic.representations import make_representation
from tfmusic.representations.vocabulary import END, PAD, START

LETTERS = ["on", "off", "shift", "velocity"]  # in the order of note-seq's event types


def make_events(**settings):
    return make_representation({"name": "performance_events", **settings})


def tokens_of(representation, sequence):
    ids = representation.encode(sequence)["tokens"]
    return representation.vocabulary.tokens_of(ids)


def play(representation, *tokens):
    """(pitch, first step, last step, velocity) of tokens."""
    ids = representation.vocabulary.ids_of(tokens)
    return [
        (n.pitch, round(n.start_time * 100), round(n.end_time * 100), n.velocity)
        for n in representation.decode({"tokens": ids}).notes
    ]


def performance_of(sequence, representation):
    """What note-seq makes of a sequence."""
    return performance_lib.Performance(
        sequences_lib.quantize_note_sequence_absolute(
            sequence, int(representation.steps_per_second)
        ),
        num_velocity_bins=representation.num_velocity_bins,
        max_shift_steps=representation.max_shift_steps,
    )


def tokens_of_note_seq(sequence, representation):
    return [
        f"{LETTERS[event.event_type - 1]}{event.event_value}"
        for event in performance_of(sequence, representation)
    ]


def events_by_step(tokens):
    """What happens at each step, whatever its order; notes with their velocity."""
    step, velocity, steps = 0, "", collections.defaultdict(list)
    for token in tokens:
        if token.startswith("shift"):
            step += int(token.removeprefix("shift"))
        elif token.startswith("velocity"):
            velocity = token
        else:
            steps[step].append((token, velocity if token.startswith("on") else ""))
    return {step: sorted(events) for step, events in steps.items()}


def test_events_in_order():
    quarters = [(60, 81, 0, 3), (64, 80, 0, 3), (64, 79, 3, 3.5), (62, 78, 3, 4)]
    assert tokens_of(make_events(max_shift_steps=100), make_sequence(quarters)) == [
        *("velocity21", "on60", "velocity20", "on64", "shift100", "shift50"),
        *("off60", "off64", "on62", "on64", "shift25", "off64", "shift25", "off62"),
    ]


def test_tokens_are_those_of_note_seq():
    encoding = PerformanceOneHotEncoding(num_velocity_bins=32)
    representation = make_events(lowest_pitch=0, highest_pitch=127)
    events = [encoding.decode_event(i) for i in range(encoding.num_classes)]
    assert representation.vocabulary.tokens[3:] == tuple(
        f"{LETTERS[event.event_type - 1]}{event.event_value}" for event in events
    )
    assert len(make_events().vocabulary) == 3 + 2 * 88 + 100 + 32
    assert len(make_events(num_velocity_bins=0).vocabulary) == 3 + 2 * 88 + 100


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_velocity_bins": 0, "max_shift_steps": 40},
        {"steps_per_second": 31, "num_velocity_bins": 7},
    ],
)
def test_performances_have_the_events_of_note_seq(settings, performances):
    representation = make_events(**settings)
    for sequence in performances:
        tokens = tokens_of(representation, sequence)
        canonical = representation.canonicalize(sequence)
        assert tokens == tokens_of_note_seq(canonical, representation)
        if representation.steps_per_second == 100:
            # As it was played, too, but for the order within a step.
            assert not representation.losses(sequence)
            held = sequences_lib.apply_sustain_control_changes(sequence)
            for note in held.notes:
                # Halves of a step that a rounding error put below are halves again.
                note.start_time += 1e-8
                note.end_time += 1e-8
            theirs = tokens_of_note_seq(held, representation)
            assert events_by_step(tokens) == events_by_step(theirs)
            assert len(tokens) == pytest.approx(len(theirs), rel=0.01)


def test_performances_sound_as_those_of_note_seq(performances):
    representation = make_events()
    for sequence in performances:
        theirs = performance_of(representation.canonicalize(sequence), representation)
        notes = [
            sorted(
                (n.pitch, round(n.start_time, 6), round(n.end_time, 6), n.velocity)
                for n in sequence.notes
            )
            for sequence in (
                theirs.to_sequence(),
                representation.decode(representation.encode(sequence)),
            )
        ]
        assert notes[0] == notes[1]


def test_the_pedal_is_applied_unless_it_is_not_wanted(performances):
    sequence = performances[0]
    held = make_events().encode(sequence)["tokens"]
    dry = make_events(apply_sustain=False)
    np.testing.assert_array_equal(dry.encode(apply_sustain(sequence))["tokens"], held)
    assert not np.array_equal(dry.encode(sequence)["tokens"], held)


def test_slower_music_takes_more_shifts_but_has_the_same_notes():
    scale = make_sequence([(60 + i, 80, i, i + 1) for i in range(8)])
    representation = make_events(max_shift_steps=10)
    tokens, slow = (tokens_of(representation, s) for s in (scale, stretch(scale, 2.0)))
    assert tokens.count("shift10") * 2 == slow.count("shift10") == 8 * 10
    assert [t for t in tokens if t[0] == "o"] == [t for t in slow if t[0] == "o"]


def test_one_key_plays_one_note_at_a_time():
    sequence = make_sequence([(60, 80, 0, 4), (60, 80, 0, 1), (60, 80, 2, 3)])
    representation = make_events(num_velocity_bins=0)
    assert tokens_of(representation, sequence) == [
        *("on60", "shift100", "off60", "on60", "shift50", "off60"),
    ]
    assert representation.losses(sequence) == {"unisons": 1, "cut_notes": 1}


def test_generated_events_are_played_as_documented():
    representation = make_events(velocity=50)
    tokens = [
        *("off60", "on60", "off60", "on60", "shift10", "on60", "velocity32"),
        *("on64", "shift5", "off64", "off64", "on65", "shift100", "velocity1", "on66"),
    ]
    assert play(representation, *tokens) == [
        (60, 0, 10, 50),  # struck again: the first note ends
        (60, 10, 115, 50),  # still down at the end: it ends there
        (64, 10, 15, 125),
        (65, 15, 115, 125),  # 66 goes down at the end: no note
    ]
    assert play(representation) == []


def test_special_tokens_mean_nothing_and_end_ends():
    representation = make_events()
    on, shift, off = representation.vocabulary.ids_of(["on60", "shift9", "off60"])
    ids = np.array([START, on, PAD, shift, 9999, -1, off, END, on, shift])
    (note,) = representation.decode({"tokens": ids}).notes
    assert note.end_time == 0.09


@pytest.mark.parametrize("num_bins", [1, 2, 32, 100, 127])
def test_velocities_lie_in_the_bins_of_note_seq(num_bins):
    representation = make_events(num_velocity_bins=num_bins)
    notes = [(60, velocity, i, i + 1) for i, velocity in enumerate(range(1, 128))]
    decoded = representation.canonicalize(make_sequence(notes))
    for (_, velocity, *_), note in zip(notes, decoded.notes, strict=True):
        velocity_bin = performance_lib.velocity_to_bin(velocity, num_bins)
        expected = performance_lib.velocity_bin_to_velocity(velocity_bin, num_bins)
        assert note.velocity == expected


def test_only_keys_that_go_down_sound():
    representation = make_events(lowest_pitch=60, highest_pitch=61)
    pitches = representation.token_pitches()
    assert np.argwhere(pitches).tolist() == [[3, 60], [4, 61]]


def test_labels_name_keys():
    representation = make_events(lowest_pitch=60, highest_pitch=61, max_shift_steps=1)
    labels = representation.token_labels()
    assert labels[3:8] == ["C4 on", "C#4 on", "C4 off", "C#4 off", "shift1"]


@pytest.mark.slow
def test_real_pieces_have_the_events_of_note_seq(piano_paths):
    from tfmusic.notes.reading import read_file

    representation = make_events()
    for path in piano_paths[::3]:
        sequence = read_file(path)
        canonical = representation.canonicalize(sequence)
        tokens = tokens_of(representation, sequence)
        assert tokens == tokens_of_note_seq(canonical, representation), path
