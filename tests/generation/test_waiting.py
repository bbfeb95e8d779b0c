"""Particles that wait for each other, against a posterior found by enumeration."""

import numpy as np
import pytest
import tensorflow as tf

from tfmusic.generation.waiting import sample_waiting

# Token 1 leads one place on, token 2 two, token 3 none, at most twice in a row.
MOVES = np.array([0, 1, 2, 0])
# After each token, 0 being the one before the first: how likely each is.
ODDS = np.array(
    [[0, 0.5, 0.3, 0.2], [0, 0.6, 0.2, 0.2], [0, 0.1, 0.6, 0.3], [0, 0.5, 0.5, 0]]
)
# How likely what is given is at each place.
FITS = np.array([1.0, 0.1, 0.9, 0.05, 0.9, 0.2, 0.9, 0.02, 1.0])
END = 7


def posterior():
    """The probability of each way to the end, given what fits; no TensorFlow."""
    found, begun = {}, [((), 0, 1.0)]
    while begun:
        path, place, p = begun.pop()
        if place >= END:
            found[path] = p
            continue
        for token in (1, 2, 3):
            odds = ODDS[path[-1] if path else 0, token]
            after = place + MOVES[token]
            if odds:
                begun.append(((*path, token), after, p * odds * FITS[after]))
    total = sum(found.values())
    return {path: p / total for path, p in found.items()}


def step(token, place, seed):
    odds = np.log(np.maximum(ODDS, 1e-30)).astype(np.float32)
    noise = tf.random.stateless_uniform([tf.shape(token)[0], 4], seed, minval=1e-30)
    noise = -tf.math.log(-tf.math.log(noise))
    new = tf.argmax(tf.gather(odds, token) + noise, 1, tf.int32)
    place += tf.gather(MOVES.astype(np.int32), new)
    fits = tf.gather(FITS.astype(np.float32), tf.minimum(place, END + 1))
    return new, place, tf.math.log(fits)


@tf.function(reduce_retracing=True)
def draw(token, num_particles, seed, stride=1, max_steps=50):
    token = tf.ensure_shape(tf.identity(token), [None])
    return sample_waiting(
        step,
        lambda place: (place, place >= END),
        *(token, tf.zeros_like(token), num_particles, seed),
        *(stride, tf.constant(max_steps)),
    )


def start(number):
    return tf.zeros([number], tf.int32)


def distance(num_particles, stride, number=1500):
    """Half the difference between what is drawn and what is exact, 0 to 1."""
    seed = tf.constant(3, tf.int64)
    tokens, lengths = draw(start(number), tf.constant(num_particles), seed, stride)
    exact = posterior()
    drawn = dict.fromkeys(exact, 0.0)
    for row, length in zip(tokens.numpy().tolist(), lengths.numpy(), strict=True):
        assert not any(row[length:])
        drawn[tuple(row[:length])] += 1 / number
    return sum(abs(drawn[path] - p) for path, p in exact.items()) / 2


@pytest.mark.parametrize("stride", [1, 3])
def test_many_particles_come_near_the_exact_posterior_and_one_does_not(stride):
    assert distance(1, stride) > 0.3
    assert distance(64, stride) < 0.15


def test_pieces_do_not_hear_of_each_other_and_a_seed_says_what_comes():
    args = tf.constant(8), tf.constant(1, tf.int64)
    first, again, alone = (draw(start(n), *args)[0].numpy() for n in (4, 4, 1))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[0, : alone.shape[1]], alone[0])
    other = draw(start(4), tf.constant(8), tf.constant(2, tf.int64))[0].numpy()
    assert first.shape != other.shape or np.any(first != other)


def test_writing_ends_after_so_many_steps():
    seed = tf.constant(1, tf.int64)
    tokens, lengths = draw(start(2), tf.constant(4), seed, max_steps=3)
    assert tokens.shape[1] == 3
    assert np.all(lengths.numpy() <= 3)
