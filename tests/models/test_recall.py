"""What came the last time after the frames that have come again."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmusic.models import recall
from tfmusic.models.recall import LENGTHS, Recall
from tfmusic.representations.vocabulary import START

SPELLED = 4


@pytest.fixture(scope="module")
def layer():
    keras.utils.set_random_seed(0)
    return Recall()


def frames_of(numbers):
    """The start and one frame for each number, with keys of its own; 0 is a rest."""
    keys = np.zeros([1, len(numbers) + 1, 128, 2], bool)
    for i, number in enumerate(numbers):
        if number:
            keys[0, i + 1, [number, number + 7]] = True
    tokens = [START] + [SPELLED if number else 3 for number in numbers]
    return {"tokens": tf.constant([tokens], tf.int32), "keys": tf.constant(keys)}


def expected_after(numbers):
    """What came the last time after the longest run, and of that the length's place.

    Also how often the run has come, and how long ago that was.
    """
    sequence = ["start", *numbers]
    for place in range(len(LENGTHS), 0, -1):
        length = LENGTHS[place - 1]
        if length > len(sequence):
            continue
        ends = [
            end
            for end in range(length, len(sequence))
            if sequence[end - length : end] == sequence[-length:]
        ]
        if ends:
            distance = len(sequence) - ends[-1]
            return sequence[ends[-1]], place, len(ends) + 1, distance
    return None, 0, 0, 0


@pytest.mark.parametrize("seed", range(3))
def test_the_frame_after_the_longest_run_that_came_before(layer, seed):
    random = np.random.default_rng(seed)
    phrase = random.integers(0, 4, 20).tolist()
    numbers = [*phrase, *random.integers(0, 3, 30).tolist(), *phrase, 50, *phrase[3:9]]
    frames = frames_of(numbers)
    together = layer.all_found(frames)
    state = layer.initial_state(1)
    lengths = set()
    for i in range(len(numbers) + 1):
        state = layer.after(state, {k: v[:, i] for k, v in frames.items()})
        number, place, times, distance = expected_after(numbers[:i])
        lengths.add(place)
        keys = np.flatnonzero(together.keys[0, i]).tolist()
        assert keys == ([number, number + 7] if number else [])
        token = -1 if number is None else 3 if number == 0 else SPELLED
        assert (together.token[0, i], together.length[0, i]) == (token, place)
        assert (together.times[0, i], together.distance[0, i]) == (times, distance)
        for part, whole in zip(layer.found(state), together, strict=True):
            np.testing.assert_array_equal(part, whole[:, i])
    assert lengths == {0, 1, 2, 3, 4, 5}
    for part, whole in zip(layer.after_all(frames), state, strict=True):
        np.testing.assert_array_equal(part, whole)


def test_frames_are_forgotten(monkeypatch):
    monkeypatch.setattr(recall, "HISTORY", 8)
    layer = Recall()
    for gap, is_found in ((6, True), (7, False)):
        frames = frames_of([60, *range(20, 20 + gap), 60])
        state = layer.after_all(frames)
        assert state.tokens.shape == (1, 8)
        for found in (
            layer.found(state).token[0],
            layer.all_found(frames).token[0, -1],
        ):
            assert (found == SPELLED) == is_found


def test_nats_of_what_comes_again_and_of_all_else(layer):
    frames = frames_of([60, 62, 60])
    found = tf.nest.map_structure(lambda part: part[:, -1], layer.all_found(frames))
    odds, nats = tf.constant([1.5]), tf.constant([3.0])
    p_again, p = 1 / (1 + np.exp(-1.5)), np.exp(-3.0)

    def nats_of(number):
        coming = {k: v[:, 1] for k, v in frames_of([number]).items()}
        return layer.nats(found, odds, coming)

    again, other = nats_of(62), nats_of(64)
    expected = -np.log(p_again + (1 - p_again) * p)
    np.testing.assert_allclose(layer.mix(nats, again), [expected], rtol=1e-5)
    expected = -np.log((1 - p_again) * p)
    np.testing.assert_allclose(layer.mix(nats, other), [expected], rtol=1e-5)
    # What is likeliest is what was found, if that is likelier than all else.
    for hit in (0.0, 1.0):
        assert layer.hits(tf.constant([hit]), again) == 1
        assert layer.hits(tf.constant([hit]), other) == 0
    doubtful = layer.nats(found, tf.constant([-0.1]), {k: v[:, 1] for k, v in
                          frames_of([62]).items()})  # fmt: skip
    assert layer.hits(tf.constant([0.0]), doubtful) == 0
    # Where nothing is found, nothing changes.
    nothing = tf.nest.map_structure(lambda part: part[:, 0], layer.all_found(frames))
    free = layer.nats(nothing, odds, {k: v[:, 1] for k, v in frames_of([0]).items()})
    np.testing.assert_allclose(layer.mix(nats, free), nats, rtol=1e-6)


def test_silence_before_the_end_is_no_end(layer):
    frames = frames_of([60, 0, 60])
    found = tf.nest.map_structure(lambda part: part[:, -1], layer.all_found(frames))
    rest = {k: v[:, 1] for k, v in frames_of([0]).items()}
    assert layer.comes_again(found, rest)
    assert not layer.comes_again(found, rest | {"tokens": tf.constant([2])})


def test_probabilities_of_tokens_are_mixed(layer):
    hidden = tf.zeros([2, 3])
    lengths, times, distances = tf.constant([[3, 0], [4, 0], [9, 0]])
    keys = tf.zeros([2, 128], tf.bool)
    found = recall.Recalled(tf.constant([5, -1]), keys, lengths, times, distances)
    layer(hidden, hidden, found)
    old = layer.odds.get_weights()
    kernel = np.zeros((3 + 6 + 6 + 12, 1))
    kernel[3 + 3] = 1.0  # after runs of the third length
    kernel[3 + 6 + 2] = 0.75  # that have come four times
    kernel[3 + 6 + 6 + 3] = 0.25  # 8 to 15 frames ago
    layer.odds.set_weights([kernel, np.zeros(1)])
    joined, *earlier = layer.split(layer(hidden, hidden, found))
    layer.odds.set_weights(old)
    assert joined.shape == (2, 3)
    p = tf.nn.softmax(layer.add(tf.zeros([2, 8]), *earlier)).numpy()
    again = 1 / (1 + np.exp(-2.0))
    expected = np.full(8, (1 - again) / 8)
    expected[5] += again
    np.testing.assert_allclose(p, [expected, np.full(8, 1 / 8)], rtol=1e-5)
