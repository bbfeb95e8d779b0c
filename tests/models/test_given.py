"""Frames of which keys are given: these stay, and the others follow from them."""

import numpy as np
import pytest

from tests.models import contracts
from tests.models.conftest import SPELLED_ID, make_case

LENGTH = 12


def melody(length=LENGTH, pitch=62):
    """What the chords of the case can have above their one bass note, 40."""
    keys = np.zeros([length, 128, 2], bool)
    keys[:, pitch, 0] = True
    keys[::3, pitch, 1] = True
    return keys


def given_chords(keys, is_given, bar=6):
    length = len(keys)
    none = np.zeros(length, np.int32)
    return {
        "keys": keys,
        "is_given": is_given,
        "bar_position": np.arange(length, dtype=np.int32) % bar,
        "bar_length": np.full(length, bar, np.int32),
        "phrase_left": none,
        "last_phrase": none,
        "plan_key": np.full(length, 1, np.int32),
    }


def soprano(keys):
    """The highest key of each step and all above it."""
    sounding = keys[..., 0]
    return np.cumsum(sounding, axis=1) > 0


def fill(model, *pieces, **values):
    batch = {name: np.stack([p[name] for p in pieces]) for name in pieces[0]}
    return contracts.call_endpoint(model, "infill", batch, **values)


def check_kept(made, piece, row=0):
    keys = made["keys"][row]
    wanted, is_given = piece["keys"], piece["is_given"]
    np.testing.assert_array_equal(keys[..., 0] & is_given, wanted[..., 0] & is_given)
    sounding = wanted[..., 0] & is_given
    before = np.pad(sounding, [[1, 0], [0, 0]])[:-1]
    held = sounding & before
    np.testing.assert_array_equal(keys[..., 1] & held, wanted[..., 1] & held)


@pytest.fixture(scope="module")
def chords():
    return make_case("chords").model


def test_a_soprano_is_kept_and_nothing_sounds_above_it(chords):
    piece = given_chords(melody(), soprano(melody()))
    made = fill(chords, piece, particles=4, seed=1)
    check_kept(made, piece)
    assert not made["keys"][0][:, 63:].any()
    assert made["keys"][0][:, 40, 0].all()  # a voice below it, in all chords there are
    assert made["unmatched_steps"] == [0]
    assert made["num_steps"] == [LENGTH]
    assert not np.any(made["tokens"] == SPELLED_ID)
