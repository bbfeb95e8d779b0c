"""Bars, places in them and notes, in tokens that a musician can read."""

import numpy as np
import pytest

from tests.contracts import make_sequence
from tfmusic.representations import make_representation
from tfmusic.representations.bar_events import DURATIONS

TUNE = dict(num_velocity_bins=0, tempos=False, programs=False)


def make_events(**settings):
    return make_representation({"name": "bar_events", **settings})


def words(representation, sequence):
    ids = representation.encode(sequence)["tokens"]
    return representation.vocabulary.tokens_of(ids)


def play(representation, text):
    ids = representation.vocabulary.ids_of(text.split())
    return representation.decode({"tokens": ids})


def notes_of(sequence, qpm=120.0):
    """(pitch, start, length) in twelfths of a quarter."""
    scale = qpm / 60 * 12
    return [
        (
            n.pitch,
            round(n.start_time * scale),
            round((n.end_time - n.start_time) * scale),
        )
        for n in sequence.notes
    ]


def signatures_of(sequence, qpm=120.0):
    """(quarter, numerator, denominator)."""
    return [
        (round(s.time * qpm / 60, 6), s.numerator, s.denominator)
        for s in sequence.time_signatures
    ]


def test_tune_takes_a_place_and_a_pitch_a_note():
    # C D E F | G - in 4/4, quarters and a half.
    tune = [(60, 80, 0, 1), (62, 80, 1, 2), (64, 80, 2, 3), (65, 80, 3, 4)]
    sequence = make_sequence([*tune, (67, 80, 4, 6)], time_signature=(4, 4))
    assert words(make_events(**TUNE), sequence)[4:] == [
        *("bar4/4", "duration12", "n60", "position12", "n62"),
        *("position24", "n64", "position36", "n65"),
        *("bar4/4", "duration24", "n67"),
    ]


def test_chord_shares_its_place_and_length():
    chord = [(pitch, 80, 1, 2) for pitch in (60, 64, 67)]
    sequence = make_sequence(chord, time_signature=(3, 4))
    tokens = words(make_events(**TUNE), sequence)
    assert tokens[4:] == ["bar3/4", "position12", "duration12", "n60", "n64", "n67"]


def test_upbeat_begins_the_piece_late_in_its_first_bar():
    sequence = make_sequence([(67, 80, 0, 1), (72, 80, 1, 4)])
    sequence.time_signatures.add(time=0.5, numerator=3, denominator=4)
    representation = make_events(**TUNE)
    tokens = words(representation, sequence)
    assert tokens[4:] == [
        *("upbeat24", "bar3/4", "duration12", "n67"),
        *("bar3/4", "duration36", "n72"),
    ]
    decoded = play(representation, " ".join(tokens))
    assert notes_of(decoded) == [(67, 0, 12), (72, 12, 36)]
    assert signatures_of(decoded) == [(1.0, 3, 4)]


def test_triplets_come_back():
    third = 1 / 3
    triplet = [(60 + i, 80, i * third, (i + 1) * third) for i in range(3)]
    representation = make_events(**TUNE)
    decoded = representation.decode(representation.encode(make_sequence(triplet)))
    assert notes_of(decoded) == [(60, 0, 4), (61, 4, 4), (62, 8, 4)]


def test_loudness_tempo_and_instrument_are_said_where_they_change():
    sequence = make_sequence([(60, 80, 0, 1), (62, 80, 1, 2), (64, 40, 2, 3)], qpm=100)
    for note in sequence.notes:
        note.program = 40
    assert words(make_events(), sequence)[4:] == [
        *("bar4/4", "tempo18", "instrument40", "velocity20", "duration12", "n60"),
        *("position12", "n62"),
        *("position24", "velocity10", "n64"),
    ]


def test_piano_goes_without_saying():
    tokens = words(make_events(), make_sequence([(60, 80, 0, 1)]))
    assert tokens[4:] == ["bar4/4", "tempo20", "velocity20", "duration12", "n60"]


