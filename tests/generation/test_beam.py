import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfmusic.generation.beam import beam_search
from tfmusic.generation.samplers import IMPOSSIBLE

END, NUM_TOKENS, NUM_STEPS = 2, 6, 4
# Markov chains of the second order, one a piece; 0 and 1 never come.
RANDOM = np.random.default_rng(3)
LOGITS = RANDOM.normal(size=(2, NUM_TOKENS, NUM_TOKENS, NUM_TOKENS)) * 2
LOGITS[..., :2] = -1e9
LOG_P = LOGITS - np.log(np.exp(LOGITS).sum(axis=-1, keepdims=True))


def step(token, state):
    piece, before = state
    table = tf.constant(LOG_P, tf.float32)
    log_p = tf.gather_nd(table, tf.stack([piece, before, token], axis=1))
    return log_p, tf.zeros_like(log_p), (piece, token)


def search(width, step=step, **settings):
    state = (tf.constant([0, 1]), tf.constant([1, 1]))

    @tf.function(autograph=False)
    def traced(width):
        token = tf.constant([3, 4])
        return beam_search(step, token, state, width, NUM_STEPS, END, **settings)

    beams = traced(tf.constant(width))
    return beams.tokens.numpy(), beams.log_likelihood.numpy()


def all_sequences(piece):
    """Every sequence that ends or has full length, with its log-likelihood."""
    found = {}
    for length in range(1, NUM_STEPS + 1):
        for tokens in itertools.product(range(2, NUM_TOKENS), repeat=length):
            is_whole = length == NUM_STEPS or tokens[-1] == END
            if END in tokens[:-1] or not is_whole:
                continue
            before, token, total = 1, 3 + piece, 0.0
            for new in tokens:
                total += LOG_P[piece, before, token, new]
                before, token = token, new
            found[tokens] = total
    return found


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_a_search_of_all_beams_finds_what_counting_finds(power):
    sequences = [all_sequences(piece) for piece in range(2)]
    width = len(sequences[0])
    tokens, values = search(width + 7, length_power=power)
    for piece, expected in enumerate(sequences):
        order = sorted(
            expected, key=lambda s: expected[s] / len(s) ** power, reverse=True
        )
        padded = [[*s, *[0] * (NUM_STEPS - len(s))] for s in order]
        np.testing.assert_array_equal(tokens[piece, :width], padded)
        np.testing.assert_allclose(
            values[piece, :width], [expected[s] for s in order], rtol=1e-5
        )
        # There are no more sequences than that.
        assert np.all(values[piece, width:] <= IMPOSSIBLE / 2)


def greedy(piece):
    before, token, tokens = 1, 3 + piece, []
    while len(tokens) < NUM_STEPS and token != END:
        new = int(np.argmax(LOG_P[piece, before, token]))
        before, token = token, new
        tokens.append(token)
    return tuple(tokens)


def test_one_beam_is_greedy():
    tokens, values = search(1)
    for piece in range(2):
        expected = greedy(piece)
        np.testing.assert_array_equal(tokens[piece, 0, : len(expected)], expected)
        np.testing.assert_allclose(
            values[piece, 0], all_sequences(piece)[expected], rtol=1e-5
        )


@pytest.mark.parametrize("width", [2, 3, 5])
def test_beams_are_ranked_distinct_and_no_worse_than_greedy(width):
    tokens, values = search(width)
    for piece in range(2):
        assert np.all(np.diff(values[piece]) <= 0)
        assert len({tuple(row) for row in tokens[piece]}) == width
        assert values[piece, 0] >= all_sequences(piece)[greedy(piece)] - 1e-5
        for row, value in zip(tokens[piece], values[piece], strict=True):
            name = tuple(row[row > 0].tolist())
            np.testing.assert_allclose(value, all_sequences(piece)[name], rtol=1e-5)


def test_what_rules_add_decides_and_does_not_count():
    def ruled(token, state):
        log_p, _, state = step(token, state)
        # Token 5 is forbidden, 4 is wanted less.
        added = tf.constant([0.0, 0.0, 0.0, 0.0, -1e6, IMPOSSIBLE])
        return log_p, tf.zeros_like(log_p) + added, state

    tokens, values = search(100, ruled)
    possible = values > IMPOSSIBLE / 2
    assert not np.any(tokens[possible] == 5)
    for piece in range(2):
        expected = {s: v for s, v in all_sequences(piece).items() if 5 not in s}
        assert possible[piece].sum() == len(expected)
        np.testing.assert_allclose(
            values[piece, : len(expected)],
            sorted(expected.values(), reverse=True),
            rtol=1e-5,
        )


def test_no_beams_are_refused():
    with pytest.raises(tf.errors.InvalidArgumentError, match="beam_width: expected"):
        search(0)


def drawing(step):
    """Searches that draw, traced once."""

    @tf.function(autograph=False, reduce_retracing=True)
    def traced(width, temperature, seed, piece):
        token, state = 3 + piece, (piece, tf.ones_like(piece))
        settings = dict(temperature=temperature, seed=seed)
        return beam_search(step, token, state, width, NUM_STEPS, END, **settings)

    def draw(width, temperature, seed, pieces=(0, 1)):
        inputs = (tf.constant(width), tf.constant(temperature))
        inputs += (tf.constant(seed, tf.int64), tf.constant(pieces))
        return [part.numpy() for part in traced(*inputs)]

    return draw


DRAW = drawing(step)


def check_values(piece, tokens, values):
    for row, value in zip(tokens, values, strict=True):
        name = tuple(row[row > 0].tolist())
        np.testing.assert_allclose(value, all_sequences(piece)[name], rtol=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_one_beam_with_a_temperature_samples(temperature):
    tokens, values = DRAW(1, temperature, 0, [0] * 2000)
    p = np.exp(LOG_P[0, 1, 3] / temperature)
    found = np.bincount(tokens[:, 0, 0], minlength=NUM_TOKENS)
    np.testing.assert_allclose(found / 2000, p / p.sum(), atol=0.04)
    check_values(0, tokens[:20, 0], values[:20, 0])


def test_beams_that_draw_are_ranked_by_likelihood_and_follow_the_seed():
    tokens, values = DRAW(3, 2.0, 5)
    np.testing.assert_array_equal(tokens, DRAW(3, 2.0, 5)[0])
    others = [DRAW(3, 2.0, seed)[0].tolist() for seed in range(8)]
    assert len({str(other) for other in others}) == 8
    np.testing.assert_array_equal(DRAW(3, 0.0, 5)[0], search(3)[0])
    for piece in range(2):
        assert np.all(np.diff(values[piece]) <= 0)
        assert len({tuple(row) for row in tokens[piece]}) == 3
        check_values(piece, tokens[piece], values[piece])


def test_what_rules_forbid_is_not_drawn():
    def ruled(token, state):
        log_p, added, state = step(token, state)
        return log_p, added + tf.constant([0.0, 0.0, 0.0, 0.0, 0.0, IMPOSSIBLE]), state

    tokens, values = drawing(ruled)(4, 9.0, 0, [0] * 50)
    assert not np.any(tokens[values > IMPOSSIBLE / 2] == 5)
