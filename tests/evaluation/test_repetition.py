"""Tunes that come back, and structure: right values by hand."""

import itertools

import numpy as np
import pytest

from tests.contracts import make_sequence
from tfmusic.evaluation.melody import (
    interval_histogram,
    melodic_intervals,
    melody_pitches,
)
from tfmusic.evaluation.note_arrays import NoteArrays, Segments
from tfmusic.evaluation.repetition import passage_returns, repeated_patterns
from tfmusic.evaluation.structure import fitness, self_similarity, structure


def melody_of(*tracks):
    notes = NoteArrays.of(make_sequence(*tracks))
    return melody_pitches(notes, Segments.of(notes))


def test_melody_is_what_is_struck_on_top():
    # A held E lies over the next note, which is then no melody; the bass never is.
    found = melody_of(
        [(60, 80, 0, 1), (64, 80, 1, 3), (62, 80, 2, 3), (65, 80, 3, 4)],
        [(40, 80, start, start + 0.5) for start in np.arange(0, 4, 0.5)],
    )
    assert found.tolist() == [60, 64, 65]


def test_intervals_of_a_melody():
    melody = np.array([60, 60, 62, 61, 65, 58, 80])
    found = melodic_intervals(melody)
    assert list(found.values()) == pytest.approx([100 / 6, 200 / 6, 100 / 6, 200 / 6])
    histogram = interval_histogram(melody)
    assert np.flatnonzero(histogram).tolist() == [5, 11, 12, 14, 16, 24]
    assert histogram.sum() == pytest.approx(1)
    assert melodic_intervals(melody[:1]) == {}


def test_two_bars_that_come_again():
    random = np.random.default_rng(0)
    tune, other = random.integers(60, 72, 16), random.integers(60, 72, 5)
    assert passage_returns(np.concatenate([tune, other, tune]))
    assert not passage_returns(np.concatenate([tune, other, tune[:15]]))
    assert not passage_returns(np.concatenate([tune, other, tune + 1]))
    assert not passage_returns(tune)


def test_returning_passages_do_not_overlap():
    # A pattern of 15 steps comes after 15 steps again, and passages have 16.
    pattern = np.arange(60, 75)
    assert not passage_returns(np.tile(pattern, 3)[:40])
    assert passage_returns(np.tile(pattern, 4))


def test_held_note_is_no_passage():
    assert not passage_returns(np.full(100, 60))
    assert not passage_returns(np.tile([60, 62], 50))


def test_patterns_of_four_that_come_again():
    # 1234 and 2345 come twice, the four runs between them once.
    melody = np.array([1, 2, 3, 4, 5, 9, 1, 2, 3, 4, 5])
    assert repeated_patterns(melody) == pytest.approx(4 / 8)
    assert repeated_patterns(melody[:3]) is None
    assert repeated_patterns(np.arange(10)) == 0


def brute_force_fitness(similarity, start, length):
    """The definition, by trying all families of paths."""
    num_frames = len(similarity)

    def paths(row, column):
        if column == start + length - 1:
            yield [(row, column)]
        for down, right in ((1, 1), (2, 1), (1, 2)):
            r, c = row + down, column + right
            if r < num_frames and c < start + length:
                for rest in paths(r, c):
                    yield [(row, column), *rest]

    all_paths = [p for row in range(num_frames) for p in paths(row, start)]
    families = [()]
    for number in range(1, num_frames // max(length // 2, 1) + 1):
        families += [
            family
            for family in itertools.combinations(all_paths, number)
            if all(a[-1][0] < b[0][0] for a, b in itertools.pairwise(family))
        ]
    scores = [sum(similarity[cell] for p in f for cell in p) for f in families]
    best = families[int(np.argmax(scores))]
    cells = sum(map(len, best))
    covered = sum(path[-1][0] - path[0][0] + 1 for path in best)
    exactness = (max(scores) - length) / max(cells, 1)
    coverage = (covered - length) / num_frames
    total = exactness + coverage
    return 2 * exactness * coverage / total if total > 1e-9 else 0.0


@pytest.mark.parametrize("length", [1, 2, 3])
def test_fitness_is_that_of_the_best_paths(length):
    random = np.random.default_rng(length)
    similarity = random.uniform(-1, 1, (6, 6))
    np.fill_diagonal(similarity, 1.0)
    found = fitness(similarity, length)
    for start in range(6 - length + 1):
        expected = brute_force_fitness(similarity, start, length)
        assert found[start] == pytest.approx(max(expected, found[start] * 0), abs=1e-9)


def test_exact_repetition_has_the_greatest_fitness():
    random = np.random.default_rng(0)
    verse, rest = random.random((16, 12)), random.random((64, 12))
    twice = structure(np.concatenate([verse, verse, verse, verse]))
    never = structure(rest)
    # Three of four verses are repetitions, exact ones: coverage 0.75.
    assert twice["9 to 16"] == pytest.approx(2 * 0.75 * 0.75 / 1.5, abs=0.15)
    assert all(twice[name] > never[name] for name in ("9 to 16", "17 to 32"))


def test_short_music_has_no_long_structure():
    random = np.random.default_rng(0)
    assert set(structure(random.random((24, 12)))) == {"4 to 8", "9 to 16"}
    assert structure(random.random((7, 12))) == {}
    assert structure(np.zeros((64, 12))) == {}


def test_similarity_is_one_for_a_frame_and_itself():
    found = self_similarity(np.random.default_rng(0).random((20, 12)))
    assert np.diag(found).tolist() == [1.0] * 20
    assert found.max() == 1.0
    np.testing.assert_allclose(found, found.T)
    assert np.mean(found == -2.0) == pytest.approx(0.75, abs=0.05)
