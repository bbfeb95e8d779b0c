import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models import contracts
from tests.models.chord_frames import FIRST, chord, piece_of, score, shaken
from tests.models.conftest import REST_ID, SPELLED_ID, chords_with_keys, make_case
from tfmusic.errors import UserError
from tfmusic.models import make_model
from tfmusic.representations import make_representation
from tfmusic.representations.vocabulary import END, PAD


@pytest.fixture(scope="module")
def model():
    return shaken(make_case("chords").model)


def test_spelled_chords_are_heard_and_never_made(model):
    keys = [chord(40, 60), chord(33, 70), chord(40, 60)]
    other = [keys[0], chord(34, 71), keys[2]]
    tokens = [FIRST, SPELLED_ID, FIRST]
    made = score(model, piece_of(tokens, keys), piece_of(tokens, other))
    assert made["log_likelihood"][0, 2] != made["log_likelihood"][1, 2]
    drawn = contracts.call_endpoint(
        model, "generate", num_outputs=20, num_steps=30, seed=0, temperature=5.0
    )
    assert not np.any(drawn["tokens"] == SPELLED_ID)


def test_made_frames_decode_to_what_they_say(model):
    made = contracts.call_endpoint(
        model, "generate", num_outputs=4, num_steps=30, seed=1, temperature=2.0
    )
    pitches = model.representation.token_pitches()
    inside = np.arange(30) < made["num_steps"][:, np.newaxis]
    np.testing.assert_array_equal(
        made["keys"][inside][..., 0], pitches[made["tokens"][inside]]
    )
    sounding, struck = made["keys"][..., 0], made["keys"][..., 1]
    new = sounding[:, 1:] & ~sounding[:, :-1]
    assert np.all(struck[:, 1:][new & inside[:, 1:, None]])
    restruck = struck[:, 1:] & sounding[:, :-1] & inside[:, 1:, None]
    assert restruck.any()
    features = {n: made[n][0][inside[0]] for n in model.representation.feature_specs}
    while not features["keys"][-1, :, 0].any():  # what is encoded ends with a chord
        features = {name: array[:-1] for name, array in features.items()}
    again = model.representation.encode(model.representation.decode(features))
    np.testing.assert_array_equal(again["keys"], features["keys"])
    np.testing.assert_array_equal(again["tokens"], features["tokens"])


def planned(model, **controls):
    settings = dict(
        num_outputs=12, num_steps=80, seed=2, min_steps=1e6, max_repeats=0.0
    )
    return contracts.call_endpoint(model, "generate", **settings | controls)


@pytest.mark.parametrize(
    ("bar", "pickup", "phrase", "held"),
    [
        (4, 0, 8, 2),  # on the third beat
        (4, 1, 8, 1),
        (4, 2, 8, 2),  # on the first
        (4, 0.5, 8, 1.5),
        (4, 1.5, 8, 2.5),  # half a quarter would be too short
        (3, 0, 6, 3),
        (3, 1, 6, 2),
        (2, 1, 8, 1),
        (4, 0, 2, 1.5),  # of so short a phrase
    ],
)
def test_new_phrases_end_on_strong_beats(model, bar, pickup, phrase, held):
    settings = dict(bar_quarters=bar, pickup_quarters=pickup, phrase_quarters=phrase)
    made = planned(model, phrases=2, **settings)
    steps, first = 2 * phrase, int(2 * (phrase - held)) + 1
    left = [*range(first, 0, -1), *range(steps, 0, -1)]
    left += [0] * (80 - len(left))
    np.testing.assert_array_equal(made["phrase_left"][0], left)
    last = [0] * first + [1] * (80 - first)
    np.testing.assert_array_equal(made["last_phrase"][0], last)


def test_new_pieces_without_phrases_have_no_plan(model):
    free = planned(model, phrases=0)
    assert not free["phrase_left"].any()
    assert not free["last_phrase"].any()


def test_new_pieces_have_a_home_key():
    model = make_case("chords").model

    def keys(**controls):
        return planned(model, num_outputs=300, num_steps=8, **controls)["plan_key"]

    assert np.all(keys(home_key=20) == 20)
    drawn = keys()
    assert np.all(drawn == drawn[:, :1])
    assert set(drawn[:, 0]) == set(range(1, 25))  # none has been counted


