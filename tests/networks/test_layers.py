import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.networks.layers import (
    PitchEmbedding,
    TiedOutput,
    TokenEmbedding,
)
from tfmusic.networks.recurrent_stack import RecurrentSettings, RecurrentStack


@pytest.fixture(params=["lstm", "gru"])
def stack(request) -> RecurrentStack:
    keras.utils.set_random_seed(0)
    settings = RecurrentSettings(
        units=(12, 7), cell=request.param, dropout=0.5, recurrent_dropout=0.4
    )
    stack = RecurrentStack(settings)
    stack(tf.zeros([1, 2, 5]))
    return stack


def check_same(a, b):
    """Equal but for sums of float32 products in another order."""
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_steps_equal_the_sequence(stack):
    inputs = tf.random.stateless_normal([4, 9, 5], [0, 1])
    expected, last = stack.run(inputs)
    state = stack.initial_state(4)
    for t in range(9):
        outputs, state = stack.step(inputs[:, t], state)
        check_same(outputs, expected[:, t])
    tf.nest.map_structure(check_same, state, last)


def test_a_sequence_in_two_parts_equals_the_whole(stack):
    inputs = tf.random.stateless_normal([4, 9, 5], [0, 2])
    whole, last = stack.run(inputs)
    first, state = stack.run(inputs[:, :4])
    second, end = stack.run(inputs[:, 4:], state)
    check_same(tf.concat([first, second], axis=1), whole)
    tf.nest.map_structure(check_same, end, last)


def test_dropout_is_on_in_training_only(stack):
    inputs = tf.random.stateless_normal([4, 9, 5], [0, 3])
    np.testing.assert_array_equal(stack(inputs), stack(inputs, training=False))
    assert np.any(stack(inputs, training=True) != stack(inputs))


def test_an_unknown_cell_is_named():
    with pytest.raises(UserError, match="cell: unknown 'lsmt'.*did you mean 'lstm'"):
        RecurrentSettings(units=(8,), cell="lsmt")


def test_tied_output_scores_by_the_embedding():
    embedding = TokenEmbedding(6, 4)
    embedding(tf.constant([0]))
    output = TiedOutput(embedding)
    hidden = tf.random.stateless_normal([2, 3, 4], [0, 0])
    logits = output(hidden).whole()
    np.testing.assert_allclose(
        logits, hidden.numpy() @ embedding.embeddings.numpy().T, rtol=1e-5
    )
    assert len(output.trainable_variables) == 2
    np.testing.assert_array_equal(output.bias, np.zeros(6))


@pytest.mark.parametrize("training", [False, True])
def test_tied_logits_are_exact_but_for_training_in_bfloat16(training, mixed_precision):
    pitches = np.zeros([40, 128], bool)
    pitches[np.arange(40), np.arange(40) + 40] = True
    embedding = PitchEmbedding(pitches, 64)
    vectors = embedding(tf.range(40))
    assert vectors.dtype == tf.bfloat16
    exact = (embedding.pitch_vectors.numpy()[40:80] + embedding.kind_vectors) @ (
        hidden := tf.random.stateless_normal([64, 3], [0, 0])
    )
    output = TiedOutput(embedding, dtype="float32")
    logits = output(tf.transpose(hidden)[tf.newaxis], training=training).whole()[0]
    assert logits.dtype == tf.float32
    error = np.abs(tf.transpose(logits) - exact).max()
    assert error < 0.1
    assert (error > 1e-4) == training


def test_chords_that_share_pitches_are_embedded_alike():
    pitches = np.zeros([5, 128], bool)  # token 0 sounds nothing
    pitches[1, [60, 64, 67]] = pitches[2, [60, 64, 69]] = pitches[3, [1, 2, 3]] = True
    keras.utils.set_random_seed(0)
    embedding = PitchEmbedding(pitches, 64)
    vectors = embedding(tf.range(5)).numpy()
    assert np.linalg.norm(vectors[0]) < 0.5
    close, far = vectors[1] @ vectors[2], vectors[1] @ vectors[3]
    assert close > 3 * abs(far)
    for few in (False, True):
        products = embedding.similarity(tf.constant(vectors), few=few)
        np.testing.assert_allclose(products, vectors @ vectors.T, atol=1e-5)


def test_chords_of_a_kind_differ_by_their_pitches_alone():
    pitches = np.zeros([4, 128], bool)
    pitches[0, [60, 64]] = pitches[1, [62, 66]] = pitches[2, [60, 65]] = True
    keras.utils.set_random_seed(0)
    embedding = PitchEmbedding(pitches, 8, kinds=np.array([1, 1, 0, 2]))
    vectors = embedding(tf.range(4)).numpy()
    of_pitches = pitches.astype(float) @ embedding.pitch_vectors.numpy()
    first, second, third, silent = vectors - of_pitches
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert len({tuple(v.round(4)) for v in (first, third, silent)}) == 3
    for few in (False, True):
        products = embedding.similarity(tf.constant(vectors), few=few)
        np.testing.assert_allclose(products, vectors @ vectors.T, atol=1e-5)


def test_seed_decides_what_chords_are_embedded_as():
    """An initializer made on import would draw before the seed is set."""

    def vectors(seed):
        keras.utils.set_random_seed(seed)
        embedding = PitchEmbedding(np.eye(8, 128, dtype=bool), size=4)
        embedding(np.zeros([1], np.int32))
        return [variable.numpy() for variable in embedding.variables]

    for first, again, other in zip(vectors(0), vectors(0), vectors(1), strict=True):
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_exact_inputs_tell_apart_what_bfloat16_cannot(cell, mixed_precision):
    inputs = (np.arange(600, dtype=np.float32) / 600)[:, None, None]
    names = tf.cast(tf.constant(inputs), tf.bfloat16).numpy().ravel().tolist()
    assert len(set(names)) < 500
    settings = RecurrentSettings(units=(4, 4), cell=cell, dropout=0.0)
    exact = RecurrentStack(settings, exact_inputs=True)
    outputs, state = exact.run(inputs)
    assert outputs.dtype == tf.bfloat16
    assert len(np.unique(state[0].numpy(), axis=0)) == 600
    # Steps do as sequences do, from a state of the same types.
    stepped, new = exact.step(inputs[:, 0], exact.initial_state(600))
    assert [part.dtype for part in new] == [part.dtype for part in state]
    np.testing.assert_allclose(
        tf.cast(stepped, tf.float32), tf.cast(outputs[:, 0], tf.float32), atol=0.01
    )
