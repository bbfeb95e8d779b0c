"""The models that come with tfmusic."""

import functools
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import tfmusic
from pretrained.make import RECIPES
from tfmusic.config import load_config
from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence
from tfmusic.notes.measures import bars_in_words
from tfmusic.notes.writing import to_midi_bytes
from tfmusic.serving.catalogue import PLACES, find_model, read_packed_card
from tfmusic.serving.origins import find_origin
from tfmusic.serving.primers import read_primer

NAMES = sorted(path.stem for path in PLACES[0].glob("*.zip"))
MEGABYTES = 1e6
load = functools.cache(tfmusic.load_model)
# How often a run was listened to, and on how much of the validation split: no matter of
# what is learned. The cards have the number of warm-up steps that -1 stands for.
NOT_COMPARED = (
    ("train", "sample_every_epochs"),
    ("train", "eval_steps"),
    ("optimizer", "warmup_steps"),
)


def test_all_are_small_enough_for_the_wheel_and_can_be_made_again():
    assert NAMES == ["chorales", "folk", "harmony"]
    assert set(NAMES) <= RECIPES.keys()
    sizes = {name: pathlib.Path(find_model(name)).stat().st_size for name in NAMES}
    assert sizes["chorales"] + sizes["folk"] < 12 * MEGABYTES
    assert sum(sizes.values()) < 15 * MEGABYTES


@pytest.mark.parametrize("name", NAMES)
def test_card_says_what_a_user_has_to_know(name):
    card = read_packed_card(find_model(name))
    assert card["data"]["source"] == RECIPES[name].source
    assert "public domain" in card["data"]["licence"]
    scores = card["scores"]["test"]
    assert scores["log_likelihood_per_step"] < 0
    copied = scores["music"]["generated"]["summary"]
    assert any(label.startswith("in copied passages") for label in copied)


@pytest.mark.parametrize("name", RECIPES)
def test_config_is_the_one_that_the_model_was_made_with(name):
    made_with = read_packed_card(find_model(name))["config"]
    config = json.loads(json.dumps(load_config(RECIPES[name].config).to_dict()))
    for section in ("data", "model", "optimizer", "representation", "train"):
        for field, value in made_with[section].items():
            if (section, field) not in NOT_COMPARED:
                assert (field, config[section][field]) == (field, value)


@pytest.mark.parametrize("name", NAMES)
def test_networks_of_today_judge_music_as_the_graphs_of_the_files_do(name):
    player = load(name)
    (piece,) = player.generate(1, bars=3, seed=2)
    features = read_primer(player.card, player.representation, piece).prompt
    num_steps = [len(array) for array in features.values()][:1]
    specs = player.card["endpoints"]["score"]["inputs"]
    inputs = {
        feature: tf.constant(array[np.newaxis], specs[feature]["dtype"])
        for feature, array in features.items()
    }
    model = find_origin(name).model
    scores = model.score(inputs, tf.constant(num_steps))
    expected = player.score(piece)
    assert len(expected) > 20
    np.testing.assert_allclose(scores["log_likelihood"][0], expected, atol=1e-3)
    for kind, controls in (
        ("controls", model.CONTROLS),
        ("search_controls", model.SEARCH_CONTROLS),
        ("infill_controls", model.INFILL_CONTROLS),
    ):
        today = {control.name: control for control in controls}
        for control, spec in player.card[kind].items():
            for bound in ("default", "minimum", "maximum"):
                assert getattr(today[control], bound) == spec[bound], (control, bound)


def test_the_piano_of_the_clone_plays_and_names_its_licence():
    path = find_model("piano")
    card = read_packed_card(path)
    assert "CC BY-SA 3.0 DE" in card["data"]["licence"]
    assert pathlib.Path(path).stat().st_size < 20 * MEGABYTES
    (piece,) = load("piano").generate(seed=1, bars=4, metre="3/4", key="Am")
    assert {(s.numerator, s.denominator) for s in piece.time_signatures} == {(3, 4)}
    assert len({note.velocity for note in piece.notes}) > 1


