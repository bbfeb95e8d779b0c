"""Bars, places in them and notes, in tokens that a musician can read."""

import numpy as np
import pytest

from tests.contracts import make_sequence
from tfmusic.errors import UserError
from tfmusic.representations import make_representation
from tfmusic.representations.bar_events import DURATIONS
from tfmusic.representations.bar_lines import METRES

TUNE = dict(num_velocity_bins=0, tempos=False, programs=False)


def make_events(**settings):
    return make_representation({"name": "bar_events", **settings})


def words(representation, sequence):
    ids = representation.encode(sequence)["tokens"]
    return representation.vocabulary.tokens_of(ids)


def play(representation, text):
    ids = representation.vocabulary.ids_of(text.split())
    return representation.decode({"tokens": ids, "plan_key": np.zeros(len(ids))})


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
    assert words(make_events(**TUNE), sequence)[2:] == [
        *("bar4/4", "duration12", "n60", "position12", "n62"),
        *("position24", "n64", "position36", "n65"),
        *("bar4/4", "duration24", "n67"),
    ]


def test_chord_shares_its_place_and_length():
    chord = [(pitch, 80, 1, 2) for pitch in (60, 64, 67)]
    sequence = make_sequence(chord, time_signature=(3, 4))
    tokens = words(make_events(**TUNE), sequence)
    assert tokens[2:] == ["bar3/4", "position12", "duration12", "n60", "n64", "n67"]


