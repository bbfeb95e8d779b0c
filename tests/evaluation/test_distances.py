"""Overlapped area and divergence."""

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from tfmusic.evaluation.distances import Distances


def by_scipy(values, reference):
    """Overlap and divergence of the densities that scipy estimates."""
    inter = np.abs(values[:, None] - reference[None]).ravel()
    intra = np.abs(reference[:, None] - reference[None])
    intra = intra[np.triu_indices(len(reference), 1)]
    largest = max(inter.max(), intra.max())
    grid = np.linspace(-2 * largest, 3 * largest, 5000)
    one, other = (gaussian_kde(distances)(grid) for distances in (inter, intra))
    width = grid[1] - grid[0]
    logarithm = np.log((one + 1e-12) / (other + 1e-12))
    return np.minimum(one, other).sum() * width, (one * logarithm).sum() * width


@pytest.mark.parametrize(
    ("shift", "scale"), [(0.0, 1.0), (0.5, 2.0), (3.0, 0.5), (0.0, 0.1)]
)
def test_nearness_is_that_of_scipys_densities(shift, scale):
    random = np.random.default_rng(0)
    values = random.normal(shift, scale, 64)
    reference = random.normal(0.0, 1.0, 50)
    found = Distances(values, reference).nearness()
    overlap, divergence = by_scipy(values, reference)
    assert found.overlap == pytest.approx(overlap, abs=0.005)
    assert found.divergence == pytest.approx(divergence, abs=0.02, rel=0.1)


def test_sets_of_one_kind_are_near_and_others_are_not():
    random = np.random.default_rng(0)
    reference = random.normal(0, 1, 60)
    near = Distances(random.normal(0, 1, 60), reference).nearness()
    far = Distances(random.normal(6, 1, 60), reference).nearness()
    assert near.overlap > 0.9 > 0.2 > far.overlap
    assert near.divergence < 0.05 < 1 < far.divergence


def test_histograms_are_compared_by_euclids_distance():
    reference = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    same = Distances(reference, reference)
    assert same.spread == 1.0
    assert same.nearness().overlap > 0.6
    far = Distances(reference + 5, reference)
    assert far.spread == pytest.approx(1.0)
    assert far.nearness().overlap < 0.01


def test_values_that_are_all_equal():
    ones, twos = np.ones(10), np.full(10, 2.0)
    assert Distances(ones, ones).nearness().overlap == pytest.approx(1)
    assert Distances(ones, ones).nearness().divergence == 0
    assert Distances(ones, twos).nearness().overlap < 0.01
    assert Distances(ones, twos).spread is None


def test_few_pieces_have_no_density():
    three, two = np.arange(3.0), np.arange(2.0)
    assert Distances(three, three).nearness() is not None
    assert Distances(two, three).nearness() is None
    assert Distances(three, two).nearness() is None
    # The bootstrap may draw one piece alone: there are no pairs.
    drawn = np.zeros(3, int)
    assert Distances(three, three).nearness(np.arange(3), drawn) is None


def test_pieces_can_be_drawn_twice():
    random = np.random.default_rng(0)
    values, reference = random.random(20), random.random(20)
    drawn, others = random.integers(20, size=(2, 20))
    found = Distances(values, reference).nearness(drawn, others)
    # As if they were pieces of their own, but for the pairs of a piece with itself.
    assert found.overlap == pytest.approx(
        Distances(values[drawn], reference[others]).nearness().overlap, abs=0.15
    )
