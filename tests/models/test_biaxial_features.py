"""What each note of the biaxial network is told of its neighbours and of the beat."""

import numpy as np
import pytest
import tensorflow as tf

from tfmusic.models.biaxial_features import NoteFeatures


def features_of(roll, bar=(0, 16), **settings):
    """Features of a roll [pitch, channel], from pitch 24, before a place in a bar."""
    layer = NoteFeatures(24, roll.shape[0], 4, **settings)
    bar = [tf.constant([number]) for number in bar]
    return layer(tf.constant(roll)[tf.newaxis], *bar)[0].numpy()


def test_neighbours_are_those_of_the_note():
    roll = np.zeros([40, 2], bool)
    roll[20] = True
    roll[32, 0] = True
    near = features_of(roll, position=False, pitch_class=False, beat="none")
    vicinity = near[:, :50].reshape(40, 25, 2)
    np.testing.assert_array_equal(
        np.argwhere(vicinity[20]), [[12, 0], [12, 1], [24, 0]]
    )
    np.testing.assert_array_equal(np.argwhere(vicinity[30, :, 0]), [[2], [14]])


def test_the_lowest_notes_do_not_see_the_highest():
    roll = np.zeros([78, 2], bool)
    roll[60:] = True
    near = features_of(roll, position=False, pitch_class=False, beat="none")
    assert not near[:12, :50].any()
    high = np.zeros([78, 2], bool)
    high[:18] = True
    near = features_of(high, position=False, pitch_class=False, beat="none")
    assert not near[-12:, :50].any()


def test_context_counts_pitch_classes_from_the_notes_own():
    roll = np.zeros([40, 2], bool)
    roll[[0, 12, 7], 0] = True  # C, C and G above pitch 24
    context = features_of(roll, position=False, pitch_class=False, beat="none")[:, 50:]
    np.testing.assert_array_equal(np.nonzero(context[24])[0], [0, 7])
    np.testing.assert_array_equal(context[24, [0, 7]], [2, 1])
    np.testing.assert_array_equal(context[25, [11, 6]], [2, 1])


def test_position_and_pitch_class_tell_notes_apart():
    near = features_of(np.zeros([25, 1], bool), beat="none")
    np.testing.assert_allclose(near[[0, 12, 24], 0], [-1, 0, 1])
    np.testing.assert_array_equal(near[[0, 5, 24], 1:13].argmax(axis=1), [0, 5, 0])


@pytest.mark.parametrize(
    ("position", "bits"), [(0, [-1, -1, -1, -1]), (5, [1, -1, 1, -1])]
)
def test_beat_counts_from_the_bar_line(position, bits):
    near = features_of(np.zeros([3, 1], bool), (position, 16), beat="binary")
    np.testing.assert_array_equal(near[:, -4:], [bits] * 3)


def test_metre_tells_how_far_the_bar_has_gone():
    near = features_of(np.zeros([3, 1], bool), (3, 12), beat="metre")
    np.testing.assert_allclose(near[1, -3:], [0, 1, 0.75], atol=1e-6)
