"""Bars and notes that are given stay, and what is between follows from all of them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models import contracts
from tests.models.conftest import make_case
from tfmusic.generation.bar_given import GivenMusic
from tfmusic.generation.bar_masks import Agreement, begin
from tfmusic.models import bar_given, make_model
from tfmusic.models.bar_given import HIGHEST, LOWEST, VOICES
from tfmusic.representations import make_representation

# Controls that leave probabilities as the model has learned them.
PLAIN = {"temperature": 1.0, "min_p": 0.0, "cadence_of_bars": 0.0}
VOICE = np.arange(129) == 0


@pytest.fixture(scope="module")
def model():
    """One that is sure of itself, so that what comes says much of what was."""
    return sure(make_case("tokens_bars").model)


@pytest.fixture(scope="module", params=["token_lstm", "token_transformer"])
def any_model(request, model):
    """The same with either network."""
    if request.param == "token_lstm":
        return model
    keras.utils.set_random_seed(0)
    sizes = dict(num_layers=2, num_heads=2, hidden_size=16, feed_forward_size=32)
    settings = dict(name=request.param, embedding_size=16, context_steps=12, **sizes)
    made = make_model(model.representation, {**settings, "dropout": 0.0})
    made.build_model()
    return sure(made, place=6.5, note=6.0)


def sure(model, place=4.5, note=5.0):
    for weight in model.trainable_variables:
        weight.assign(weight * 1.5)
    bias = np.zeros(model.vocabulary_size, np.float32)
    for name, value in {"position12": place, "n61": note}.items():
        bias[model.representation.vocabulary.tokens.index(name)] = value
    model.output_layer.bias.assign(bias)
    return model


def piece_of(model, text, key=1):
    tokens = [model.representation.vocabulary.tokens.index(n) for n in text.split()]
    begun = model.representation.bars_begun()[tokens]
    left = begun.sum() + 1 - np.cumsum(begun) + begun
    return {
        "tokens": np.array(tokens, np.int32),
        "plan_key": np.full(len(tokens), key, np.int32),
        "bars_left": left.astype(np.int32),
    }


def names_of(model, tokens):
    return " ".join(model.representation.vocabulary.tokens[t] for t in tokens if t)


def opened(piece, steps, length, lowest=0, highest=127):
    """A piece into which notes may be written at some steps."""
    is_open = np.isin(np.arange(length), steps)
    return {
        **piece,
        LOWEST: np.where(is_open, lowest, 128).astype(np.int32),
        HIGHEST: np.where(is_open, highest, -1).astype(np.int32),
        VOICES: VOICE,
    }


def fill(model, piece, number=1, **values):
    rows = {name: np.repeat(a[np.newaxis], number, axis=0) for name, a in piece.items()}
    settings = {"particles": 4, "seed": 1, **values}
    return contracts.call_endpoint(model, "infill", rows, **settings)


FIRST = "tag0 density0 bar3/4 duration12 n60 position12 n62 position24 n64"
TUNE = f"{FIRST} bar3/4 n65 position24 duration6 n67 bar3/4 n72 bar3/4 bar3/4 n60"


@pytest.mark.slow
def test_what_is_given_weighs_as_much_as_it_is_likely(model):
    piece = piece_of(model, TUNE)
    tokens = tf.constant(piece["tokens"][np.newaxis])
    none = tf.zeros([1, 4], tf.int32)
    music = GivenMusic(tokens, none + 1, none, tf.constant(VOICE[np.newaxis]), 9)
    controls = {c.name: tf.constant(c.default) for c in model.CONTROLS}
    controls |= {name: tf.constant(value) for name, value in PLAIN.items()}
    given = {name: tf.constant(array[np.newaxis]) for name, array in piece.items()}
    state = model.prime({n: a[:, :2] for n, a in given.items()}, 50)[1]
    state = bar_given._with_length(state, given, tf.constant(2))
    token, place = tokens[:, 1], begin(music, tf.constant(2))
    agreement, found, nats = Agreement(music, 1), [], []
    while not place.is_done[0]:
        token, state, place, log_p = bar_given._next(
            *(model, agreement, token, state, place, controls),
            tf.constant([1, len(nats)], tf.int64),
        )
        found.append(int(token[0]))
        nats.append(float(log_p[0]))
    np.testing.assert_array_equal(found[:-1], piece["tokens"][2:])
    exact = contracts.call_eagerly(model, "score", given, num_steps=[len(nats) + 1])
    wanted = [*exact["log_likelihood"][0, 2:], exact["end_log_likelihood"][0]]
    np.testing.assert_allclose(nats, wanted, rtol=1e-3, atol=1e-3)


def exact_posterior(model, texts):
    """How likely each of some pieces is among them, by the scores of the model."""
    pieces = [piece_of(model, text) for text in texts]
    size = max(len(p["tokens"]) for p in pieces)
    batch = {
        name: np.stack([np.pad(p[name], (0, size - len(p["tokens"]))) for p in pieces])
        for name in pieces[0]
    }
    lengths = [len(p["tokens"]) for p in pieces]
    scores = contracts.call_endpoint(model, "score", batch, num_steps=lengths)
    nats = scores["log_likelihood"].sum(axis=1) + scores["end_log_likelihood"]
    exact = np.exp(nats - nats.max())
    return dict(zip(texts, exact / exact.sum(), strict=True))


@pytest.mark.slow
def test_many_particles_come_near_the_exact_posterior(any_model):
    """One note may be written or not, of any length, before others that are given."""
    number, model = 120, any_model
    piece = opened(piece_of(model, TUNE), [48], 49, lowest=61, highest=61)
    before, after = TUNE.split(" position24 duration6 n67")
    after = f"position24 duration6 n67{after}"
    texts = [TUNE]
    for name in model.representation.vocabulary.tokens:
        if name.startswith("duration"):
            said = "" if name == "duration12" else f" {name}"
            rest = after.replace("duration6 ", "") if name == "duration6" else after
            texts.append(f"{before} position12{said} n61 {rest}")
    exact = exact_posterior(model, texts)

    def fraction(particles):
        """Of pieces without the note."""
        made = fill(model, piece, number, particles=particles, **PLAIN)
        names = [names_of(model, tokens) for tokens in made["tokens"]]
        assert set(names) <= set(texts)
        return names.count(TUNE) / number

    assert 0.6 < exact[TUNE] < 0.9
    assert abs(fraction(1) - exact[TUNE]) > 0.15
    assert abs(fraction(16) - exact[TUNE]) < 0.1


def test_nothing_is_written_but_where_it_is_open_and_the_seed_says_what(any_model):
    model = any_model
    piece = opened(piece_of(model, TUNE), range(36, 72), 72, lowest=50, highest=61)
    made = fill(model, piece, 8, particles=2, temperature=2.0)
    kind = model.representation
    given = note_places(kind, piece["tokens"])
    new = set()
    for tokens, length in zip(made["tokens"], made["num_steps"], strict=True):
        found = note_places(kind, tokens[:length])
        assert given <= found
        new |= found - given
    assert new
    assert all(36 <= start < 72 and 50 <= pitch <= 61 for start, pitch, _ in new)
    again = fill(model, piece, 8, particles=2, temperature=2.0)
    np.testing.assert_array_equal(made["tokens"], again["tokens"])
    np.testing.assert_array_equal(made["bars_left"][:, 0], piece["bars_left"][0])


def test_gaps_hear_the_plan_as_strongly_as_they_are_asked_to(model):
    piece = opened(piece_of(model, TUNE), range(12, 96), 180)

    def made(guidance):
        return fill(model, piece, 20, guidance=guidance)["tokens"]

    plain, strong = made(1.0), made(6.0)
    assert plain.shape != strong.shape or np.any(plain != strong)


def note_places(kind, tokens):
    notes = kind.parse(np.asarray(tokens), 0).notes
    columns = notes.starts, notes.pitches, notes.ends
    return set(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_instruments_and_drums_stay_in_their_order(seed):
    keras.utils.set_random_seed(seed)
    kind = make_representation({"name": "bar_events"})
    settings = {"name": "token_lstm", "embedding_size": 8, "units": (8,)}
    model = make_model(kind, settings)
    model.build_model()
    text = (
        "tag0 density0 bar4/4 tempo20 velocity20 duration6 n50 instrument73 n72 drum36"
    )
    text += " position12 velocity9 n71 position24 instrument0 velocity20 n48 drum38"
    piece = opened(piece_of(model, f"{text} bar4/4 tempo8 n50"), range(48), 48)
    for voices in ((0,), (0, 40, 73, 128)):
        piece[VOICES] = np.isin(np.arange(129), voices)
        made = fill(model, piece, 16, particles=4, temperature=0.7)
        given, new = voice_places(kind, piece["tokens"]), set()
        for tokens, length in zip(made["tokens"], made["num_steps"], strict=True):
            found = voice_places(kind, tokens[:length])
            assert given <= found
            new |= found - given
        assert {voice for _, voice, _, _ in new} <= set(voices)
        assert {start for start, *_ in new} <= set(range(48))
        assert len(new) > 16


def voice_places(kind, tokens):
    notes = kind.parse(np.asarray(tokens), 0).notes
    columns = notes.starts, notes.voices, notes.pitches, notes.velocities
    return set(zip(*(column.tolist() for column in columns), strict=True))
