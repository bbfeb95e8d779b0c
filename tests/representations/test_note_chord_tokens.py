import numpy as np
import pytest

from tests.contracts import make_sequence
from tfmusic.representations import make_representation
from tfmusic.representations.vocabulary import END, PAD, START


def fitted(*chords, **settings):
    representation = make_representation({"name": "note_chord_tokens", **settings})
    return representation.fit_counts({chord: 9 for chord in chords})


def tokens_of(representation, sequence):
    ids = representation.encode(sequence)["tokens"]
    return representation.vocabulary.tokens_of(ids)


def decode(representation, *tokens):
    """(pitch, start, end) of what tokens or ids sound, in steps of a sixteenth."""
    vocabulary = representation.vocabulary
    ids = [t if isinstance(t, int) else vocabulary.id_of(t) for t in tokens]
    sequence = representation.decode({"tokens": np.array(ids, np.int32)})
    return [(n.pitch, n.start_time * 8, n.end_time * 8) for n in sequence.notes]


def test_chords_lengths_and_shifts():
    sequence = make_sequence(
        [(60, 80, 0.5, 1.5), (64, 80, 0.5, 1.5), (67, 80, 0.5, 2.5), (48, 80, 1, 2)]
    )
    assert tokens_of(fitted("C4.E4"), sequence) == [
        *("s2", "G4", "d8", "C4.E4", "d4"),
        *("s2", "C3", "d4"),
    ]


def test_unknown_chords_are_spelled_by_known_ones():
    chord = make_sequence([(pitch, 80, 0, 1) for pitch in (60, 64, 67, 72)])
    spelled = {
        ("C4.E4.G4.C5",): ["C4.E4.G4.C5", "d4"],
        ("C4.E4", "E4.G4.C5"): ["E4.G4.C5", "d4", "C4", "d4"],
        (): ["C4", "d4", "E4", "d4", "G4", "d4", "C5", "d4"],
    }
    for known, tokens in spelled.items():
        representation = fitted(*known)
        assert tokens_of(representation, chord) == tokens
        assert representation.losses(chord) == {}


def test_long_shifts_take_several_tokens():
    sequence = make_sequence([(60, 80, 0, 1), (62, 80, 5, 6)])
    representation = fitted(max_shift_steps=8)
    assert tokens_of(representation, sequence)[2:-2] == ["s8", "s8", "s4"]
    representation = fitted(max_shift_steps=10)
    assert tokens_of(representation, sequence)[2:-2] == ["s10", "s10"]


def test_long_notes_are_clamped_and_counted():
    sequence = make_sequence([(60, 80, 0, 5), (62, 80, 0, 1)])
    representation = fitted(max_duration_steps=16)
    assert tokens_of(representation, sequence)[:2] == ["C4", "d16"]
    assert representation.losses(sequence) == {"clamped_durations": 1}


def test_restrikes_and_short_notes_survive():
    restrikes = [(60, 80, i / 4, (i + 1) / 4) for i in range(8)]
    short = [(64, 80, i, i + 0.001) for i in range(3)]
    representation = fitted()
    decoded = representation.decode(
        representation.encode(make_sequence(restrikes + short))
    )
    assert len(decoded.notes) == 11


def test_every_instrument_is_read():
    sequence = make_sequence([(60, 80, 0, 1)], [(64, 80, 0, 1)], [(67, 80, 0, 1)])
    assert tokens_of(fitted("C4.E4.G4"), sequence) == ["C4.E4.G4", "d4"]


def test_vocabulary_holds_what_is_always_needed_and_frequent_chords():
    pieces = [make_sequence([(60, 80, 0, 1), (64, 80, 0, 1)])] * 3
    pieces += [make_sequence([(60, 80, 0, 1), (65, 80, 0, 1)])] * 2
    representation = make_representation({"name": "note_chord_tokens", "min_count": 3})
    tokens = representation.fit(pieces).tokens
    assert len(tokens) == 3 + 88 + 64 + 32 + 1
    assert tokens[3:] == (*representation.always_known(), "C4.E4")
    assert {"A0", "C8", "d1", "d64", "s1", "s32"} <= set(tokens)


