"""What a plan changes counts as often as it was asked to."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models import contracts
from tests.models.chord_frames import chord, piece_of
from tests.models.conftest import SPELLED_ID, chords_with_keys, make_case
from tfmusic.models import make_model

FIRST, SECOND = SPELLED_ID + 1, SPELLED_ID + 2
TOKENS = [FIRST, SECOND, SECOND, FIRST, SECOND]


@pytest.fixture(scope="module")
def model():
    return make_case("chords").model


def values(model, **controls):
    """All controls as tensors."""
    found = {c.name: c.default for c in (*model.CONTROLS, *model.SEARCH_CONTROLS)}
    return {name: tf.constant(float(v)) for name, v in (found | controls).items()}


def steps(model, **controls):
    """Logits after each of some chords, `[time, token]`, and the places of these."""
    controls = values(model, phrases=4.0, home_key=22.0, **controls)
    keys = tf.constant(np.stack([chord(40, 60), chord(40, 61)]))
    start = model.start_frame(1)
    frame, state = model.begin(start, model.initial_state(1, 9), controls, seed=None)
    frames, logits, places = [frame], [], []
    for token in TOKENS:
        hidden, state = model.advance(frame, state)
        logits.append(model.step_logits(hidden)[0].numpy())
        places.append({name: value[0].numpy() for name, value in state.place.items()})
        frame = {
            "tokens": tf.constant([token]),
            "keys": keys[int(token == SECOND)][None],
        }
        frames.append(frame)
    return np.stack(logits), frames[:-1], places


def whole(model, frames, places, is_planned):
    """The logits of the whole sequence at once."""
    inputs = {name: tf.stack([f[name] for f in frames], 1) for name in frames[0]}
    size = len(frames)
    arrays = {name: [[p[name] for p in places]] for name in model.places.names}
    if not is_planned:
        plan = set(arrays) - {"bar_position", "bar_length"}
        arrays |= {name: np.zeros([1, size], np.int32) for name in plan}
    inputs |= {name: tf.constant(array, tf.int32) for name, array in arrays.items()}
    inputs |= {"next_tokens": inputs["tokens"], "next_keys": inputs["keys"]}
    return model(inputs)["logits"][0].numpy()


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_guided_logits_are_those_with_a_plan_and_without(model, weight):
    logits, frames, places = steps(model, guidance=weight)
    planned, free = (whole(model, frames, places, known) for known in (True, False))
    known = planned[0] > -1e6  # not those that are never played
    assert np.abs(planned - free)[:, known].max() > 1e-3
    expected = free + weight * (planned - free)
    np.testing.assert_allclose(
        logits[:, known], expected[:, known], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("weight", [1.0, 2.5])
def test_bars_are_guided_by_key_and_length(weight):
    model = make_case("tokens_bars").model
    names = ["bar3/4", "n60", "position12", "n62"]
    ids = model.representation.vocabulary.ids_of(names)
    controls = values(model, key_number=3.0, length_bars=7.0, guidance=weight)
    start = model.start_frame(1)
    frame, state = model.begin(start, model.initial_state(1, 9), controls, seed=None)
    places = []
    tokens = [frame, *(tf.constant([token]) for token in ids)]
    for token in tokens:
        hidden, state = model.advance(token, state)
        places.append(state.place)
    conditions = model.conditions.tokens(controls)
    first = model.places.before_piece(1, controls)
    inputs = tf.stack([start, *(tf.constant([int(c)]) for c in conditions[:-1])], 1)
    inputs = tf.concat([inputs, tf.stack(tokens, 1)], 1)
    size = inputs.shape[1]
    arrays = {name: [[int(first[name][0])] * size] for name in first}
    arrays["bars_left"][0][-len(ids) :] = [int(p["bars_left"][0]) for p in places[1:]]

    def last(arrays):
        arrays = {name: tf.constant(array) for name, array in arrays.items()}
        return model({"tokens": inputs, **arrays})[0, -1].numpy()

    planned = last(arrays)
    free = last({name: np.zeros([1, size], np.int32) for name in arrays})
    known = planned > -1e6
    assert np.abs(planned - free)[known].max() > 1e-3
    expected = free + weight * (planned - free)
    found = model.step_logits(hidden)[0].numpy()
    np.testing.assert_allclose(found[known], expected[known], rtol=1e-3, atol=1e-3)


def test_music_that_goes_on_is_guided_too(model):
    keys = [chord(40, 60), chord(40, 61)] * 2

    def go_on(guidance, home_key):
        piece = piece_of([FIRST, SECOND] * 2, keys, home_key=home_key)
        prompt = {name: np.repeat(a[None], 50, axis=0) for name, a in piece.items()}
        settings = dict(num_steps=8, seed=2, cadence=0.0, guidance=guidance)
        return contracts.call_endpoint(model, "continue", prompt, **settings)["tokens"]

    np.testing.assert_array_equal(go_on(0.0, home_key=22), go_on(1.0, home_key=0))
    assert np.any(go_on(1.0, home_key=22) != go_on(1.0, home_key=0))


def test_the_config_says_how_strongly_a_plan_is_heard():
    settings = {"name": "chord_lstm", "embedding_size": 8, "units": (8,)}
    model = make_model(chords_with_keys(), settings | {"guidance": 2.0})
    for controls in (model.CONTROLS, model.SEARCH_CONTROLS):
        assert {c.name: c.default for c in controls}["guidance"] == 2.0


def test_a_search_that_goes_on_is_guided_too(model):
    piece = piece_of([FIRST, SECOND], [chord(40, 60), chord(40, 61)], home_key=22)
    prompt = {name: array[None] for name, array in piece.items()}

    def scores(guidance):
        settings = {c.name: c.default for c in model.SEARCH_CONTROLS}
        settings |= dict(num_steps=4, beam_width=3, guidance=guidance)
        made = contracts.call_endpoint(model, "continue_search", prompt, **settings)
        return made["log_likelihood"]

    assert np.any(scores(1.0) != scores(3.0))
