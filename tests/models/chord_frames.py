"""Frames of chords for tests, and a small model of them."""

import numpy as np

from tests.models import contracts
from tests.models.conftest import SPELLED_ID

# "40.60" is the first chord of the vocabulary, and the one after it "40.61".
FIRST, SECOND = SPELLED_ID + 1, SPELLED_ID + 2


def chord(*pitches, struck=()):
    """Keys of a frame."""
    keys = np.zeros([128, 2], bool)
    keys[list(pitches), 0] = True
    keys[list(struck), 1] = True
    return keys


def piece_of(tokens, keys, left=None, last=None, home_key=0):
    size = len(tokens)
    none = np.zeros(size, np.int32)
    return {
        "tokens": np.array(tokens, np.int32),
        "keys": np.stack(keys),
        "bar_position": np.arange(size, dtype=np.int32) % 8,
        "bar_length": np.full(size, 8, np.int32),
        "phrase_left": none if left is None else np.array(left, np.int32),
        "last_phrase": none if last is None else np.array(last, np.int32),
        "plan_key": np.full(size, home_key, np.int32),
    }


def score(model, *pieces):
    batch = {name: np.stack([p[name] for p in pieces]) for name in pieces[0]}
    sizes = [len(piece["tokens"]) for piece in pieces]
    return contracts.call_endpoint(model, "score", batch, num_steps=sizes)


def shaken(model):
    """The model with weights in its chains, which are zeros at first."""
    random = np.random.default_rng(0)
    intervals = model.spelling.intervals
    for weights in (model.restrikes.chain, intervals.kernel, intervals.bias):
        weights.assign(random.normal(size=weights.shape))
    return model