def test_home_keys_are_drawn_as_often_as_in_training():
    counts = {"40.60": 1, "home key 1": 30, "home key 8": 10, "home key 22": 60}
    representation = make_representation(
        {"name": "chord_frames", "keys": True, "metre": True, "plan": True}
    ).fit_counts(counts)
    config = {"name": "chord_lstm", "input_encoding": "pitches"}
    model = make_model(representation, config | {"embedding_size": 8, "units": (8,)})
    model.build_model()

    def keys(**controls):
        made = planned(model, num_outputs=1000, num_steps=2, **controls)
        return np.bincount(made["plan_key"][:, 0], minlength=25)

    drawn = keys()
    np.testing.assert_allclose(drawn[[1, 8, 22]], [300, 100, 600], atol=50)
    assert drawn.sum() == drawn[[1, 8, 22]].sum()
    assert keys(home_key=8)[8] == 1000
    # D major and E minor were not learned.
    assert keys(home_key=3)[1] == 1000
    assert keys(home_key=17)[22] == 1000
    controls = {c.name: c.default for c in model.SEARCH_CONTROLS}
    found = contracts.call_endpoint(
        model, "search", beam_width=1, num_steps=4, **controls
    )
    assert np.all(found["plan_key"] == 22)


def test_the_home_key_is_heard():
    model = make_case("chords").model
    keys = [chord(40, 60)] * 4
    made = score(
        model,
        piece_of([FIRST] * 4, keys, home_key=1),
        piece_of([FIRST] * 4, keys, home_key=22),
    )
    assert np.all(made["log_likelihood"][0] != made["log_likelihood"][1])
    free = made["free_log_likelihood"]
    np.testing.assert_array_equal(*free)


def test_a_cadence_leads_home_where_the_last_fermata_stands(model):
    # E minor: "40.67" or, in major, "40.68"; its dominant is not among the chords.
    home = [SPELLED_ID + 1 + n for n in (7, 8)]
    settings = dict(phrases=2, phrase_quarters=4, home_key=17, temperature=2.0)
    made = planned(model, cadence=1e6, **settings)["tokens"]
    assert np.all(np.isin(made[:, 12], home))
    free = planned(model, cadence=0.0, **settings)["tokens"]
    assert not np.all(np.isin(free[:, 12], home))
    settings |= {"home_key": 22}  # A minor, whose dominant is "40.68"
    dominant = planned(model, cadence=1e6, **settings)["tokens"]
    assert np.all(dominant[:, 10:12] == home[1])
    # Neither before nor without a plan.
    np.testing.assert_array_equal(made[:, :12], free[:, :12])
    settings |= {"phrases": 0, "phrase_quarters": 8}
    np.testing.assert_array_equal(
        planned(model, cadence=1e6, **settings)["tokens"],
        planned(model, cadence=0.0, **settings)["tokens"],
    )


def test_the_last_chord_is_held_until_the_piece_ends(model):
    made = planned(model, phrases=2, phrase_quarters=4, temperature=2.0)
    # The last fermata stands at step 12; rests may not be last and go on.
    held = made["tokens"][made["tokens"][:, 12] > SPELLED_ID][:, 12:]
    assert len(held) > 5
    assert np.all(held == held[:, :1])
    made = planned(
        model, phrases=2, phrase_quarters=4, temperature=2.0, min_steps=0, max_repeats=3
    )
    assert np.all(made["num_steps"] >= 13)  # none ends before its last fermata
    sizes = made["num_steps"][made["tokens"][:, 12] > SPELLED_ID]
    assert np.all(sizes <= 16)


def test_stollen_are_played_twice(model):
    sure = planned(model, phrases=4, phrase_quarters=4, stollen=1)
    for name in ("tokens", "keys"):
        np.testing.assert_array_equal(sure[name][:, 16:32], sure[name][:, :16])
    assert np.all(np.any(sure["tokens"][:, 32:48] != sure["tokens"][:, :16], axis=1))

    def count(**controls):
        made = planned(model, phrase_quarters=4, **controls)["tokens"]
        return np.sum(np.all(made[:, 16:32] == made[:, :16], axis=1))

    assert count(phrases=4, stollen=0) == 0
    assert 0 < count(phrases=4, stollen=0.5) < 12
    assert count(phrases=3, stollen=1) == 0
    assert count(phrases=0, stollen=1) == 0


def test_prompts_keep_their_phrase_and_plan_no_other(model):
    keys = [chord(40, 60)] * 3
    for last, after in ((0, 0), (1, 1)):
        piece = piece_of([FIRST] * 3, keys, left=[5, 4, 3], last=[last] * 3)
        prompt = {name: array[np.newaxis] for name, array in piece.items()}
        made = contracts.call_endpoint(
            model, "continue", prompt, num_steps=4, seed=0, min_steps=9.0
        )
        assert made["phrase_left"][0].tolist() == [2, 1, 0, 0]
        assert made["last_phrase"][0].tolist() == [last, last, after, after]


def test_the_plan_counts_where_it_is_known(model):
    keys = [chord(40, 60)] * 4
    made = score(
        model,
        piece_of([FIRST] * 4, keys, left=[4, 3, 2, 1], last=[1] * 4),
        piece_of([FIRST] * 4, keys),
    )
    known, free = made["log_likelihood"]
    assert np.all(known != free)
    np.testing.assert_allclose(made["free_log_likelihood"], [free, free], rtol=1e-5)


