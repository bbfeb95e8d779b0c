"""Chains of single keys give the rates of the music, and networks begin from them."""

import numpy as np
import pytest
import tensorflow as tf

from tfmusic.models import make_model
from tfmusic.models.key_chains import KeyChains
from tfmusic.models.roll_frames import RollFrames
from tfmusic.representations import make_representation

CHANCES = (0.1, 0.7)  # of sounding, after silence and after sounding
RESTRIKE = 0.25  # of an onset, where a sounding key sounds on
KEY = 40

REPRESENTATIONS = [
    {"name": "two_hands_roll"},
    {"name": "binary_roll", "onsets": False},
    {"name": "start_sustain"},
]


def chained_roll(frames: RollFrames) -> np.ndarray:
    """4,000 steps in which one key of the last hand is a Markov chain."""
    random = np.random.default_rng(0)
    music = np.zeros([4000, frames.num_hands, frames.num_keys, 2], bool)
    sounds = False
    for t, (draw, restrike) in enumerate(random.random((4000, 2))):
        sounded, sounds = sounds, draw < CHANCES[int(sounds)]
        onset = sounds and (not sounded or restrike < RESTRIKE)
        music[t, -1, KEY] = sounds, onset
    return np.array(frames.to_roll(music[..., : frames.num_channels]))


@pytest.mark.parametrize("config", REPRESENTATIONS, ids=lambda config: config["name"])
def test_chains_are_the_rates_of_each_key(config):
    frames = RollFrames(make_representation(config))
    roll = chained_roll(frames)
    chains = KeyChains(frames)
    chains.adapt(tf.data.Dataset.from_tensors({"roll": roll}))
    before = frames.from_roll(roll)
    log_odds = frames.log_odds(chains(before), before).numpy()
    sounded = before.numpy()[:, -1, KEY, 0]
    of_key = log_odds[:, -1, KEY]
    for value, chance in zip((~sounded, sounded), CHANCES, strict=True):
        expected = np.log(chance / (1 - chance))
        np.testing.assert_allclose(of_key[value, 0], expected, atol=0.15)
    if frames.num_channels == 2:
        expected = np.log(RESTRIKE / (1 - RESTRIKE))
        np.testing.assert_allclose(of_key[sounded, 1], expected, atol=0.2)
    # A key that never sounds costs next to nothing, but it may sound.
    silent = log_odds[:, 0, KEY + 1, 0]
    assert np.all((silent < -8.0) & (silent > -20.0))


@pytest.mark.parametrize(
    ("name", "representation"),
    [
        ("roll_lstm", {"name": "two_hands_roll"}),
        ("next_frame_lstm", {"name": "start_sustain"}),
        ("frame_seq2seq", {"name": "start_sustain"}),
    ],
)
def test_networks_begin_from_their_chains(name, representation):
    representation = make_representation(representation)
    roll = chained_roll(RollFrames(representation))
    model = make_model(
        representation, {"name": name, "units": (8,), "key_chains": True}
    )
    model.build_model()
    model.adapt(tf.data.Dataset.from_tensors({"roll": roll}))
    likelihood = model.score({"roll": roll[np.newaxis]}, tf.constant([4000]))
    nats = -likelihood["log_likelihood"].numpy().mean()
    # What that one key costs by its own chain; the other keys of an untrained network
    # without chains would cost 0.7 nats each.
    share = CHANCES[0] / (CHANCES[0] + 1 - CHANCES[1])
    entropy = [-p * np.log(p) - (1 - p) * np.log(1 - p) for p in (*CHANCES, RESTRIKE)]
    expected = (1 - share) * entropy[0] + share * (entropy[1] + 0.7 * entropy[2])
    assert nats == pytest.approx(expected, rel=0.2)
