import numpy as np
import pytest
import tensorflow as tf

from tfmusic.generation.loop import generate_frames, repeat_rows
from tfmusic.generation.seeds import split_seed


def run(next_frame, frame, state, num_steps, is_finished=None):
    @tf.function(autograph=False)
    def traced(num_steps, seed):
        return generate_frames(
            next_frame, frame, state, num_steps, seed, is_finished=is_finished
        )[0]

    return traced(tf.constant(num_steps), tf.constant(7, tf.int64))


def count(frame, state, seed):
    del seed
    return frame + state, state


def test_frames_and_state_are_carried():
    made = run(count, tf.constant([0, 10]), tf.constant([1, 2]), 4)
    np.testing.assert_array_equal(made, [[1, 2, 3, 4], [12, 14, 16, 18]])


def test_a_frame_can_be_a_nest():
    def swap(frame, state, seed):
        del seed
        return {"a": frame["b"], "b": frame["a"]}, state

    frame = {"a": tf.zeros([2, 3]), "b": tf.ones([2, 3])}
    made = run(swap, frame, (), 3)
    np.testing.assert_array_equal(made["a"][1, :, 0], [1, 0, 1])
    assert made["b"].shape == (2, 3, 3)


def test_every_step_has_its_own_seed():
    def noise(frame, state, seed):
        return tf.random.stateless_uniform(tf.shape(frame), seed), state

    made = run(noise, tf.zeros([2]), (), 20).numpy()
    assert len(np.unique(made)) == 40


def test_the_loop_ends_when_all_pieces_have():
    calls = tf.Variable(0)

    def counted(frame, state, seed):
        calls.assign_add(1)
        return count(frame, state, seed)

    made = run(
        counted,
        tf.constant([5, 6]),
        tf.constant([1, 1]),
        50,
        is_finished=lambda frame: frame >= 8,
    )
    np.testing.assert_array_equal(made[:, :4], [[6, 7, 8, 0], [7, 8, 9, 0]])
    assert calls.numpy() == 3
    assert made.shape == (2, 50)


def test_a_prompt_that_ended_is_gone_on_from():
    made = run(
        count,
        tf.constant([9]),
        tf.constant([-4]),
        2,
        is_finished=lambda frame: frame >= 8,
    )
    np.testing.assert_array_equal(made, [[5, 1]])


def test_a_length_below_one_is_refused():
    with pytest.raises(tf.errors.InvalidArgumentError, match="num_steps: expected"):
        run(count, tf.constant([0]), tf.constant([1]), 0)


def test_split_seeds_are_independent():
    first, second = split_seed(tf.constant([1, 2], tf.int64), 2)
    a = tf.random.stateless_uniform([1000], first)
    b = tf.random.stateless_uniform([1000], second)
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.15


def test_rows_are_repeated_one_after_the_other():
    nest = (tf.constant([3, 5]), {"state": tf.constant([[1.0, 2.0], [4.0, 8.0]])})
    rows, rest = repeat_rows(nest, tf.constant(3))
    np.testing.assert_array_equal(rows, [3, 3, 3, 5, 5, 5])
    np.testing.assert_array_equal(rest["state"], [[1.0, 2.0]] * 3 + [[4.0, 8.0]] * 3)