def test_plans_are_hidden_in_a_fraction_of_windows():
    model = make_case("chords").model
    piece = piece_of(
        [FIRST] * 6, [chord(40, 60)] * 6, [6, 5, 4, 3, 2, 1], [1] * 6, home_key=9
    )
    window = contracts.cut_window(piece, -1, 7)
    seeds = np.random.default_rng(0).integers(-(2**31), 2**31, (100, 2))
    shown = shown_keys = 0
    for seed in seeds:
        x, _, _ = model.example_fn(window, tf.constant(seed, tf.int32))
        shown_keys += np.all(x["plan_key"] == 9)
        if x["phrase_left"].numpy().any():
            shown += 1
            assert x["phrase_left"].numpy().tolist() == [6, 5, 4, 3, 2, 1, 0]
            assert x["last_phrase"].numpy().tolist() == [1] * 7
        else:
            assert not x["last_phrase"].numpy().any()
    assert 35 < shown < 65
    assert 62 < shown_keys < 88


def test_voice_leading_steers_away_from_parallels():
    names = {"48.55.64.72": 1, "50.57.65.74": 1, "47.55.62.74": 1}
    representation = make_representation({"name": "chord_frames", "keys": True})
    keras.utils.set_random_seed(0)
    model = make_model(
        representation.fit_counts(names),
        {
            "name": "chord_lstm",
            "input_encoding": "pitches",
            "embedding_size": 8,
            "units": (8,),
        },
    )
    model.build_model()
    c, d = (model.representation.vocabulary.id_of(n) for n in list(names)[:2])

    def follows(strength):
        made = contracts.call_endpoint(
            model,
            "generate",
            num_outputs=20,
            num_steps=40,
            seed=0,
            min_steps=1e6,
            voice_leading=strength,
        )["tokens"]
        return np.sum((made[:, :-1] == c) & (made[:, 1:] == d))

    often = follows(0.0)
    assert often > 20
    assert 0 < follows(0.4) < 0.8 * often
    assert follows(1e6) == 0


@pytest.fixture(scope="module")
def beams(model):
    piece = make_case("chords").pieces[0]
    prompt = {name: array[np.newaxis, :6] for name, array in piece.items()}
    controls = {c.name: c.default for c in model.SEARCH_CONTROLS}
    made = contracts.call_endpoint(
        model,
        "continue_search",
        prompt,
        beam_width=4,
        num_steps=10,
        **controls | {"min_steps": 0.0},
    )
    return prompt, made


def test_searches_strike_keys_and_score_as_the_score_endpoint(model, beams):
    prompt, made = beams
    for i, size in enumerate(made["num_steps"][0]):
        whole = {
            name: np.concatenate([array, made[name][:, i, :size]], axis=1)
            for name, array in prompt.items()
        }
        scores = contracts.call_endpoint(model, "score", whole, num_steps=[6 + size])
        expected = scores["log_likelihood"][0, 6:].sum()
        if size < 10:
            expected += scores["end_log_likelihood"][0]
        np.testing.assert_allclose(made["log_likelihood"][0, i], expected, atol=1e-3)
        keys = whole["keys"][0]
        shared = keys[1:, :, 0] & keys[:-1, :, 0]
        for other in range(6, len(keys)):
            # Turning over any restrike makes the music less likely there.
            if not shared[other - 1].any():
                continue
            pitch = np.flatnonzero(shared[other - 1])[0]
            changed = whole["keys"].copy()
            changed[0, other, pitch, 1] ^= True
            less = contracts.call_endpoint(
                model, "score", {**whole, "keys": changed}, num_steps=[6 + size]
            )
            name = "restrike_log_likelihood"
            assert less[name][0, other] != scores[name][0, other]


def test_searches_from_nothing_follow_the_plan(model):
    controls = {c.name: c.default for c in model.SEARCH_CONTROLS}
    made = contracts.call_endpoint(
        model, "search", beam_width=2, num_steps=12, **controls | {"phrases": 1.0}
    )
    assert made["keys"].shape == (1, 2, 12, 128, 2)
    assert made["phrase_left"][0, 1].tolist() == list(range(13, 1, -1))
    is_token = made["tokens"] > END
    assert np.all(made["keys"][..., 0].any(axis=-1) == (made["tokens"] > REST_ID))
    assert np.all(made["tokens"][~is_token] == PAD)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input_encoding": "embedding"}, "input_encoding"),
        ({"name": "token_lstm"}, "chord_lstm"),
    ],
)
def test_what_cannot_hold_keys_is_a_users_error(settings, message):
    config = {"name": "chord_lstm", "input_encoding": "pitches", "units": (8,)}
    with pytest.raises(UserError, match=message):
        make_model(chords_with_keys(), config | settings)


def test_frames_without_keys_are_a_users_error():
    plain = make_representation({"name": "chord_frames"}).fit_counts({"60": 1})
    with pytest.raises(UserError, match="keys: expected True"):
        make_model(plain, {"name": "chord_lstm", "input_encoding": "pitches"})
