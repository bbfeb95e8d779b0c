import keras
import numpy as np
import pytest

from tests.models import contracts
from tests.models.conftest import chords
from tfmusic.models import make_model
from tfmusic.representations.vocabulary import END

WITHOUT_RULES = {"max_repeats": 0.0, "max_silence": 0.0, "min_steps": 0.0}
NUM_PRIMERS = 50
NUM_STEPS = 12


def chain(random, num_tokens) -> np.ndarray:
    """A piece whose tokens follow each other by chance, some more often."""
    tokens = [4]
    for _ in range(num_tokens - 1):
        steps = random.choice(3, p=[0.45, 0.35, 0.2])
        tokens.append(4 + (2 * tokens[-1] + steps - 4) % 12)
    return np.array(tokens, np.int32)


@pytest.fixture(scope="module")
def trained():
    """A model that has learnt chance, so that the greedy way is often not the best."""
    random = np.random.default_rng(0)
    pieces = [{"tokens": chain(random, n)} for n in random.integers(6, 16, 40)]
    keras.utils.set_random_seed(0)
    model = make_model(
        chords(),
        {"name": "token_lstm", "embedding_size": 12, "units": (24,), "dropout": 0.0},
    )
    model.build_model()
    before, after = contracts.train(model, contracts.whole_pieces(model, pieces), 60)
    assert after < 0.7 * before
    return model


@pytest.fixture(scope="module")
def primers():
    random = np.random.default_rng(1)
    return {"tokens": np.stack([chain(random, 5) for _ in range(NUM_PRIMERS)])}


def continued(model, primers, width, **controls):
    return contracts.call_endpoint(
        model,
        "continue_search",
        primers,
        beam_width=width,
        num_steps=NUM_STEPS,
        **{c.name: c.default for c in model.SEARCH_CONTROLS} | controls,
    )


def rescored(model, primers, tokens, num_steps) -> np.ndarray:
    """The log-likelihood of continuations by the `score` endpoint."""
    whole = np.concatenate([primers["tokens"], tokens], axis=1)
    lengths = primers["tokens"].shape[1] + num_steps
    made = contracts.call_endpoint(model, "score", {"tokens": whole}, num_steps=lengths)
    total = made["log_likelihood"][:, primers["tokens"].shape[1] :].sum(axis=1)
    return total + np.where(num_steps < NUM_STEPS, made["end_log_likelihood"], 0.0)


def test_search_finds_at_least_what_greedy_finds_and_mostly_more(trained, primers):
    greedy = contracts.call_endpoint(
        trained, "continue", primers, num_steps=NUM_STEPS, seed=0, temperature=0.0
    )
    base = rescored(trained, primers, greedy["tokens"], greedy["num_steps"])
    single = continued(trained, primers, 1)
    np.testing.assert_array_equal(single["tokens"][:, 0], greedy["tokens"])
    np.testing.assert_allclose(single["log_likelihood"][:, 0], base, atol=1e-4)
    best = continued(trained, primers, 10)
    gain = best["log_likelihood"][:, 0] - base
    assert gain.shape == (NUM_PRIMERS,)
    assert gain.min() > -1e-4
    is_other = np.any(best["tokens"][:, 0] != greedy["tokens"], axis=1)
    assert np.all(gain[is_other] > 0.0)
    assert is_other.mean() > 0.8


def test_scores_are_those_of_the_score_endpoint(trained, primers):
    beams = continued(trained, primers, 4)
    for i in range(4):
        expected = rescored(
            trained, primers, beams["tokens"][:, i], beams["num_steps"][:, i]
        )
        np.testing.assert_allclose(beams["log_likelihood"][:, i], expected, atol=1e-3)
    assert np.all(np.diff(beams["log_likelihood"], axis=1) <= 0.0)


def test_wider_searches_from_nothing_find_no_less(trained):
    values = [
        contracts.call_endpoint(
            trained,
            "search",
            beam_width=width,
            num_steps=8,
            **{c.name: c.default for c in trained.SEARCH_CONTROLS},
        )["log_likelihood"]
        for width in (1, 3, 10)
    ]
    assert [value.shape for value in values] == [(1, 1), (1, 3), (1, 10)]
    best = np.array([value[0, 0] for value in values])
    assert np.all(np.diff(best) > -1e-5)  # widths sum in different orders


def test_searches_keep_to_the_rules(trained, primers):
    endless = {**WITHOUT_RULES, "min_steps": 1e6}
    free = continued(trained, primers, 3, **endless)
    assert np.all(free["num_steps"] == NUM_STEPS)
    assert np.all(free["tokens"] > END)
    ruled = continued(
        trained, primers, 3, min_steps=1e6, no_repeat_ngram=2.0, max_repeats=1.0
    )
    for primer, beams in zip(primers["tokens"], ruled["tokens"], strict=True):
        for beam in beams:
            assert contracts.longest_run(beam) == 1
            new = list(zip([primer[-1], *beam[:-1]], beam, strict=True))
            old = list(zip(primer[:-1], primer[1:], strict=True))
            assert len(set(new)) == NUM_STEPS
            assert not set(new) & set(old)


def test_longer_beams_rank_higher_by_their_mean(trained):
    def mean_length(power):
        made = contracts.call_endpoint(
            trained,
            "search",
            beam_width=6,
            num_steps=20,
            **{c.name: c.default for c in trained.SEARCH_CONTROLS}
            | {"length_power": power, "min_steps": 0.0},
        )
        return made["num_steps"].mean()

    assert mean_length(1.5) > mean_length(0.0)