def test_drums_are_a_token_each_and_stay_when_others_are_transposed():
    sequence = make_sequence([(60, 80, 0, 1)], [(36, 80, 0, 0.25), (42, 80, 1, 2)])
    for note in sequence.notes[1:]:
        note.is_drum = True
    representation = make_events(num_velocity_bins=0, tempos=False)
    ids = representation.encode(sequence)["tokens"]
    assert representation.vocabulary.tokens_of(ids[4:]) == [
        *("bar4/4", "duration12", "n60", "drum36", "position12", "drum42"),
    ]
    table = representation.transpositions([0, 5]).table
    assert representation.vocabulary.tokens_of(table[1][ids])[4:] == [
        *("bar4/4", "duration12", "n65", "drum36", "position12", "drum42"),
    ]
    drums = [n for n in representation.decode({"tokens": ids}).notes if n.is_drum]
    assert [note.pitch for note in drums] == [36, 42]


def test_key_moves_with_the_notes():
    representation = make_events(**TUNE)
    row = representation.transpositions([0, 2, -3]).table
    names = representation.vocabulary.tokens
    # C major, A minor and any; up a tone and down a minor third.
    for key, up, down in [("key1", "key3", "key10"), ("key22", "key24", "key19")]:
        assert names[row[1][names.index(key)]] == up
        assert names[row[2][names.index(key)]] == down
    any_key = names.index("key0")
    assert row[1][any_key] == any_key


def test_key_signature_is_believed_unless_it_is_c_major():
    scale = [(pitch, 80, i, i + 1) for i, pitch in enumerate((67, 71, 74, 67, 66, 67))]
    sequence = make_sequence(scale)
    sequence.key_signatures.add(key=0)
    assert "key8" in words(make_events(), sequence)  # G major, as it sounds
    sequence.key_signatures[0].key = 2
    assert "key3" in words(make_events(), sequence)
    sequence.key_signatures[0].key = 9
    sequence.key_signatures[0].mode = sequence.key_signatures[0].DORIAN
    assert "key22" in words(make_events(), sequence)  # minor, as its third is


def test_bar_that_ends_early_is_cut():
    # A bar of 4/4 of which there are three quarters, then 3/4.
    sequence = make_sequence([(60, 80, 0, 3), (62, 80, 3, 6), (64, 80, 6, 9)])
    for quarter, numerator in ((0, 4), (3, 3)):
        sequence.time_signatures.add(
            time=quarter / 2, numerator=numerator, denominator=4
        )
    representation = make_events(**TUNE)
    tokens = words(representation, sequence)
    assert tokens[4:] == [
        *("bar4/4", "duration36", "n60", "position36", "cut"),
        *("bar3/4", "n62", "bar3/4", "n64"),
    ]
    decoded = play(representation, " ".join(tokens))
    assert signatures_of(decoded) == [(0, 4, 4), (3, 3, 4)]


def test_bar_of_an_unlisted_metre_is_spelled_and_counted():
    # 13/8 is longer than the bars of 8/8 to 12/8 and shorter than those of 7/4.
    notes = [(60, 80, 6.5 * i, 6.5 * i + 1) for i in range(3)]
    representation = make_events(**TUNE)
    sequence = make_sequence(notes, time_signature=(13, 8))
    tokens = words(representation, sequence)
    assert tokens[4:8] == ["bar7/4", "duration12", "n60", "position78"]
    assert representation.losses(sequence) == {"respelled_bars": 3}
    decoded = representation.decode(representation.encode(sequence))
    assert [start for _, start, _ in notes_of(decoded)] == [0, 78, 156]


def test_silent_bars_are_kept():
    sequence = make_sequence([(60, 80, 0, 1), (62, 80, 12, 13)])
    tokens = words(make_events(**TUNE), sequence)
    assert tokens[4:] == ["bar4/4", "duration12", "n60", *["bar4/4"] * 3, "n62"]


