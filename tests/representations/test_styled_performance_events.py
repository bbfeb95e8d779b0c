"""Events of performances, beside which the composer and the density stand."""

import numpy as np
import pytest

from tests.contracts import make_sequence
from tfmusic.representations import make_representation
from tfmusic.representations.style import density_of

KIND = {"name": "styled_performance_events"}


def piece(tag, notes_a_second=3, seconds=4):
    # `make_sequence` counts in quarter notes, two a second.
    times = 2 * np.arange(seconds * notes_a_second) / notes_a_second
    notes = [(60 + i % 12, 80, t, t + 0.1) for i, t in enumerate(times.tolist())]
    sequence = make_sequence(notes)
    sequence.sequence_metadata.genre.extend([tag] if tag else [])
    return sequence


@pytest.fixture(scope="module")
def fitted():
    pieces = [piece(t) for t in ("Satie", "Bach", "bach ", "Bach", "satie", "Cage", "")]
    return make_representation(KIND).fit(pieces)


def test_tags_are_those_of_several_pieces_the_commonest_first(fitted):
    assert fitted.tags == ("bach", "satie")


@pytest.mark.parametrize(
    ("tag", "number"), [("Bach", 1), ("satie", 2), ("Cage", 0), ("", 0)]
)
def test_a_tag_stands_beside_all_events_and_comes_back(fitted, tag, number):
    features = fitted.encode(piece(tag))
    assert features["plan_tag"].tolist() == [number] * len(features["tokens"])
    genre = list(fitted.decode(features).sequence_metadata.genre)
    assert genre == ([tag.lower()] if number else [])


@pytest.mark.parametrize(("rate", "number"), [(1, 1), (3, 2), (5, 3), (11, 6), (20, 8)])
def test_the_density_is_notes_a_second_of_the_whole_piece(fitted, rate, number):
    features = fitted.encode(piece("Bach", rate, seconds=10))
    assert set(features["plan_density"].tolist()) == {number}


def test_bounds_of_densities():
    assert [density_of(n, 1.0) for n in (1.99, 2, 3.99, 4, 16, 99)] == [
        1,
        2,
        2,
        3,
        8,
        8,
    ]
    assert density_of(1, 0.0) == 8


def test_events_are_those_of_performances(fitted):
    plain = make_representation({"name": "performance_events"})
    one, other = (kind.encode(piece("Bach"))["tokens"] for kind in (fitted, plain))
    np.testing.assert_array_equal(one, other)