def test_token_pitches():
    representation = fitted("C4.E4")
    pitches = representation.token_pitches()
    ids = representation.vocabulary.ids_of(["C4.E4", "A0", "d4", "s4", "<end>"])
    found = [np.flatnonzero(pitches[i]).tolist() for i in ids]
    assert found == [[60, 64], [21], [], [], []]
    labels = representation.token_labels()
    assert [labels[i] for i in ids] == ["C4 E4", "A0", "d4", "s4", "<end>"]


@pytest.mark.parametrize(
    ("tokens", "notes"),
    [
        (["C4", "d2", "E4"], [(60, 0, 2), (64, 0, 2)]),  # the last length named
        (["C4", "s8", "E4", "d2"], [(60, 0, 4), (64, 8, 10)]),  # a quarter at first
        (["C4", "d2", "d8", "s1", "E4"], [(60, 0, 2), (64, 1, 9)]),
        (["d1", "C4"], [(60, 0, 1)]),
        (["C4", PAD, START, "d3", -1, 9999], [(60, 0, 3)]),
        (["C4", "d3", END, "E4", "d3"], [(60, 0, 3)]),
        (["s4", "s4", "C4", "d1", "s9"], [(60, 8, 9)]),
        (["C4", "d1", "C4", "d8"], [(60, 0, 8)]),
        (["C4", "d8", "s2", "C4", "d8"], [(60, 0, 2), (60, 2, 10)]),
        (["d1", "s4", END], []),
        ([], []),
    ],
)
def test_tokens_decode_in_any_order(tokens, notes):
    assert decode(fitted(), *tokens) == notes


def test_reference_mode_writes_names_and_pitch_classes_without_rhythm():
    sequence = make_sequence(
        [(76, 80, 0, 1), (57, 80, 3, 9), (64, 80, 3, 4), (60, 80, 10, 11)],
        [(40, 80, 0, 1)],
    )
    representation = fitted("9.0.4", "4.9", mode="reference")
    assert tokens_of(representation, sequence) == ["E5", "4.9", "C4"]
    assert representation.losses(sequence) == {"other_instruments": 1}


def test_reference_mode_plays_an_event_every_half_quarter():
    representation = fitted("0.4.7", mode="reference")
    assert decode(representation, "E5", "0.4.7", "E4") == [
        (76, 0, 4),
        (60, 2, 6),
        (64, 2, 4),  # struck again by the next event
        (67, 2, 6),
        (64, 4, 8),
    ]


def test_reference_mode_keeps_an_octave_a_chord():
    sequence = make_sequence([(48, 80, 0, 1), (60, 80, 0, 1)])
    representation = fitted(mode="reference")
    assert tokens_of(representation, sequence) == ["0"]
    assert decode(representation, "0") == [(60, 0, 4), (72, 0, 4)]


def test_reference_mode_takes_the_nearest_chord_and_counts_it():
    sequence = make_sequence([(pitch, 80, 0, 1) for pitch in (60, 64, 67, 70)])
    representation = fitted("0.4.7", "0.2", mode="reference")
    assert tokens_of(representation, sequence) == ["0.4.7"]
    assert representation.losses(sequence) == {"substituted_chords": 1}


def test_reference_mode_counts_chords_by_pitch_classes():
    low = make_sequence([(48, 80, 0, 1), (55, 80, 0, 1)])
    high = make_sequence([(72, 80, 0, 1), (91, 80, 0, 1)])
    representation = make_representation(
        {"name": "note_chord_tokens", "mode": "reference"}
    )
    assert representation.fit([low, high]).tokens[-1] == "7.0"


def test_reference_mode_is_of_the_first_instrument_whatever_is_set():
    explicit = fitted(mode="reference", first_instrument_only=True)
    assert fitted(mode="reference") == explicit
