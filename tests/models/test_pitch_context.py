import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.models.pitch_context import PitchContext, single_pitches
from tfmusic.representations import make_representation

# Tokens 0 to 9 are no notes, the others the pitches 50 to 99.
PITCHES = np.append(np.full(10, -1), np.arange(50, 100))


@pytest.fixture(scope="module")
def layer():
    keras.utils.set_random_seed(0)
    layer = PitchContext(PITCHES)
    layer(tf.zeros([1, 2, 4]), layer.contexts(tf.zeros([1, 2], tf.int32)))
    random = np.random.default_rng(0)
    layer.weigh.set_weights([random.normal(size=w.shape) for w in layer.weights])
    return layer


def tokens_of(*pitches):
    """A row of tokens; None is one that is no note."""
    return tf.constant([[3 if p is None else p - 40 for p in pitches]])


def test_steps_reach_what_the_sequence_reaches(layer):
    random = np.random.default_rng(1)
    # Few pitches, so that passages return; more notes than are remembered.
    tokens = tf.constant(random.choice([2, 20, 22, 24], size=(3, 420)), tf.int32)
    hidden = tf.constant(random.normal(size=(3, 420, 4)), tf.float32)
    contexts = layer.contexts(tokens)
    together = layer(hidden, contexts)
    state = layer.initial_state(3)
    for i in range(420):
        state = layer.after(state, tokens[:, i])
        context = layer.context(state)
        for one, all_ in zip(context, contexts, strict=True):
            np.testing.assert_allclose(one, all_[:, i], rtol=1e-4, atol=1e-5)
        if i % 60 == 0:
            np.testing.assert_allclose(
                layer(hidden[:, i], context), together[:, i], rtol=1e-3, atol=1e-3
            )
    for one, other in zip(state, layer.after_all(tokens), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_passages_go_on_as_they_did_before(layer):
    row = tokens_of(60, 62, None, 64, 65, 67, 60, 62, None, 64, 65)
    found = layer.contexts(row).next_before[0, -1]
    assert found.numpy().tolist() == [67, 67, 67]
    # Two notes return, four do not.
    row = tokens_of(60, 62, 64, 65, 67, 70, 62, 64)
    assert layer.contexts(row).next_before[0, -1].numpy().tolist() == [65, -1, -1]
    # A third higher: 60 62 64 65 67, 63 65 67 68.
    row = tokens_of(60, 62, 64, 65, 67, 63, 65, 67, 68)
    assert layer.contexts(row).next_before[0, -1].numpy().tolist() == [-1, -1, 70]
    assert np.all(layer.contexts(tokens_of(60, 62, 64)).next_before == -1)


def test_the_newest_notes_come_first(layer):
    row = tokens_of(60, None, 62, 64, 65, None)
    assert layer.contexts(row).newest[0].numpy().tolist() == [
        [60, -1, -1],
        [60, -1, -1],
        [62, 60, -1],
        [64, 62, 60],
        [65, 64, 62],
        [65, 64, 62],
    ]
    # 62 and 65 with 0.875 for each note since.
    classes = layer.contexts(row).classes[0, -1, 0].numpy()
    expected = np.zeros(12)
    expected[[0, 2, 4, 5]] = 0.875 ** np.array([3, 2, 1, 0])
    np.testing.assert_allclose(classes, expected, rtol=1e-5)


def test_what_is_heard_higher_is_expected_higher(layer):
    hidden = tf.constant(np.random.default_rng(2).normal(size=(1, 8, 4)), tf.float32)
    pitches = [70, 72, None, 70, 75, 70, 72, 70]
    up = [p if p is None else p + 5 for p in pitches]
    low, high = (
        layer(hidden, layer.contexts(tokens_of(*row)))[0, -1, 4:].numpy()
        for row in (pitches, up)
    )
    np.testing.assert_allclose(low[40:100], high[45:105], rtol=1e-4, atol=1e-4)
    assert np.abs(low[40:100] - high[40:100]).max() > 0.1


def test_only_notes_get_the_odds_of_their_pitches(layer):
    joined = tf.concat([tf.zeros([1, 4]), [tf.range(128.0)]], axis=1)
    hidden, odds = layer.split(joined)
    assert hidden.shape == (1, 4)
    assert odds[0].numpy().tolist() == [0] * 10 + list(range(50, 100))


def test_chords_have_no_single_pitches():
    chords = make_representation({"name": "chord_frames"}).fit_counts({"60.64": 1})
    with pytest.raises(UserError, match="pitch_context.*single notes.*chord_frames"):
        single_pitches(chords)
    bars = single_pitches(make_representation({"name": "bar_events"}))
    assert sorted(bars[bars >= 0]) == list(range(128))
