"""Which token came next at the same place some bars before."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models.conftest import bar_tunes, chords
from tfmusic.errors import UserError
from tfmusic.models.lookback import Lookback, bar_places


@pytest.fixture(scope="module")
def layer():
    keras.utils.set_random_seed(0)
    return Lookback(bar_places(bar_tunes()))


NAMES = bar_tunes().vocabulary.tokens


def found_after(layer, text):
    """The tokens found after the last of a text, by distance; "" for none."""
    tokens = tf.constant([bar_tunes().vocabulary.ids_of(text.split())], tf.int32)
    together = layer.all_found(tokens)[0, -1].numpy()
    state = layer.initial_state(1)
    for token in tokens[0]:
        state = layer.after(state, token[tf.newaxis])
    np.testing.assert_array_equal(layer.found(state)[0], together)
    np.testing.assert_array_equal(layer.found(layer.after_all(tokens))[0], together)
    return ["" if token < 0 else NAMES[token] for token in together]


BAR = "bar3/4 n60 position12 n62 position24 n64"


def test_the_next_token_at_the_same_place(layer):
    bars = f"bar3/4 duration12 n60 position12 n62 position24 n64 {BAR}"
    assert found_after(layer, f"{bars} bar3/4") == ["n60", "duration12", "", ""]
    assert found_after(layer, f"{bars} bar3/4 n67 position12") == ["n62", "n62", "", ""]
    # Another place: what comes there or later.
    assert found_after(layer, f"{bars} bar3/4 position18")[0] == "position24"
    # Before the last note of a bar the length changes.
    other = "bar3/4 duration24 n48 position24 duration12 n50 bar3/4 n48 position24"
    assert found_after(layer, other)[0] == "duration12"
    # At the end of the bar its line.
    assert found_after(layer, f"{bars} {BAR}")[:2] == ["bar3/4", "bar3/4"]


def test_chords_are_compared_note_by_note(layer):
    bars = "bar3/4 n60 n64 n67 position12 n62 bar3/4 n48"
    assert found_after(layer, bars)[0] == "n64"
    assert found_after(layer, f"{bars} n52")[0] == "n67"
    assert found_after(layer, f"{bars} n52 n55")[0] == "position12"
    assert found_after(layer, f"{bars} n52 position12")[0] == "n62"


def test_bars_that_are_not_there_are_not_found(layer):
    assert found_after(layer, "tag0 density0") == [""] * 4
    assert found_after(layer, f"tag0 density0 upbeat24 {BAR}") == [""] * 4
    # What stands before the first bar line of a window is no whole bar.
    assert found_after(layer, f"position12 n62 {BAR}") == [""] * 4
    eight = " ".join(f"bar3/4 n{60 + i}" for i in range(8))
    assert found_after(layer, f"{eight} bar3/4") == ["n67", "n66", "n64", "n60"]


def test_steps_find_what_the_sequence_finds(layer):
    # Longer than what is remembered, in any order that tokens may have.
    random = np.random.default_rng(1)
    words = ["bar3/4"]
    for _ in range(300):
        for position in sorted(random.choice(np.arange(1, 36), 2, replace=False)):
            words += [f"position{position}", f"n{random.integers(60, 70)}"]
        words.append("bar3/4")
    tokens = tf.constant([bar_tunes().vocabulary.ids_of(words)], tf.int32)
    together = layer.all_found(tokens)
    state = layer.initial_state(1)
    for i, token in enumerate(tokens[0]):
        state = layer.after(state, token[tf.newaxis])
        np.testing.assert_array_equal(layer.found(state)[0], together[0, i])
    assert np.all(together[0, 60:] >= 0)


def test_bars_are_forgotten(layer):
    short = "bar3/4 n60 " + "bar3/4 n61 " * 7
    assert found_after(layer, f"{short} bar3/4")[3] == "n60"
    # More notes than are remembered since.
    long = short + "bar3/4 " + " ".join(["n50"] * 1030)
    assert found_after(layer, f"{long} bar3/4")[0] == ""


def test_what_came_before_is_made_likelier(layer):
    hidden = tf.zeros([1, 1, 3])
    found = tf.constant([[[7, 7, 9, -1]]])
    layer(hidden, hidden, found)
    layer.weigh.set_weights([np.zeros((3, 4)), np.array([1.0, 2.0, 4.0, 8.0])])
    joined, *earlier = layer.split(layer(hidden, hidden, found))
    assert joined.shape == (1, 1, 3)
    size = len(NAMES)
    expected = np.zeros(size)
    expected[[7, 9]] = 3.0, 4.0
    np.testing.assert_allclose(
        layer.add(tf.zeros([1, 1, size]), *earlier)[0, 0], expected
    )


def test_tokens_without_bars_are_refused():
    with pytest.raises(UserError, match="lookback.*bar_events.*chord_frames"):
        bar_places(chords())