def test_long_notes_become_shorter_and_are_counted():
    sequence = make_sequence([(60, 80, 0, 4.25), (62, 80, 0, 20)])
    representation = make_events(**TUNE)
    decoded = representation.decode(representation.encode(sequence))
    assert notes_of(decoded) == [(60, 0, 48), (62, 0, 192)]
    assert representation.losses(sequence) == {
        "rounded_durations": 1,
        "clamped_durations": 1,
    }
    assert DURATIONS.tolist()[:48] == list(range(1, 49))


def test_tempo_of_each_bar_comes_back():
    sequence = make_sequence([(60, 80, i, i + 1) for i in range(8)])
    sequence.tempos[0].qpm = 120
    sequence.tempos.add(time=2, qpm=60)
    for note in sequence.notes[4:]:  # a second each, after four half seconds
        number = note.start_time * 2 - 4
        note.start_time, note.end_time = 2 + number, 3 + number
    decoded = make_events().decode(make_events().encode(sequence))
    assert notes_of(sequence, 120)[:4] == [(60, 12 * i, 12) for i in range(4)]
    assert [round(tempo.qpm) for tempo in decoded.tempos] == [120, 60]
    assert len({round(note.start_time, 3) for note in decoded.notes}) == 8


def test_piece_begins_with_what_holds_for_all_of_it():
    # C major in eighths, then its triad: nine notes in five quarters, two bars.
    scale = [
        (pitch, 80, i / 2, (i + 1) / 2) for i, pitch in enumerate((60, 64, 67) * 2)
    ]
    chord = [(pitch, 80, 3, 5) for pitch in (60, 64, 67)]
    sequence = make_sequence(scale, chord, time_signature=(3, 4))
    # No tag; C major; 1.5 to 2 notes a quarter; one to four bars.
    first = words(make_events(**TUNE), sequence)[:4]
    assert first == ["tag0", "key1", "density4", "length1"]


def test_tags_are_those_that_several_pieces_have():
    pieces = []
    for genre in ("Reel", "jig", "reel", "jig ", "reel", "air", ""):
        pieces.append(make_sequence([(60, 80, 0, 1)]))
        if genre:
            pieces[-1].sequence_metadata.genre.append(genre)
    representation = make_events(**TUNE).fit(pieces)
    assert representation.tags == ("reel", "jig")
    assert [words(representation, piece)[0] for piece in pieces[3:]] == [
        *("tag2", "tag1", "tag0", "tag0")
    ]
    decoded = representation.decode(representation.encode(pieces[0]))
    assert list(decoded.sequence_metadata.genre) == ["reel"]


def test_any_choice_of_conditions_can_be_left_open():
    representation = make_events(**TUNE)
    chord = [(pitch, 80, 0, 3) for pitch in (60, 64, 67)]
    ids = representation.encode(make_sequence(chord))["tokens"]
    table = representation.without_conditions().table
    said = {tuple(representation.vocabulary.tokens_of(row[ids])[1:4]) for row in table}
    open_or_not = [("key1", "key0"), ("density3", "density0"), ("length1", "length0")]
    assert said == {
        (key, density, length)
        for key in open_or_not[0]
        for density in open_or_not[1]
        for length in open_or_not[2]
    }
    np.testing.assert_array_equal(table[0], np.arange(len(representation.vocabulary)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n60", [(60, 0, 12)]),  # a quarter, in a bar of 4/4
        ("bar2/4 position36 n60", [(60, 23, 12)]),  # at the last step
        ("cut bar2/4 duration6 bar2/4 n60", [(60, 72, 6)]),
        ("upbeat36 bar2/4 n60 bar2/4 n62", [(60, 0, 12), (62, 24, 12)]),
        ("bar4/4 n60 position6 n60", [(60, 0, 6), (60, 6, 12)]),
        ("n60 <end> n62", [(60, 0, 12)]),
    ],
)
def test_any_tokens_are_music(text, expected):
    assert notes_of(play(make_events(**TUNE), text)) == expected
