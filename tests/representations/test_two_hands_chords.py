"""A token for each hand and step."""

import numpy as np
import pytest

from tests.contracts import make_sequence
from tfmusic.errors import UserError
from tfmusic.representations import make_representation


def two_hands(right, left):
    """A piece of two named hands; times in quarter notes."""
    sequence = make_sequence(right, left)
    for number, name in enumerate(("Right hand", "Left hand")):
        sequence.instrument_infos.add(instrument=number, name=name)
    return sequence


def kind(*pieces, **settings):
    return make_representation(
        {"name": "two_hands_chords", "steps_per_quarter": 1, **settings}
    ).fit(pieces)


def words(representation, piece):
    tokens = representation.vocabulary.tokens
    names = [tokens[i] for i in representation.encode(piece)["tokens"].tolist()]
    return list(zip(names[::2], names[1::2], strict=True))


def notes_of(sequence):
    return sorted(
        (n.instrument, n.pitch, n.start_time * 2, n.end_time * 2)
        for n in sequence.notes
    )


PIECE = two_hands(
    [(64, 80, 1, 3), (67, 80, 2, 3)],
    [(48, 80, 0, 1), (52, 80, 0, 1), (48, 80, 1, 2), (52, 80, 1, 2)],
)


def test_each_hand_says_what_it_plays_goes_on_or_is_silent():
    assert words(kind(PIECE), PIECE) == [
        ("right_rest", "left48.52"),
        ("right64", "left48.52"),  # struck again
        ("right64.67", "left_rest"),
    ]


def test_a_chord_that_changes_holds_what_both_have_and_one_that_comes_again_is_struck():
    decoded = kind(PIECE).decode(kind(PIECE).encode(PIECE))
    assert notes_of(decoded) == notes_of(PIECE)


def test_what_one_chord_cannot_say_is_counted():
    # 64 goes on while 67 is struck again; 60 is struck again while 55 ends.
    piece = two_hands(
        [(64, 80, 0, 2), (67, 80, 0, 1), (67, 80, 1, 2)],
        [(60, 80, 0, 1), (55, 80, 0, 1), (60, 80, 1, 2)],
    )
    representation = kind(piece)
    features, losses = representation.encode_with_losses(piece)
    assert losses == {"split_notes": 1, "merged_restrikes": 1}
    assert notes_of(representation.decode(features)) == [
        *[(0, 64, 0, 1), (0, 64, 1, 2), (0, 67, 0, 1), (0, 67, 1, 2)],
        *[(1, 55, 0, 1), (1, 60, 0, 2)],
    ]


def test_an_unknown_chord_becomes_the_nearest_of_its_hand():
    learned = two_hands([(60, 80, 0, 1), (64, 80, 0, 1)], [(60, 80, 0, 1)])
    other = two_hands([(60, 80, 0, 1), (65, 80, 1, 2)], [(64, 80, 0, 1)])
    representation = kind(learned)
    assert words(representation, other) == [("right60.64", "left_rest")]
    assert representation.losses(other)["substituted_chords"] == 3


def test_tokens_of_the_wrong_hand_are_passed_over():
    representation = kind(PIECE)
    ids = {t: i for i, t in enumerate(representation.vocabulary.tokens)}
    said = [
        "left48.52",
        "right64",
        "right64.67",
        "left_held",
        "right_held",
        "left_held",
    ]
    decoded = representation.decode({"tokens": np.array([ids[t] for t in said])})
    assert notes_of(decoded) == [(0, 64, 0, 2)]


@pytest.mark.parametrize("semitones", [1, -1])
def test_chords_move_within_their_hand(semitones):
    moved = two_hands(
        [
            (n.pitch + semitones, 80, n.start_time * 2, n.end_time * 2)
            for n in PIECE.notes
            if n.instrument == 0
        ],
        [
            (n.pitch + semitones, 80, n.start_time * 2, n.end_time * 2)
            for n in PIECE.notes
            if n.instrument == 1
        ],
    )
    representation = kind(PIECE, fit_semitones=1)
    ids = representation.transposed_ids(semitones)
    tokens = representation.encode(PIECE)["tokens"]
    np.testing.assert_array_equal(ids[tokens], representation.encode(moved)["tokens"])


def test_an_unfitted_one_says_so():
    with pytest.raises(UserError, match="two_hands_chords has no vocabulary yet"):
        make_representation({"name": "two_hands_chords"}).encode(PIECE)


def test_the_hands_take_turns_in_what_may_come():
    representation = kind(PIECE)
    grammar = representation.token_grammar()
    kinds = grammar.kinds
    tokens = representation.vocabulary.tokens
    right, left = (
        [kinds[i] for i, t in enumerate(tokens) if t.startswith(s)]
        for s in ("right", "left")
    )
    assert set(right).isdisjoint(left)
    assert grammar.follows[0, right].all() and not grammar.follows[0, left].any()
    assert grammar.follows[right[0], left].all()
    assert not grammar.follows[right[0], right].any()
    end = kinds[tokens.index("<end>")]
    assert grammar.follows[left[0], end] and not grammar.follows[right[0], end]
