"""The models that come with tfmusic."""

import pathlib

import pytest

import tfmusic
from pretrained.make import RECIPES
from tfmusic.notes import NoteSequence
from tfmusic.serving.catalogue import PLACES, find_model, read_packed_card

NAMES = sorted(path.stem for path in PLACES[0].glob("*.zip"))
MEGABYTES = 1e6


def test_all_are_small_enough_for_the_wheel_and_can_be_made_again():
    assert NAMES == ["chorales", "folk", "harmony"]
    assert set(NAMES) <= RECIPES.keys()
    sizes = [pathlib.Path(find_model(name)).stat().st_size for name in NAMES]
    assert sum(sizes) < 12 * MEGABYTES


@pytest.mark.parametrize("name", NAMES)
def test_card_says_what_a_user_has_to_know(name):
    card = read_packed_card(find_model(name))
    assert card["data"]["source"] == RECIPES[name].source
    assert "public domain" in card["data"]["licence"]
    scores = card["scores"]["test"]
    assert scores["log_likelihood_per_step"] < 0
    copied = scores["music"]["generated"]["summary"]
    assert any(label.startswith("in copied passages") for label in copied)


def test_chorales_have_voices_a_beat_and_an_end():
    (piece,) = tfmusic.load_model("chorales").generate(
        num_steps=256, seed=1, controls={"pickup_quarters": 1}
    )
    starts = sorted({note.start_time for note in piece.notes})
    at_once = [
        sum(note.start_time == start for note in piece.notes) for start in starts
    ]
    assert max(at_once) == 4
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
    (piece,) = tfmusic.load_model("harmony").infill(
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
    (piece,) = tfmusic.load_model("folk").generate(
        num_steps=200, seed=1, metre="6/8", key="D"
    )
    assert (6, 8) in [(s.numerator, s.denominator) for s in piece.time_signatures]
    in_scale = [note.pitch % 12 in {2, 4, 6, 7, 9, 11, 1} for note in piece.notes]
    assert sum(in_scale) > 0.8 * len(in_scale)
    assert len(in_scale) > 30
