"""What exports refuse by themselves, on any server: too much, and what cannot be."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models.conftest import make_case
from tfmusic.errors import UserError
from tfmusic.representations import make_representation
from tfmusic.serving.catalogue import read_packed_card, shipped_models
from tfmusic.serving.endpoints import reason
from tfmusic.serving.graph_limits import GraphLimits, guarded
from tfmusic.serving.requests import request_interpolation, request_music

LIMITS = GraphLimits(num_steps=50, num_outputs=8, steps_in_all=100, steps_given=60)


@pytest.fixture(scope="module")
def functions():
    """The endpoints of a small model, guarded and traced once."""
    model = make_case("tokens").model
    endpoints = model.endpoints()
    found = {}
    for name in ("generate", "continue", "score"):
        endpoint = guarded(model, endpoints[name], LIMITS)
        found[name] = endpoint.function, endpoint.input_signature
    return {c.name: c.default for c in model.CONTROLS}, found, model.vocabulary_size


def call(functions, name, **values):
    defaults, found, _ = functions
    function, specs = found[name]
    values = {**defaults, "seed": 0, **values}
    outputs = function(*(tf.constant(values[s.name], s.dtype) for s in specs))
    return {key: value.numpy() for key, value in outputs.items()}


class Lines:
    """Something that Python shows in two lines, as it does music."""

    def __repr__(self):
        return "one\ntwo"


NEW = {"num_outputs": 2, "num_steps": 3}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_steps": 2**31 - 1}, "num_steps: expected 1 to 50, got 2147483647"),
        ({"num_steps": 0}, "num_steps: expected 1 to 50, got 0"),
        ({"num_outputs": -1}, "num_outputs: expected 1 to 8, got -1"),
        ({"num_outputs": 10**9}, "num_outputs: expected 1 to 8, got 1000000000"),
        (
            {"num_outputs": 5, "num_steps": 21},
            "steps of all pieces together: expected 1 to 100, got 105",
        ),
        ({"temperature": np.nan}, "temperature: expected 0 to 10, got nan"),
        ({"temperature": -0.5}, "temperature: expected 0 to 10, got -0.5"),
        ({"top_p": np.inf}, "top_p: expected 0 to 1, got inf"),
        (
            {"num_steps": 51, "top_p": 2.0, "temperature": np.nan},
            "num_steps: expected 1 to 50, got 51",  # the first of several
        ),
    ],
)
def test_new_music_is_refused_before_it_begins(values, message, functions):
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        call(functions, "generate", **{**NEW, **values})
    assert reason(caught.value) == message


def test_what_a_graph_takes_it_makes_as_before(functions):
    model = make_case("tokens").model
    endpoint = model.endpoints()["generate"]
    values = {**functions[0], **NEW, "num_steps": 50, "seed": 3}
    inputs = [tf.constant(values[s.name], s.dtype) for s in endpoint.input_signature]
    expected = endpoint.function(*inputs)
    made = call(functions, "generate", **NEW | {"num_steps": 50, "seed": 3})
    np.testing.assert_array_equal(made["tokens"], expected["tokens"])


@pytest.mark.parametrize("token", [-1, None, 2**31 - 1])
def test_tokens_that_there_are_not_are_refused(token, functions):
    # A GPU takes zeros for them, and says nothing.
    size = functions[2]
    tokens = np.full([2, 5], 5)
    tokens[1, 3] = size if token is None else token
    message = f"tokens: expected 0 to {size - 1}, got {tokens[1, 3]}"
    for name, steps in (("continue", 3), ("score", [5, 5])):
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            call(functions, name, tokens=tokens, num_steps=steps)
        assert reason(caught.value) == message


def test_music_that_is_given_has_limits_of_its_own(functions):
    with pytest.raises(tf.errors.InvalidArgumentError, match="that are given"):
        call(functions, "score", tokens=np.full([2, 31], 5), num_steps=[31, 31])
    with pytest.raises(tf.errors.InvalidArgumentError, match="as many steps as there"):
        call(functions, "score", tokens=np.full([2, 5], 5), num_steps=[5, 6])
    with pytest.raises(tf.errors.InvalidArgumentError, match="rows: expected 1 to 8"):
        call(functions, "score", tokens=np.zeros([0, 5]), num_steps=np.zeros([0]))
    call(functions, "score", tokens=np.full([2, 30], 5), num_steps=[30, 0])


def test_limits_are_set_at_export():
    model = make_case("tokens").model
    usual = GraphLimits.of(model)
    assert usual.num_steps == 100_000
    assert usual.num_outputs == 4096
    own = GraphLimits.of(model, max_steps=30, max_outputs=7)
    assert (own.num_steps, own.num_outputs) == (30, 7)
    with pytest.raises(UserError, match="max_steps: expected at least 0, got -1"):
        GraphLimits.of(model, max_steps=-1)


def test_what_takes_more_memory_has_lower_limits():
    tokens, rolls = (
        GraphLimits.of(make_case(n).model) for n in ("tokens", "two_hands")
    )
    assert rolls.steps_in_all < tokens.steps_in_all


def test_models_that_came_before_are_asked_for_no_more():
    card = read_packed_card(shipped_models()["folk"])
    del card["limits"]
    representation = make_representation(card["representation"])
    for wrong, message in (
        ({"num_steps": 2**31 - 1}, "num_steps: expected at most 100,000, got 2,147"),
        ({"num_outputs": 10**6}, "num_outputs: expected at most 4,096, got 1,000,000"),
        (
            {"num_outputs": 4000, "num_steps": 4000},
            "steps of all pieces together: expected at most 1,048,576, got 16,000,000",
        ),
        ({"num_steps": 1.5}, "num_steps: expected a whole number, got 1.5"),
        ({"seed": "x"}, "seed: expected a whole number, got 'x'"),
        ({"qpm": float("nan")}, "qpm: expected a finite number, got nan"),
        ({"key": 3}, "key: expected a text, got 3"),
        ({"primer": "x.mid"}, "primer: expected music, as tfmusic.read_music gives it"),
        ({"primer": [Lines()]}, "primer: expected .*, got .one two.$"),
        ({"controls": [1]}, "controls: expected values by name"),
    ):
        with pytest.raises(UserError, match=message):
            request_music(card, representation, **{"num_steps": 4, **wrong})


@pytest.mark.parametrize(
    ("given", "plan"),
    [
        ({}, (4, 0.0)),  # of few phrases none comes again
        ({"stollen": 1.0}, (4, 1.0)),
        ({"phrases": 6}, (6, 0.6)),
    ],
)
def test_bars_plan_the_phrases_of_a_chorale_unless_the_user_does(given, plan):
    card = read_packed_card(shipped_models()["chorales"])
    representation = make_representation(card["representation"])
    inputs = request_music(card, representation, bars=8, controls=given).inputs
    assert (inputs["phrases"], inputs["stollen"]) == pytest.approx(plan)
    assert (inputs["phrase_quarters"], inputs["num_steps"]) == (8, 64)


def test_interpolation_takes_two_seeds():
    card = {"name": "x", "endpoints": {"interpolate": {"inputs": {}}}, "controls": {}}
    with pytest.raises(UserError, match="seeds: expected two whole numbers, got .1,."):
        request_interpolation(card, seeds=(1,))
