"""What frames of chords are worth: all that may come adds up to one."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.models import contracts
from tests.models.chord_frames import FIRST, SECOND, chord, piece_of, score, shaken
from tests.models.conftest import SPELLED_ID, make_case
from tfmusic.models.key_head import Spelling


@pytest.fixture(scope="module")
def model():
    return shaken(make_case("chords").model)


def test_probabilities_of_all_restrikes_sum_to_one(model):
    before = chord(40, 60, struck=(40, 60))
    pieces = [
        piece_of([FIRST, FIRST], [before, chord(40, 60, struck=struck)])
        for n in range(3)
        for struck in itertools.combinations((40, 60), n)
    ]
    made = score(model, *pieces)
    np.testing.assert_allclose(
        np.exp(made["restrike_log_likelihood"][:, 1]).sum(), 1.0, rtol=1e-5
    )
    # What is struck matters, and a key struck above another one does.
    assert len(np.unique(made["log_likelihood"][:, 1])) == 4


def test_keys_that_are_new_have_no_choice(model):
    keys = [chord(40, 60, struck=(40, 60)), chord(40, 61, struck=(61,))]
    other = [keys[0], chord(40, 61)]
    made = score(
        model, piece_of([FIRST, SECOND], keys), piece_of([FIRST, SECOND], other)
    )
    np.testing.assert_array_equal(*made["log_likelihood"])
    assert made["restrike_log_likelihood"][0, 0] == 0.0
    assert made["restrike_log_likelihood"][0, 1] < 0.0  # key 40 is held


def test_frames_are_tokens_and_restrikes_and_spelling(model):
    case = make_case("chords")
    made = score(model, case.pieces[0])
    spelled = case.pieces[0]["tokens"] == SPELLED_ID
    assert np.all((made["spelling_log_likelihood"][0] < 0.0) == spelled)
    parts = made["restrike_log_likelihood"] + made["spelling_log_likelihood"]
    assert np.all(made["log_likelihood"] < parts)


def test_a_chord_of_the_vocabulary_may_be_spelled_too(model):
    before = chord(40, 60, struck=(40, 60))
    tokens = [t for t in range(3, model.vocabulary_size) if t != SPELLED_ID]
    bias = model.spelling.keys.bias
    old = bias.numpy()
    likely = np.full(128, -6.0)
    likely[[40, 60]] = 2.0
    bias.assign(likely)
    # Every chord of the vocabulary, named or spelled, with all restrikes of the keys
    # that it shares with the frame before; and the same ones spelled alone.
    either, spelled = [], []
    for token in tokens:
        pitches = np.flatnonzero(model.representation.token_pitches()[token])
        shared = [p for p in pitches if p in (40, 60)]
        for n in range(len(shared) + 1):
            for struck in itertools.combinations(shared, n):
                keys = [before, chord(*pitches, struck=struck)]
                either.append(piece_of([FIRST, token], keys))
                spelled.append(piece_of([FIRST, SPELLED_ID], keys))
    scores = {
        name: values[:, 1]
        for name, values in score(model, *spelled).items()
        if not name.startswith("end")
    }
    p_spelled = np.exp(scores["log_likelihood"])
    parts = scores["spelling_log_likelihood"] + scores["restrike_log_likelihood"]
    p_open = np.exp(scores["log_likelihood"] - parts)
    made = score(model, *either)
    p_either = np.exp(made["log_likelihood"][:, 1])
    end = np.exp(score(model, piece_of([FIRST], [before]))["end_log_likelihood"][0])
    bias.assign(old)
    np.testing.assert_allclose(p_open, p_open[0], rtol=1e-4)
    assert p_spelled.sum() > 0.2 * p_open[0]
    assert np.all(made["spelling_log_likelihood"][:, 1] == 0)  # none has to be
    unknown = p_open[0] - p_spelled.sum()  # all other chords
    np.testing.assert_allclose(p_either.sum() + unknown + end, 1.0, rtol=1e-4)


def test_a_chord_may_come_as_it_came_the_last_time():
    model = shaken(make_case("chords_lookback").model)
    model.lookback.odds.bias.assign([0.5])
    known, unknown = chord(40, 60, struck=(40, 60)), chord(50, 55)
    tokens = [FIRST, SPELLED_ID, FIRST]
    history = [known, unknown, known]
    either, spelled = [], []
    for token in range(3, model.vocabulary_size):
        if token == SPELLED_ID:
            continue
        pitches = np.flatnonzero(model.representation.token_pitches()[token])
        shared = [p for p in pitches if p in (40, 60)]
        for n in range(len(shared) + 1):
            for struck in itertools.combinations(shared, n):
                keys = [*history, chord(*pitches, struck=struck)]
                either.append(piece_of([*tokens, token], keys))
                spelled.append(piece_of([*tokens, SPELLED_ID], keys))
    same = piece_of([*tokens, SPELLED_ID], [*history, unknown])
    other = piece_of([*tokens, SPELLED_ID], [*history, chord(50, 56)])

    def p_last(*pieces, name="log_likelihood"):
        return np.exp(score(model, *pieces)[name][:, 3].astype(np.float64))

    # Those of being spelled, of what came before and of all other chords, add up to 1.
    (p_same,), (p_other,) = p_last(same), p_last(other)
    (same_keys,) = p_last(same, name="spelling_log_likelihood")
    (other_keys,) = p_last(other, name="spelling_log_likelihood")
    p_open = p_other / other_keys
    again = p_same - p_open * same_keys
    end = score(model, piece_of(tokens, history))["end_log_likelihood"][0]
    rest = p_open - p_last(*spelled).sum()
    total = p_last(*either).sum() + rest + again + np.exp(end)
    np.testing.assert_allclose(total, 1.0, rtol=1e-4)
    assert again > 0.5


@pytest.mark.parametrize("name", ["chords", "tokens"])
def test_accuracy_is_the_fraction_of_likeliest_tokens_that_come(name):
    case = make_case(name)
    x, y, weight = contracts.whole_pieces(case.model, case.pieces)
    outputs = case.model(x)
    logits = outputs["logits"] if name == "chords" else outputs
    guesses = np.argmax(logits, axis=-1)
    # Some of what comes is what is likeliest, whatever the untrained network says.
    y = np.where(np.arange(guesses.shape[1]) % 3 == 0, guesses, y).astype(np.int32)
    hits = guesses == y
    case.model.compute_loss(x, tf.constant(y), outputs, weight, training=False)
    (accuracy,) = (m for m in case.model.metrics if m.name == "accuracy")
    expected = np.average(hits, weights=weight)
    assert 0 < expected < 1
    np.testing.assert_allclose(accuracy.result(), expected, rtol=1e-5)


def test_probabilities_of_all_spellings_sum_to_one(model):
    hidden = tf.random.stateless_normal([1, 24], [0, 0])
    few = [50, 55, 60]
    keys = np.zeros([8, 128], bool)
    keys[:, few] = list(itertools.product([False, True], repeat=3))
    before, spelled = tf.zeros([8, 128, 2], tf.bool), tf.fill([8], True)
    hidden = tf.repeat(hidden, 8, axis=0)
    log_odds = model.spelling(hidden, before, tf.constant(keys), spelled)
    p = tf.sigmoid(log_odds).numpy()[:, few]
    chosen = keys[:, few]
    np.testing.assert_allclose(np.where(chosen, p, 1 - p).prod(axis=1).sum(), 1.0, 1e-5)
    assert len(np.unique(p[:, 0])) == 4  # the lowest depends on both above it
    assert len(np.unique(p[:, 2])) == 1  # the highest on none


@pytest.mark.parametrize("place", [*range(12), 12, 13, 24, 25, 30, 36])
def test_spelling_hears_intervals_to_the_frame_before_and_to_the_keys_above(place):
    spelling = Spelling()
    random = np.random.default_rng(0)
    sounding, keys = random.random([2, 3, 128]) < 0.1
    before = np.stack([sounding, np.zeros_like(sounding)], axis=-1)
    inputs = np.zeros([3, 5], np.float32), before, keys, np.zeros(3, bool)
    spelling(*inputs)
    for variable in spelling.variables:
        variable.assign(tf.zeros_like(variable))
    weights = np.eye(37)[place]
    spelling.intervals.bias.assign(weights)
    odds = spelling(*inputs).numpy()
    # From an octave below to one above, and then from a semitone above to an octave.
    heard, away = (sounding, place - 12) if place < 25 else (keys, place - 24)
    expected = np.zeros([3, 128])
    for pitch in range(128):
        if 0 <= pitch + away < 128:
            expected[:, pitch] = heard[:, pitch + away]
    np.testing.assert_array_equal(odds, expected)