def test_upbeat_begins_the_piece_late_in_its_first_bar():
    sequence = make_sequence([(67, 80, 0, 1), (72, 80, 1, 4)])
    sequence.time_signatures.add(time=0.5, numerator=3, denominator=4)
    representation = make_events(**TUNE)
    tokens = words(representation, sequence)
    assert tokens[2:] == [
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


def test_notes_of_songs_played_by_hand_are_moved_to_sixteenths():
    played = [(60, 80, 0.02, 0.9), (62, 80, 1.1, 1.13), (64, 80, 1.9, 3.12)]
    representation = make_events(**TUNE, note_steps=3)
    decoded = representation.decode(representation.encode(make_sequence(played)))
    assert notes_of(decoded) == [(60, 0, 12), (62, 12, 3), (64, 24, 12)]
    with pytest.raises(UserError, match="note_steps is 5; expected 1, 2, 3, 4, 6 or"):
        make_events(note_steps=5)


def test_loudness_tempo_and_instrument_are_said_where_they_change():
    sequence = make_sequence([(60, 80, 0, 1), (62, 80, 1, 2), (64, 40, 2, 3)], qpm=100)
    for note in sequence.notes:
        note.program = 40
    assert words(make_events(), sequence)[2:] == [
        *("bar4/4", "tempo18", "instrument40", "velocity20", "duration12", "n60"),
        *("position12", "n62"),
        *("position24", "velocity10", "n64"),
    ]


def test_piano_goes_without_saying():
    tokens = words(make_events(), make_sequence([(60, 80, 0, 1)]))
    assert tokens[2:] == ["bar4/4", "tempo20", "velocity20", "duration12", "n60"]


def test_drums_are_a_token_each_and_stay_when_others_are_transposed():
    sequence = make_sequence([(60, 80, 0, 1)], [(36, 80, 0, 0.25), (42, 80, 1, 2)])
    for note in sequence.notes[1:]:
        note.is_drum = True
    representation = make_events(num_velocity_bins=0, tempos=False)
    ids = representation.encode(sequence)["tokens"]
    assert representation.vocabulary.tokens_of(ids[2:]) == [
        *("bar4/4", "duration12", "n60", "drum36", "position12", "drum42"),
    ]
    table = representation.transpositions([0, 5]).parts[0].table
    assert representation.vocabulary.tokens_of(table[1][ids])[2:] == [
        *("bar4/4", "duration12", "n65", "drum36", "position12", "drum42"),
    ]
    features = {"tokens": ids, "plan_key": np.ones(len(ids))}
    drums = [n for n in representation.decode(features).notes if n.is_drum]
    assert [note.pitch for note in drums] == [36, 42]


def test_key_moves_with_the_notes():
    _, keys = make_events(**TUNE).transpositions([0, 2, -3]).parts
    assert keys.feature == "plan_key"
    # C major, A minor and unknown; up a tone and down a minor third.
    assert keys.table[:, [1, 22, 0]].tolist() == [[1, 22, 0], [3, 24, 0], [10, 19, 0]]


def test_key_signature_is_believed_unless_it_is_c_major():
    def key_of(sequence):
        (key,) = set(make_events().encode(sequence)["plan_key"].tolist())
        return key

    scale = [(pitch, 80, i, i + 1) for i, pitch in enumerate((67, 71, 74, 67, 66, 67))]
    sequence = make_sequence(scale)
    sequence.key_signatures.add(key=0)
    assert key_of(sequence) == 8  # G major, as it sounds
    sequence.key_signatures[0].key = 2
    assert key_of(sequence) == 3
    sequence.key_signatures[0].key = 9
    sequence.key_signatures[0].mode = sequence.key_signatures[0].DORIAN
    assert key_of(sequence) == 22  # minor, as its third is
    decoded = make_events().decode(make_events().encode(sequence))
    assert (decoded.key_signatures[0].key, decoded.key_signatures[0].mode) == (9, 1)


def test_bars_to_come_are_counted_at_each_token():
    notes = [(60, 80, 0, 1), (62, 80, 4, 5), (64, 80, 5, 6), (65, 80, 12, 13)]
    representation = make_events(**TUNE)
    features = representation.encode(make_sequence(notes))
    tokens = representation.vocabulary.tokens_of(features["tokens"])
    assert list(zip(tokens, features["bars_left"].tolist(), strict=True))[1:] == [
        *(("density1", 5), ("bar4/4", 5), ("duration12", 4), ("n60", 4)),
        *(("bar4/4", 4), ("n62", 3), ("position12", 3), ("n64", 3)),
        *(("bar4/4", 3), ("bar4/4", 2), ("n65", 1)),
    ]
    assert not representation.as_beginning(features)["bars_left"].any()


def test_an_upbeat_is_no_bar():
    sequence = make_sequence([(67, 80, 0, 1), (72, 80, 1, 4)])
    sequence.time_signatures.add(time=0.5, numerator=3, denominator=4)
    features = make_events(**TUNE).encode(sequence)
    # Tag, density, upbeat, its bar, length, note; the bar, length, note.
    assert features["bars_left"].tolist() == [2, 2, 2, 3, 2, 2, 2, 1, 1]
    assert make_events(**TUNE).fit([sequence]).lengths[0] == 1


def test_keys_and_lengths_of_the_training_pieces_are_known():
    triad = (60, 64, 67, 60, 72, 67, 64, 60)
    pieces = [
        make_sequence([(p + key, 80, i, i + 1) for i, p in enumerate(triad * bars)])
        for key, bars in [(0, 1), (0, 1), (7, 2), (0, 8)]
    ]
    representation = make_events(**TUNE).fit(pieces)
    assert representation.home_keys == (3, *[0] * 6, 1, *[0] * 16)
    # Two bars each for one time through the triad.
    assert len(representation.lengths) == 33
    assert representation.lengths[0] == representation.lengths[10] == 2
    assert set(representation.lengths) == {2, 4, 16}
    assert representation.lengths[-1] == 16


def test_metres_that_may_be_asked_for_are_those_of_enough_training_bars():
    def bars(metre, number):
        quarters = number * 4 * metre[0] // metre[1]
        piece = make_sequence([(60, 80, i, i + 1) for i in range(quarters)])
        piece.time_signatures.add(numerator=metre[0], denominator=metre[1])
        return piece

    unfitted = make_events(**TUNE)
    assert (7, 8) in unfitted.metres and len(unfitted.bars_of_metres()) == 1 + len(
        METRES
    )
    pieces = [bars((3, 4), 40), bars((3, 4), 24), bars((4, 4), 80), bars((6, 4), 63)]
    fitted = unfitted.fit(pieces)
    assert fitted.metres == ((3, 4), (4, 4))
    tokens = fitted.vocabulary.tokens
    of_metres = [
        {t for t, is_of in zip(tokens, row, strict=True) if is_of and t[:3] == "bar"}
        for row in fitted.bars_of_metres()
    ]
    assert of_metres[1:] == [{"bar3/4"}, {"bar4/4"}]
    assert "bar7/8" in of_metres[0]
    assert unfitted.fit(pieces[:1]).metres == ((3, 4),)


def test_bar_that_ends_early_is_cut():
    # A bar of 4/4 of which there are three quarters, then 3/4.
    sequence = make_sequence([(60, 80, 0, 3), (62, 80, 3, 6), (64, 80, 6, 9)])
    for quarter, numerator in ((0, 4), (3, 3)):
        sequence.time_signatures.add(
            time=quarter / 2, numerator=numerator, denominator=4
        )
    representation = make_events(**TUNE)
    tokens = words(representation, sequence)
    assert tokens[2:] == [
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
    assert tokens[2:6] == ["bar7/4", "duration12", "n60", "position78"]
    assert representation.losses(sequence) == {"respelled_bars": 3}
    decoded = representation.decode(representation.encode(sequence))
    assert [start for _, start, _ in notes_of(decoded)] == [0, 78, 156]


def test_silent_bars_are_kept():
    sequence = make_sequence([(60, 80, 0, 1), (62, 80, 12, 13)])
    tokens = words(make_events(**TUNE), sequence)
    assert tokens[2:] == ["bar4/4", "duration12", "n60", *["bar4/4"] * 3, "n62"]


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
    # No tag; 1.5 to 2 notes a quarter.
    assert words(make_events(**TUNE), sequence)[:2] == ["tag0", "density4"]


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
    said = {tuple(representation.vocabulary.tokens_of(row[ids])[:2]) for row in table}
    assert said == {("tag0", "density3"), ("tag0", "density0")}
    said = {
        tuple(row[representation.vocabulary.ids_of(["tag1", "density3"])])
        for row in table
    }
    assert len(said) == 4
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