def test_chorales_have_voices_a_beat_and_an_end():
    (piece,) = load("chorales").generate(
        num_steps=256, seed=1, controls={"pickup_quarters": 1}
    )
    starts = sorted({note.start_time for note in piece.notes})
    at_once = [
        sum(note.start_time == start for note in piece.notes) for start in starts
    ]
    # Some of Bach's chords have five keys.
    assert max(at_once) in (4, 5)
    assert sum(number > 4 for number in at_once) <= len(at_once) / 50
    # At 100 quarters a minute an eighth takes 0.3 s; the piece ends before its limit.
    assert all(abs(start / 0.3 - round(start / 0.3)) < 1e-6 for start in starts)
    assert 10 < piece.total_time < 256 * 0.3
    metres = [(s.numerator, s.denominator) for s in piece.time_signatures]
    assert metres == [(1, 4), (4, 4)] or metres == [(4, 4)]


def test_a_melody_gets_three_voices_and_stays_as_it_is():
    tune = NoteSequence()
    tune.tempos.add(qpm=60)
    for i, pitch in enumerate((67, 69, 71, 72, 74, 72, 71, 69, 67, 67)):
        tune.notes.add(pitch=pitch, velocity=80, start_time=i, end_time=i + 1)
    tune.total_time = 10.0
    (piece,) = load("harmony").infill(
        tune, keep=("soprano",), seed=1, controls={"gibbs_steps": 16}
    )
    at_once = [
        sum(n.start_time <= t + 0.5 < n.end_time for n in piece.notes)
        for t in range(10)
    ]
    assert min(at_once) >= 3 and max(at_once) == 4
    top = [max(n.pitch for n in piece.notes if n.start_time == i) for i in range(10)]
    assert top == [n.pitch for n in tune.notes]


def test_tunes_keep_to_the_metre_and_key_that_are_asked_for():
    (piece,) = load("folk").generate(num_steps=200, seed=1, metre="6/8", key="D")
    assert (6, 8) in [(s.numerator, s.denominator) for s in piece.time_signatures]
    in_scale = [note.pitch % 12 in {2, 4, 6, 7, 9, 11, 1} for note in piece.notes]
    assert sum(in_scale) > 0.8 * len(in_scale)
    assert len(in_scale) > 30


@pytest.mark.parametrize(
    ("model", "controls", "words"),
    [
        ("folk", {}, "4 bars of 2/2"),  # which this model chooses by itself
        ("folk", {"metre": "3/4"}, "4 bars of 3/4"),
        ("chorales", {"metre": "2/4"}, "4 bars of 2/4"),
        ("chorales", {"bar_quarters": 2, "pickup_quarters": 1}, "4 bars of 2/4"),
        ("harmony", {"metre": "2/4", "gibbs_steps": 4}, "4 bars of 2/4"),
    ],
)
def test_as_many_bars_come_as_are_asked_for(model, controls, words):
    (piece,) = load(model).generate(bars=4, controls=controls)
    assert bars_in_words(piece) == words
    metre = piece.time_signatures[-1]
    seconds = 4 * metre.numerator / metre.denominator * 60 / piece.tempos[0].qpm
    assert piece.total_time == pytest.approx(4 * seconds, abs=0.01)


@pytest.mark.parametrize("metre", ["3/16", "99/4"])
def test_a_metre_that_the_model_cannot_count_is_refused(metre):
    with pytest.raises(UserError, match="metre: expected bars of 0.25 to 16 quarter"):
        load("chorales").generate(bars=1, metre=metre)


@pytest.mark.parametrize(
    ("controls", "words"),
    [
        ({"tag": "jigg"}, "tag: unknown 'jigg' .did you mean 'jig'.*reel"),
        ({"temp": 1}, "did you mean 'temperature'"),
        ({"tmpo": 90}, "did you mean 'qpm'"),
        ({"metr": "3/4"}, "did you mean 'metre'.*bars, key, metre, .*seed"),
        ({"bars": "many"}, "bars: expected a number, got 'many'"),
        ({"qpm": 5}, "qpm: expected 10 to 1000"),
    ],
)
def test_a_misspelt_wish_is_answered_with_what_it_may_mean(controls, words):
    with pytest.raises(UserError, match=words):
        load("folk").generate(controls=controls)


def test_a_kind_of_tune_is_asked_for_by_its_name():
    tunes = [
        load("folk").generate(num_steps=60, controls={"tag": tag})
        for tag in ("Slip jig", 10, "reel")
    ]
    first, same, other = (to_midi_bytes(tune) for (tune,) in tunes)
    assert first == same != other
