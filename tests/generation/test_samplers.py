import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfmusic.generation import samplers

LOGITS = np.array([1.5, 0.0, -0.5, 1.0, -3.0, 0.5], np.float32)
NUM_DRAWS = 100_000


def draw(logits=LOGITS, seed=(1, 2), num=NUM_DRAWS, **controls) -> np.ndarray:
    rows = tf.tile(tf.constant([logits], tf.float32), [num, 1])
    return samplers.categorical(rows, tf.constant(seed), **controls).numpy()


def softmax(logits) -> np.ndarray:
    exp = np.exp(logits - np.max(logits))
    return exp / exp.sum()


def assert_distributed(drawn, probabilities):
    """Chi-square: fails for one in some 10,000 seeds if the draws are right."""
    counts = np.bincount(drawn, minlength=len(probabilities))
    assert not counts[probabilities == 0].any()
    expected = probabilities[probabilities > 0] * len(drawn)
    statistic = np.sum((counts[probabilities > 0] - expected) ** 2 / expected)
    freedom = len(expected) - 1
    assert statistic < freedom + 4.5 * np.sqrt(2 * max(freedom, 1)) + 4


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_are_the_probabilities(temperature):
    drawn = draw(temperature=temperature)
    assert_distributed(drawn, softmax(LOGITS / temperature))


def test_temperature_zero_is_argmax_whatever_the_seed():
    for seed in range(5):
        assert set(draw(seed=(seed, 0), num=50, temperature=0.0)) == {0}


def test_temperature_zero_takes_one_of_equals_always():
    tied = np.zeros(6, np.float32)
    assert len(set(draw(tied, num=50, temperature=0.0))) == 1


@pytest.mark.parametrize(
    ("controls", "kept"),
    [
        ({"top_k": 0}, range(6)),
        ({"top_k": 1}, [0]),
        ({"top_k": 2}, [0, 3]),
        ({"top_k": 100}, range(6)),
        ({"top_p": 1e-9}, [0]),
        ({"top_p": 0.0}, [0]),
        ({"top_p": 0.6}, [0, 3]),
        ({"top_p": 1.0}, range(6)),
        ({"min_p": 0.0}, range(6)),
        ({"min_p": 1.0}, [0]),
        ({"min_p": 0.3}, [0, 3, 5]),
        ({"top_k": 3, "min_p": 0.5}, [0, 3]),
        ({"top_k": 2, "top_p": 0.99}, [0, 3]),
        ({"top_k": 4, "temperature": 0.5}, [0, 1, 3, 5]),
        ({"top_p": 0.6, "temperature": 3.0}, [0, 3, 5]),
        # At temperature 3 the classes are closer together.
        ({"min_p": 0.5, "temperature": 3.0}, [0, 1, 2, 3, 5]),
    ],
)
def test_filters_keep_the_likeliest_and_their_proportions(controls, kept):
    temperature = controls.get("temperature", 1.0)
    probabilities = softmax(LOGITS / temperature)
    mask = np.isin(np.arange(6), list(kept))
    probabilities = np.where(mask, probabilities, 0) / probabilities[mask].sum()
    assert_distributed(draw(**controls), probabilities)


def test_impossible_classes_are_never_drawn():
    logits = LOGITS.copy()
    logits[[0, 3]] = samplers.IMPOSSIBLE
    assert not np.isin(draw(logits, temperature=10.0), [0, 3]).any()


@pytest.mark.parametrize(
    ("controls", "kept"),
    [
        ({}, [0, 2, 4]),
        ({"top_k": 3}, [0, 2, 4]),
        ({"top_p": 0.9}, [0, 2]),
        ({"min_p": 0.2}, [0]),
    ],
)
def test_classes_without_any_odds_are_never_drawn(controls, kept):
    logits = np.where(np.arange(6) % 2 == 0, LOGITS, -np.inf).astype(np.float32)
    p = np.where(np.isin(np.arange(6), kept), softmax(logits), 0.0)
    assert_distributed(draw(logits, **controls), p / p.sum())
    assert set(draw(logits, num=50, temperature=0.0, **controls)) == {0}


@pytest.mark.parametrize(
    "controls",
    [
        {"top_k": 1},
        {"top_k": 2},
        {"top_p": 0.0},
        {"top_p": 0.5},
        {"min_p": 1.0},
        {"temperature": 3.0},
    ],
)
def test_classes_that_tie_stay_together(controls):
    # The third is likelier than none of the filters asks for.
    tied = np.array([1.0, 1.0, -40.0], np.float32)
    assert_distributed(draw(tied, **controls), np.array([0.5, 0.5, 0.0]))


