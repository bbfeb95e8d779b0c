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


def given_roll(case, is_given):
    """A piece of a case, of which some keys count; the others are noise."""
    piece = dict(case.pieces[0])
    noise = np.random.default_rng(0).random(piece["roll"].shape) < 0.2
    piece["roll"] = np.where(is_given[..., np.newaxis], piece["roll"], noise)
    return {**piece, "is_given": is_given}


def test_a_hand_is_kept_and_the_other_is_new():
    case = make_case("two_hands")
    is_given = np.zeros(case.pieces[0]["roll"].shape[:-1], bool)
    is_given[:, 0] = True
    piece = given_roll(case, is_given)
    made = fill(case.model, piece, particles=4, seed=1, max_held=2.0)
    np.testing.assert_array_equal(made["roll"][0, :, 0], case.pieces[0]["roll"][:, 0])
    assert made["roll"][0, :, 1].any()
    assert np.any(made["roll"][0, :, 1] != piece["roll"][:, 1])
    other = fill(case.model, piece, particles=4, seed=2, max_held=2.0)
    assert np.any(other["roll"] != made["roll"])
