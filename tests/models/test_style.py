"""A performance's composer and density, hidden in training and asked for."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models.conftest import make_case
from tfmusic.generation.controls import NOTES_PER_SECOND, TAG


@pytest.fixture(scope="module")
def case():
    return make_case("tokens_style")


def place_of(model, **wanted):
    controls = {c.name: tf.constant(c.default) for c in model.places.controls}
    controls |= {name: tf.constant(float(value)) for name, value in wanted.items()}
    place = model.places.before_piece(tf.constant(2), controls, None)
    return {name: place[name].numpy().tolist() for name in place}


def test_controls_ask_for_a_composer_and_a_density(case):
    assert place_of(case.model) == {"plan_tag": [0, 0], "plan_density": [0, 0]}
    wanted = place_of(case.model, tag=2, notes_per_second=5)
    assert wanted == {"plan_tag": [2, 2], "plan_density": [3, 3]}
    tag = next(c for c in case.model.CONTROLS if c.name == TAG.name)
    assert "1 bach; 2 satie" in tag.doc
    assert tag.maximum == 2.0


def test_what_is_not_asked_for_is_as_in_the_primer(case):
    place = {"plan_tag": tf.constant([1]), "plan_density": tf.constant([4])}
    controls = {TAG.name: tf.constant(2.0), NOTES_PER_SECOND.name: tf.constant(0.0)}
    after = case.model.places.after_control(place, tf.constant([5]), controls)
    assert {name: int(value[0]) for name, value in after.items()} == {
        "plan_tag": 2,
        "plan_density": 4,
    }


def test_each_is_hidden_in_a_part_of_the_windows(case):
    features = {"plan_tag": tf.ones(3, tf.int32), "plan_density": tf.ones(3, tf.int32)}
    seen = []
    for chance in (np.arange(1000) + 0.5) / 1000:
        seed = tf.constant([int((chance - 0.5) * 2**32), 0], tf.int32)
        hidden = case.model.places.hide_plan(features, 0.4, seed)
        seen.append([int(hidden[name][0]) for name in features])
    seen = np.array(seen)
    both, tag, density = (
        np.mean((seen == known).all(axis=1)) for known in ([0, 0], [0, 1], [1, 0])
    )
    assert (both, tag, density) == pytest.approx((0.2, 0.1, 0.1), abs=0.002)


def test_style_changes_what_is_likely_and_the_free_score_does_not_know_it(case):
    tokens = tf.constant(case.pieces[2]["tokens"][tf.newaxis])
    num_steps = tf.constant([tokens.shape[1]])

    def score(tag):
        style = {"plan_tag": tag, "plan_density": 3}
        arrays = {name: tf.fill(tokens.shape, value) for name, value in style.items()}
        return case.model.score({"tokens": tokens, **arrays}, num_steps)

    one, other = score(1), score(2)
    assert not np.allclose(one["log_likelihood"], other["log_likelihood"])
    np.testing.assert_array_equal(
        one["free_log_likelihood"], other["free_log_likelihood"]
    )
    assert not np.allclose(one["log_likelihood"], one["free_log_likelihood"])