@pytest.mark.parametrize(
    "controls", [{}, {"top_k": 1}, {"top_k": 9}, {"top_p": 0.0}, {"min_p": 1.0}]
)
def test_one_class_is_always_drawn(controls):
    for temperature in (0.0, 1.0):
        drawn = draw(
            np.zeros(1, np.float32), num=9, temperature=temperature, **controls
        )
        assert not drawn.any()


def test_rows_are_filtered_each_by_itself():
    rows = tf.constant([[5.0, 0.0, 0.0], [0.0, 0.0, 5.0]])
    drawn = samplers.categorical(rows, tf.constant([0, 0]), top_k=1.0)
    np.testing.assert_array_equal(drawn, [0, 2])


def test_yes_is_as_frequent_as_its_probability():
    logits = tf.tile(tf.constant([[-4.0, -1.0, 0.0, 2.0]]), [NUM_DRAWS, 1])
    for temperature in (0.5, 1.0, 2.0):
        drawn = samplers.bernoulli(logits, tf.constant([3, 4]), temperature)
        probabilities = 1 / (1 + np.exp(-logits[0].numpy() / temperature))
        for column, p in zip(drawn.numpy().T, probabilities, strict=True):
            assert_distributed(column.astype(int), np.array([1 - p, p]))


def test_choices_are_independent_of_each_other():
    drawn = samplers.bernoulli(tf.zeros([NUM_DRAWS, 3]), tf.constant([1, 1]))
    cases = drawn.numpy() @ np.array([1, 2, 4])
    assert_distributed(cases, np.full(8, 1 / 8))


def test_certain_choices_are_never_otherwise():
    logits = tf.tile(tf.constant([[-np.inf, np.inf, -1e9, 1e9]]), [1000, 1])
    for temperature in (0.0, 1.0, 10.0):
        drawn = samplers.bernoulli(logits, tf.constant([2, 2]), temperature)
        np.testing.assert_array_equal(drawn[0], [False, True, False, True])
        assert np.all(drawn == drawn[:1])


def test_yes_without_temperature_is_the_likelier():
    logits = tf.constant([-0.1, 0.1, 3.0])
    drawn = samplers.bernoulli(logits, tf.constant([0, 0]), 0.0)
    np.testing.assert_array_equal(drawn, [False, True, True])


def test_sets_are_as_frequent_as_drawing_one_by_one():
    logits = LOGITS[:4]
    p = softmax(logits)
    expected = {
        frozenset(pair): sum(p[a] * p[b] / (1 - p[a]) for a, b in (pair, pair[::-1]))
        for pair in itertools.combinations(range(4), 2)
    }
    rows = tf.tile(tf.constant([logits]), [NUM_DRAWS, 1])
    drawn = samplers.without_replacement(
        rows, tf.fill([NUM_DRAWS], 2), tf.constant([5, 6])
    )
    pairs = list(expected)
    drawn = [pairs.index(frozenset(np.flatnonzero(row))) for row in drawn.numpy()]
    assert_distributed(np.array(drawn), np.array(list(expected.values())))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_one_key_of_a_set_is_as_frequent_as_its_probability(temperature):
    rows = tf.tile(tf.constant([LOGITS]), [NUM_DRAWS, 1])
    drawn = samplers.without_replacement(
        rows, tf.ones([NUM_DRAWS], tf.int32), tf.constant([7, 8]), temperature
    )
    assert_distributed(np.argmax(drawn, axis=1), softmax(LOGITS / temperature))


def test_any_number_of_keys_can_be_asked_for():
    # Drawing again after each duplicate would never end for 7 of 6, and a negative
    # number of keys has no array.
    numbers = tf.constant([-3, 0, 1, 5, 6, 7, 1000])
    rows = tf.tile(tf.constant([LOGITS]), [7, 1])
    drawn = samplers.without_replacement(rows, numbers, tf.constant([0, 0]))
    np.testing.assert_array_equal(
        drawn.numpy().sum(axis=-1), np.clip(numbers.numpy(), 0, 6)
    )


def test_more_keys_than_are_possible_are_those_possible():
    logits = np.full(6, samplers.IMPOSSIBLE, np.float32)
    logits[[1, 4]] = 0.0
    drawn = samplers.without_replacement(tf.constant(logits), 5, tf.constant([0, 0]))
    np.testing.assert_array_equal(np.flatnonzero(drawn), [1, 4])


def test_sets_without_temperature_are_the_likeliest():
    drawn = samplers.without_replacement(tf.constant(LOGITS), 3, [0, 0], 0.0)
    np.testing.assert_array_equal(np.flatnonzero(drawn), [0, 3, 5])
