import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

from tfmusic.models.assignment import optimal_assignment


def assign(costs):
    spec = tf.TensorSpec([None, *costs.shape[1:]], tf.float32)
    function = tf.function(optimal_assignment, input_signature=[spec], autograph=False)
    return function(costs).numpy()


def total(costs, columns):
    return np.take_along_axis(costs, columns[..., None], axis=-1).sum(axis=(1, 2))


@pytest.mark.parametrize("size", [1, 2, 15, 30])
def test_no_other_assignment_costs_less(size):
    random = np.random.default_rng(size)
    shape = (20, size, size)
    kinds = [
        random.random(shape),
        random.integers(0, 3, shape),  # many ties
        np.exp(random.normal(0, 3, shape)),
        random.normal(0, 1, shape),
    ]
    costs = np.concatenate(kinds).astype(np.float32)
    columns = assign(costs)
    assert np.array_equal(np.sort(columns), np.tile(np.arange(size), (80, 1)))
    best = np.stack([linear_sum_assignment(cost)[1] for cost in costs])
    np.testing.assert_allclose(
        total(costs, columns), total(costs, best), rtol=1e-4, atol=1e-4
    )


def test_no_sets_are_no_mistake():
    assert assign(np.zeros([0, 4, 4], np.float32)).shape == (0, 4)
