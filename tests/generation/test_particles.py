"""Particles against the exact posterior of a Markov chain, found by enumeration."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfmusic.generation.particles import resample, sample_given

# Three hidden states; each shows one of two signs, which are given.
FIRST = np.array([0.7, 0.2, 0.1])
MOVES = np.array([[0.8, 0.15, 0.05], [0.2, 0.5, 0.3], [0.05, 0.05, 0.9]])
SHOWS = np.array([[0.95, 0.05], [0.5, 0.5], [0.02, 0.98]])
ENDS = np.array([0.9, 0.1, 0.9])
# After the first sign few particles count, and they are drawn anew.
SIGNS = np.array([1, 1, 0, 0])


def posterior(signs, ends):
    """The probability of each path of states, given the signs; no TensorFlow."""
    found = {}
    for path in itertools.product(range(3), repeat=len(signs)):
        p = FIRST[path[0]] * SHOWS[path[0], signs[0]]
        for i in range(1, len(signs)):
            p *= MOVES[path[i - 1], path[i]] * SHOWS[path[i], signs[i]]
        found[path] = p * (ENDS[path[-1]] if ends else 1.0)
    total = sum(found.values())
    return {path: p / total for path, p in found.items()}


def step(frame, state, given, seed):
    odds = tf.gather(np.log(np.vstack([MOVES, FIRST])).astype(np.float32), frame)
    noise = tf.random.stateless_uniform(tf.shape(odds), seed, minval=1e-30)
    drawn = tf.argmax(odds - tf.math.log(-tf.math.log(noise)), 1, tf.int32)
    log_p = tf.math.log(
        tf.gather_nd(SHOWS.astype(np.float32), tf.stack([drawn, given], axis=1))
    )
    return drawn, state + 1, log_p


@tf.function
def draw(signs, num_particles, seed, ends):
    num_pieces = tf.shape(signs)[0]
    end = np.log(ENDS).astype(np.float32)
    return sample_given(
        step,
        tf.fill([num_pieces], 3),
        tf.zeros([num_pieces], tf.int32),
        signs,
        num_particles,
        seed,
        (lambda frame, state: tf.gather(end, frame)) if ends else None,
    )


def distance(num_particles, ends=True, number=3000):
    """Half the difference between what is drawn and what is exact, 0 to 1."""
    signs = tf.constant(np.tile(SIGNS, [number, 1]), tf.int32)
    paths, state = draw(
        signs, tf.constant(num_particles), tf.constant(3, tf.int64), ends
    )
    assert np.all(state.numpy() == len(SIGNS))
    exact = posterior(SIGNS, ends)
    drawn = dict.fromkeys(exact, 0.0)
    for path in paths.numpy().tolist():
        drawn[tuple(path)] += 1 / number
    return sum(abs(drawn[path] - p) for path, p in exact.items()) / 2


@pytest.mark.parametrize("ends", [False, True])
def test_many_particles_come_near_the_exact_posterior_and_one_does_not(ends):
    far, near = distance(1, ends), distance(64, ends)
    assert far > 0.3
    assert near < 0.09
    assert distance(8, ends) < far / 2


def test_the_same_seed_gives_the_same_and_pieces_do_not_hear_of_each_other():
    signs = np.tile(SIGNS, [4, 1]).astype(np.int32)
    args = tf.constant(8), tf.constant(1, tf.int64), True
    first, again = (draw(tf.constant(signs), *args)[0].numpy() for _ in range(2))
    np.testing.assert_array_equal(first, again)
    signs[2:] = 1 - signs[2:]
    other = draw(tf.constant(signs), *args)[0].numpy()
    np.testing.assert_array_equal(first[:2], other[:2])
    assert np.any(first[2:] != other[2:])
    alone = draw(tf.constant(signs[:1]), *args)[0].numpy()
    np.testing.assert_array_equal(first[:1], alone)
    seed = tf.constant(2, tf.int64)
    assert np.any(draw(tf.constant(signs), tf.constant(8), seed, True)[0] != other)


def test_only_pieces_with_few_particles_that_count_are_drawn_anew():
    weights = np.log([[0.25, 0.25, 0.3, 0.2], [0.96, 0.02, 0.01, 0.01]])
    parent, after = resample(tf.constant(weights, tf.float32), tf.constant([0, 1]))
    np.testing.assert_array_equal(parent[:4], [0, 1, 2, 3])
    np.testing.assert_allclose(
        tf.nn.softmax(after[0]), [0.25, 0.25, 0.3, 0.2], rtol=1e-5
    )
    # Systematic: as many copies as the weight says, but for one.
    assert np.sum(parent[4:].numpy() == 4) >= 3
    np.testing.assert_array_equal(after[1], np.zeros(4))


def test_what_cannot_be_is_as_bad_for_all():
    def impossible(frame, state, given, seed):
        return frame, state, tf.fill(tf.shape(frame), -np.inf)

    number = tf.zeros([2], tf.int32)
    made, _ = sample_given(
        impossible,
        *(number, number, tf.zeros([2, 3], tf.int32), tf.constant(4)),
        tf.constant(1, tf.int64),
    )
    np.testing.assert_array_equal(made, np.zeros([2, 3]))
