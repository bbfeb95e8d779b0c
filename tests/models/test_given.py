"""Frames of which keys are given: these stay, and the others follow from them."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models import contracts
from tests.models.conftest import SPELLED_ID, make_case
from tfmusic.models.given import IS_GIVEN

LENGTH = 9
# Controls that leave probabilities as the model has learned them.
PLAIN = {"temperature": 1.0, "voice_leading": 0.0, "cadence": 0.0, "phrases": 0.0}


def melody(pitches=(62, 62, 64, 64, 64, 65, 62, 62, 60)):
    """What the chords of the case can have above their one bass note, 40."""
    keys = np.zeros([len(pitches), 128, 2], bool)
    keys[np.arange(len(pitches)), pitches, 0] = True
    keys[::3, :, 1] = keys[::3, :, 0]
    return keys


def given_chords(keys, is_given):
    length = len(keys)
    none = np.zeros(length, np.int32)
    return {
        "keys": keys,
        IS_GIVEN: is_given,
        "bar_position": np.arange(length, dtype=np.int32) % 6,
        "bar_length": np.full(length, 6, np.int32),
        "phrase_left": none,
        "last_phrase": none,
        "plan_key": np.full(length, 1, np.int32),
    }


def soprano(keys):
    """The highest key of each step, of one that sounds, and all above it."""
    return np.cumsum(keys[..., 0], axis=1) > 0


def fill(model, *pieces, call=contracts.call_endpoint, **values):
    batch = {name: np.stack([p[name] for p in pieces]) for name in pieces[0]}
    settings = {"particles": 4, "seed": 1, **values}
    return call(model, "infill", batch, **settings)


def fill_eagerly(model, *pieces, **values):
    """For a call or two, which tracing a graph would make slower."""
    return fill(model, *pieces, call=contracts.call_eagerly, **values)


def check_kept(keys, piece):
    wanted, is_given = piece["keys"], piece[IS_GIVEN]
    np.testing.assert_array_equal(keys[..., 0] & is_given, wanted[..., 0] & is_given)
    sounding = wanted[..., 0] & is_given
    held = sounding & np.pad(sounding, [[1, 0], [0, 0]])[:-1]
    np.testing.assert_array_equal(keys[..., 1] & held, wanted[..., 1] & held)


@pytest.fixture(scope="module")
def chords():
    return make_case("chords").model


@pytest.fixture(scope="module")
def tune():
    return given_chords(melody(), soprano(melody()))


def test_a_soprano_is_kept_and_nothing_sounds_above_it(chords, tune):
    made = fill(chords, tune)
    check_kept(made["keys"][0], tune)
    assert not made["keys"][0][:2, 63:].any()
    assert made["keys"][0][:, 40, 0].all()  # a voice below it, in all chords there are
    assert made["unmatched_steps"] == [0]
    assert made["num_steps"] == [LENGTH]
    assert not np.any(made["tokens"] == SPELLED_ID)
    np.testing.assert_array_equal(made["bar_position"][0], tune["bar_position"])


def test_a_given_bar_stays_with_chords_that_are_spelled_and_the_rest_is_new(chords):
    keys = melody()
    keys[4:6, [33, 70], 0] = True  # no chord of the vocabulary
    is_given = np.ones(keys.shape[:-1], bool)
    is_given[:3] = False
    piece = given_chords(keys, is_given)
    made = fill(chords, piece)
    check_kept(made["keys"][0], piece)
    assert np.all(made["tokens"][0, 4:6] == SPELLED_ID)
    assert made["unmatched_steps"] == [0]
    assert made["keys"][0, :3, 40, 0].any()


@pytest.mark.parametrize(
    ("pitch", "silent", "sounds"),
    [(90, None, [90]), (62, 40, [62])],
    ids=["no chord has the note", "all chords have a note besides that must not be"],
)
def test_steps_that_no_chord_agrees_with_are_counted(
    chords, tune, pitch, silent, sounds
):
    keys = melody((62, 62, pitch, pitch, 62, 62, 62, 62, 62))
    piece = given_chords(keys, soprano(keys))
    if silent:
        piece[IS_GIVEN][2:4, silent] = True
    made = fill(chords, tune, piece)
    check_kept(made["keys"][1], piece)
    assert made["unmatched_steps"].tolist() == [0, 2]
    for step in (2, 3):
        assert np.flatnonzero(made["keys"][1, step, :, 0]).tolist() == sounds
        assert made["tokens"][1, step] == SPELLED_ID


def test_pieces_do_not_hear_of_each_other_and_a_seed_says_what_comes(chords, tune):
    other = given_chords(melody((60, 60, 60, 71, 71, 71, 65, 65, 65)), tune[IS_GIVEN])
    first, again, beside = (
        fill(chords, tune, second) for second in (tune, tune, other)
    )
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        np.testing.assert_array_equal(array[0], beside[name][0])
    seeds = [fill(chords, tune, tune, seed=seed)["keys"] for seed in range(4)]
    assert any(np.any(keys != seeds[0]) for keys in seeds[1:])


def test_phrases_are_counted_back_from_the_last_chord(chords):
    keys = melody((62,) * 24)
    keys[:, :, 1] = False
    keys[[0, 20], 62, 1] = True
    piece = given_chords(keys, soprano(keys))
    made = fill(chords, piece, phrases=8.0, phrase_quarters=4.0)
    left, last = made["phrase_left"][0], made["last_phrase"][0]
    np.testing.assert_array_equal(left[4:13], [1, 8, 7, 6, 5, 4, 3, 2, 1])
    np.testing.assert_array_equal(left[18:], [3, 2, 1, 0, 0, 0])
    np.testing.assert_array_equal(last, [0] * 13 + [1] * 11)
    np.testing.assert_array_equal(made["plan_key"][0], 1)
    assert not fill(chords, piece, phrases=0.0)["phrase_left"].any()
    known = np.arange(24, 0, -1).astype(np.int32)
    made = fill(chords, {**piece, "phrase_left": known}, phrases=8.0)
    np.testing.assert_array_equal(made["phrase_left"][0], known)


def given_roll(case, is_given):
    """The beginning of a piece, of which some keys count; the others are noise."""
    piece = {name: array[:8] for name, array in case.pieces[0].items()}
    noise = np.random.default_rng(0).random(piece["roll"].shape) < 0.2
    piece["roll"] = np.where(is_given[..., np.newaxis], piece["roll"], noise)
    return {**piece, IS_GIVEN: is_given}


def test_a_hand_is_kept_and_the_other_is_new():
    case = make_case("two_hands")
    wanted = case.pieces[0]["roll"][:8]
    is_given = np.zeros(wanted.shape[:-1], bool)
    is_given[:, 0] = True
    piece = given_roll(case, is_given)
    # No guard may change what is given.
    made = fill_eagerly(case.model, piece, max_held=1.0, max_repeats=1.0)
    np.testing.assert_array_equal(made["roll"][0, :, 0], wanted[:, 0])
    assert made["roll"][0, :, 1].any()
    assert np.any(made["roll"][0, :, 1] != piece["roll"][:, 1])


def test_upper_notes_are_kept_and_the_lower_ones_are_new():
    case = make_case("biaxial")
    wanted = case.pieces[0]["roll"][:8]
    is_given = np.zeros(wanted.shape[:-1], bool)
    is_given[:, 5:] = True
    piece = given_roll(case, is_given)
    made = fill_eagerly(
        case.model, piece, max_held=1.0, max_repeats=1.0, conservativity=0.5
    )
    np.testing.assert_array_equal(made["roll"][0, :, 5:], wanted[:, 5:])
    assert made["roll"][0, :, :5, 0].any()
    assert np.any(made["roll"][0, :, :5] != piece["roll"][:, :5])
    np.testing.assert_array_equal(made["bar_position"][0], piece["bar_position"])


def begun(keys):
    """Keys that are struck wherever they begin to sound."""
    sounding = keys[..., 0]
    begins = sounding & ~np.pad(sounding, [[1, 0], [0, 0]])[:-1]
    return np.stack([sounding, keys[..., 1] | begins], axis=-1)


@pytest.mark.parametrize(
    "name",
    [
        "chords",
        *("two_hands_metre", "one_hand_reference", "seq2seq", "biaxial"),
    ],
)
def test_a_frame_that_is_given_weighs_as_much_as_it_is_likely(name):
    case = make_case(name)
    model, piece = case.model, dict(case.pieces[0])
    if name == "chords":  # what begins to sound is struck
        piece["keys"] = begun(piece["keys"])
    batch = {name: tf.constant(array[np.newaxis, :10]) for name, array in piece.items()}
    whole = piece["keys"][..., 0] if name == "chords" else piece["roll"][..., 0]
    given = {**batch, IS_GIVEN: tf.ones([1, 10, *whole.shape[1:]], tf.bool)}
    defaults = {control.name: control.default for control in model.CONTROLS}
    controls = {n: tf.constant(v) for n, v in {**defaults, **PLAIN}.items()}
    given = model.plan_given(given, controls)
    frame, state = model.begin(
        model.start_frame(1), model.initial_state(1, 10), controls, None
    )
    never = tf.constant([False])
    nats = []
    for step in range(10):
        now = {name: array[:, step] for name, array in given.items()}
        frame, state, told = model.next_given(
            frame, state, now, controls, tf.constant([1, step], tf.int64), never
        )
        nats.append(float(told.log_likelihood[0]))
        assert not told.is_unmatched[0]
    exact = contracts.call_eagerly(model, "score", batch, num_steps=[10])
    np.testing.assert_allclose(nats, exact["log_likelihood"][0], rtol=1e-3, atol=1e-3)
    if "end_log_likelihood" in exact:
        end = float(model.end_given(frame, state, controls)[0])
        np.testing.assert_allclose(end, exact["end_log_likelihood"][0], rtol=1e-3)
