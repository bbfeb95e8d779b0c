import numpy as np
import tensorflow as tf

from tfmusic.generation.guards import Watch, change_one, count_run, draw_another

NUM_DRAWS = 20_000


def test_runs_are_counted_from_the_end():
    frames = tf.constant([[1, 2, 2, 2], [3, 3, 3, 3], [2, 2, 2, 1]])
    np.testing.assert_array_equal(count_run(frames), [3, 4, 1])
    columns = tf.constant([[[0, 1], [0, 1], [1, 1]], [[1, 1], [0, 1], [0, 1]]])
    np.testing.assert_array_equal(count_run(columns), [1, 2])


def test_a_watch_follows_runs_and_counts_what_was_changed():
    watch = Watch.begin(tf.constant([0, 2]))
    watch = watch.after(tf.constant([False, True]), tf.constant([False, False]))
    watch = watch.after(tf.constant([True, False]), tf.constant([False, True]))
    np.testing.assert_array_equal(watch.run, [2, 1])
    np.testing.assert_array_equal(watch.guarded_steps, [0, 1])
    np.testing.assert_array_equal(watch.exceeds(tf.constant(2.0)), [True, False])
    np.testing.assert_array_equal(watch.exceeds(tf.constant(0.0)), [False, False])


def test_another_class_is_as_frequent_as_if_the_first_did_not_exist():
    logits = np.log(np.array([0.6, 0.1, 0.3], np.float32))
    rows = tf.tile(tf.constant([logits]), [NUM_DRAWS, 1])
    token = tf.zeros([NUM_DRAWS], tf.int32)
    is_stuck = tf.range(NUM_DRAWS) % 2 == 0
    drawn = draw_another(token, rows, is_stuck, tf.constant([1, 2])).numpy()
    assert not drawn[1::2].any()
    assert abs(np.mean(drawn[::2] == 2) - 0.75) < 0.02
    assert not np.any(drawn[::2] == 0)


def test_a_class_that_stands_alone_comes_again():
    logits = tf.constant([[0.0, -1e9, -1e9]])
    drawn = draw_another(tf.constant([0]), logits, tf.constant([True]), [0, 0])
    np.testing.assert_array_equal(drawn, [0])


def test_the_choice_turned_over_is_as_frequent_as_the_odds_against_it():
    # Odds of yes 3 and chosen: 1/3 against; odds 2 and 1/4, not chosen: 2 and 1/4.
    logits = tf.math.log(tf.constant([[3.0, 2.0, 0.25]]))
    rows = tf.tile(logits, [NUM_DRAWS, 1])
    choices = tf.tile(tf.constant([[True, False, False]]), [NUM_DRAWS, 1])
    changed = change_one(choices, rows, tf.fill([NUM_DRAWS], True), tf.constant([3, 4]))
    turned = np.not_equal(changed, choices)
    np.testing.assert_array_equal(turned.sum(axis=1), np.ones(NUM_DRAWS))
    against = np.array([1 / 3, 2.0, 0.25])
    np.testing.assert_allclose(turned.mean(axis=0), against / against.sum(), atol=0.02)


def test_without_temperature_the_least_certain_choice_turns_over():
    logits = tf.constant([[[3.0, -0.1], [0.5, -2.0]]] * 2)
    is_stuck = tf.constant([True, False])
    changed = change_one(logits > 0.0, logits, is_stuck, [0, 0], 0.0)
    np.testing.assert_array_equal(changed[0], [[True, True], [True, False]])
    np.testing.assert_array_equal(changed[1], logits[1] > 0.0)
