"""New pieces have the number of bars, and the key, that was asked for or drawn."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.contracts import make_sequence
from tests.models import contracts
from tests.models.conftest import bar_tunes
from tfmusic.models import make_model
from tfmusic.models.bars_left import BarsLeft

COUNTS = {"bars 3": 1, "bars 5": 3, "key 1": 1, "key 20": 3, "tag reel": 2}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    settings = {
        "name": "token_lstm",
        "embedding_size": 8,
        "units": (8,),
        "pitch_context": True,
    }
    model = make_model(bar_tunes().fit_counts(COUNTS), settings)
    model.build_model()
    # So that bars come soon.
    is_bar = model.representation.bars_begun() > 0
    model.output_layer.bias.assign(4.0 * is_bar.astype(np.float32))
    return model


def bars_of(model, made):
    """How many bars each piece has; an upbeat is none."""
    is_bar = model.representation.bars_begun()
    return np.array(
        [
            is_bar[tokens[:length]].sum()
            for tokens, length in zip(made["tokens"], made["num_steps"], strict=True)
        ]
    )


def generate(model, **controls):
    settings = dict(num_outputs=400, num_steps=150, seed=4, temperature=1.5)
    return contracts.call_endpoint(model, "generate", **settings, **controls)


@pytest.mark.parametrize("number", [1, 2, 7])
def test_pieces_have_as_many_bars_as_they_should(model, number):
    made = generate(model, length_bars=float(number))
    ended = made["num_steps"] < 150
    assert ended.mean() > 0.9
    assert set(bars_of(model, made)[ended]) == {number}
    left = made["bars_left"]
    assert np.all(left[:, 0] == number + 1)
    last = np.take_along_axis(left, made["num_steps"][:, np.newaxis] - 1, axis=1)
    assert np.all(last[ended] == 1)


def test_lengths_and_keys_are_drawn_as_they_are_in_training(model):
    made = generate(model)
    ended = made["num_steps"] < 150
    bars = bars_of(model, made)[ended]
    assert set(bars) == {3, 5}
    np.testing.assert_allclose(np.mean(bars == 5), 0.75, atol=0.08)
    keys = made["plan_key"][:, 0]
    assert set(keys) == {1, 20}
    np.testing.assert_allclose(np.mean(keys == 20), 0.75, atol=0.08)
    # Training pieces are moved to all keys, so any can be asked for.
    assert np.all(generate(model, key_number=7.0)["plan_key"] == 7)


def test_pieces_end_on_the_tonic_where_they_can(model):
    pitches = model.pitch_context.pitches

    def tonics(**controls):
        made = generate(model, length_bars=2.0, key_number=3.0, **controls)
        rows = zip(made["tokens"], made["num_steps"], strict=True)
        last = [tokens[length - 1] for tokens, length in rows if length < 150]
        assert len(last) > 300
        return np.mean(pitches[last] % 12 == 2)

    assert tonics(cadence=6.0) > 2.5 * tonics(cadence=0.0)


def test_music_that_goes_on_ends_where_it_will(model):
    piece = model.representation.encode(generate_piece())
    prompt = {name: array[np.newaxis] for name, array in piece.items()}
    settings = dict(num_steps=40, seed=4)
    made = contracts.call_endpoint(model, "continue", prompt, **settings)
    assert not made["bars_left"].any()
    assert np.all(made["plan_key"] == piece["plan_key"][0])


def test_music_that_goes_on_has_the_bars_that_were_asked_for(model):
    piece = model.representation.encode(generate_piece())
    is_bar = model.representation.bars_begun()[piece["tokens"]]
    # The prompt ends within a bar, or has just begun one.
    for length in (len(is_bar), np.flatnonzero(is_bar)[-1] + 1):
        prompt = {name: array[np.newaxis, :length] for name, array in piece.items()}
        prompt = {name: np.repeat(array, 100, axis=0) for name, array in prompt.items()}
        settings = dict(num_steps=150, seed=4, temperature=1.5, length_bars=3.0)
        made = contracts.call_endpoint(model, "continue", prompt, **settings)
        ended = made["num_steps"] < 150
        assert ended.mean() > 0.9
        assert set(bars_of(model, made)[ended]) == {3}


def generate_piece():
    return make_sequence([(60 + i % 5, 80, i, i + 1) for i in range(8)])


def test_each_token_knows_what_is_left():
    layer = BarsLeft(np.array([0, 1, 0]), np.array([-1, -1, 60]), [4])
    tokens = tf.constant([[2, 1, 2, 1, 1, 0], [1, 1, 1, 1, 1, 0]])
    left = layer.after_each(tf.constant([4, 0]), tokens)
    assert left.numpy().tolist() == [[4, 4, 3, 3, 2, 1], [0] * 6]
    row = tf.constant([4, 4, 1, 0])
    assert layer.after(row, tf.constant([1, 2, 1, 1])).numpy().tolist() == [3, 4, 1, 0]


def test_half_of_the_windows_do_not_know_the_length(model):
    features = {
        "tokens": tf.zeros([3], tf.int32),
        "plan_key": tf.constant([5, 5, 5]),
        "bars_left": tf.constant([2, 2, 1]),
    }
    hidden = np.zeros(2)
    seeds = np.linspace(-(2**31), 2**31 - 1, 200, dtype=np.int64).astype(np.int32)
    for seed in seeds:
        found = model.places.hide_plan(features, 0.5, tf.constant([seed, 0]))
        hidden += [not np.any(found[n]) for n in ("bars_left", "plan_key")]
    np.testing.assert_allclose(hidden, [100, 50], atol=2)


def controls_of(counts):
    model = make_model(bar_tunes().fit_counts(counts), {"name": "token_lstm"})
    return {control.name: control for control in model.CONTROLS}


def test_only_tags_and_metres_that_were_learned_can_be_asked_for():
    learned = controls_of({**COUNTS, "metre 3": 80, "metre 7": 3})
    assert "1 reel." in learned["tag"].doc
    assert learned["metre_number"].maximum == 1
    assert "1 4/4." in learned["metre_number"].doc
    assert "tag" not in controls_of({"bars 3": 1, "metre 3": 80})
