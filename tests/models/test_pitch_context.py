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


def test_long_pieces_are_read_block_by_block(layer):
    random = np.random.default_rng(3)
    tokens = random.choice([2, 20, 22, 24, 27], size=(2, 1700), p=[0.2] * 5)
    # The length is known when the graph is made, too.
    contexts = tf.function(layer.contexts)(tf.constant(tokens, tf.int32))
    pitches = PITCHES[tokens]
    left = np.zeros([2, 2, 128])
    decays = np.array([0.875, 0.985])[:, np.newaxis]
    for i in range(1700):
        for row in range(2):
            if (pitch := pitches[row, i]) >= 0:
                left[row] *= decays
                left[row, :, pitch] += 1
        if i % 100 == 99:
            np.testing.assert_allclose(contexts.pitches[:, i], left, rtol=1e-4)
    # What came after the newest two, and the newest four, came last.
    for row in range(2):
        notes = pitches[row][pitches[row] >= 0].tolist()
        count = np.cumsum(pitches[row] >= 0)
        for i in range(900, 1700, 37):
            heard = notes[: count[i]][-256:]
            for kind, size in enumerate((2, 4)):
                passage, places = heard[-size:], range(len(heard) - 1, size - 1, -1)
                after = [heard[p] for p in places if heard[p - size : p] == passage]
                found = contexts.next_before[row, i, kind].numpy()
                assert found == (after[0] if after else -1)
    state = layer.after_all(tf.constant(tokens, tf.int32))
    np.testing.assert_allclose(state.pitches, left, rtol=1e-4)


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
    # 0.875 is left with each note since.
    left = layer.contexts(row).pitches[0, -1, 0].numpy()
    expected = np.zeros(128)
    expected[[60, 62, 64, 65]] = 0.875 ** np.array([3, 2, 1, 0])
    np.testing.assert_allclose(left, expected, rtol=1e-5)


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


def odds_of(bias, row):
    """The log odds after a row of tokens, of a network that always says the same."""
    layer = PitchContext(PITCHES)
    layer(tf.zeros([1, 1, 1]), layer.contexts(row[:, :1]))
    layer.weigh.set_weights([np.zeros((1, 185)), np.array(bias, np.float32)])
    hidden = tf.zeros([1, row.shape[1], 1])
    return layer(hidden, layer.contexts(row))[0, -1, 1:].numpy()


def test_each_weight_moves_the_odds_of_what_it_stands_for():
    row = tokens_of(60, 62, 64, 60, 62)
    # 49 intervals from each of three notes, 12 steps of two decays, three passages.
    expected = np.zeros(128)
    expected[62 + 7] = 2.0
    np.testing.assert_allclose(odds_of(np.eye(185)[24 + 7] * 2, row), expected)
    expected = np.zeros(128)
    expected[60 - 24] = 1.0
    np.testing.assert_allclose(odds_of(np.eye(185)[49], row), expected)
    # Two notes were followed by 64 before.
    expected = np.zeros(128)
    expected[64] = 3.0
    np.testing.assert_allclose(odds_of(np.eye(185)[171] * 3, row), expected)
    # No third note yet: nothing is near it.
    assert not odds_of(np.eye(185)[2 * 49 + 24 + 5], tokens_of(60, 62)).any()


def test_classes_lately_heard_move_the_odds_of_all_their_octaves():
    odds = odds_of(np.eye(185)[147], tokens_of(60, 62))  # the class itself, decay 0.875
    expected = np.zeros(128)
    expected[2::12] = 0.125
    expected[0::12] = 0.125 * 0.875
    np.testing.assert_allclose(odds, expected, rtol=1e-5)


def test_pitches_lately_heard_move_the_odds_of_those_nearby():
    odds = odds_of(np.eye(185)[174 + 5 + 2], tokens_of(60, 62))  # two semitones below
    expected = np.zeros(128)
    expected[60] = 0.125
    expected[58] = 0.125 * 0.875
    np.testing.assert_allclose(odds, expected, rtol=1e-5)


def test_degrees_of_the_key_move_the_odds_of_their_pitches():
    layer = PitchContext(PITCHES, has_key=True)
    row = tokens_of(60, 62)
    hidden, contexts = tf.zeros([1, 2, 1]), layer.contexts(row)
    layer(hidden, contexts)
    fifth = np.eye(197)[185 + 7]
    layer.weigh.set_weights([np.zeros((1, 197)), np.float32(fifth)])
    for key, pitch_class in [(1, 7), (6, 0), (13 + 9, 4)]:  # C, F major; A minor
        odds = layer(hidden, contexts, tf.fill([1, 2], key))[0, -1, 1:].numpy()
        expected = np.zeros(128)
        expected[pitch_class::12] = 1
        np.testing.assert_array_equal(odds, expected)
    assert not layer(hidden, contexts, tf.zeros([1, 2], tf.int32)).numpy().any()


def test_passages_are_forgotten(layer):
    between = [70, 72] * 100

    def found(*extra):
        row = tokens_of(60, 62, 64, *between, *extra, 60, 62)
        return layer.contexts(row).next_before[0, -1, 0].numpy()

    assert found() == 64
    assert found(*[70, 72] * 40) == -1
