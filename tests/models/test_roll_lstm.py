import numpy as np
import pytest
import tensorflow as tf

from tests.models import contracts
from tests.models.conftest import make_case, roll_pieces
from tfmusic.models import make_model
from tfmusic.models.roll_sampling import repeat_bonus
from tfmusic.representations import make_representation


def two_hands(onsets=True, **settings):
    representation = make_representation({"name": "two_hands_roll", "onsets": onsets})
    return make_model(representation, {"name": "roll_lstm", "units": (8,), **settings})


def test_the_published_network_has_its_size():
    model = two_hands(onsets=False, units=(150, 150))
    model.build_model()
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    # The original's framework keeps a second, redundant bias in each recurrent layer.
    redundant = 2 * 4 * 150
    assert trainable + redundant == 458_658


def test_weights_of_keys_never_played_are_finite():
    model = two_hands(onsets=False, key_weights="positive", max_key_weight=50.0)
    roll = np.zeros([300, 2, 88, 1], bool)
    roll[:100, 0, 40] = True
    roll[:2, 1, 41] = True
    model.adapt(tf.data.Dataset.from_tensors({"roll": roll}))
    weights = model.key_weight.numpy()
    np.testing.assert_allclose(weights[0, 40], 199 / 101, rtol=1e-5)
    np.testing.assert_allclose(weights[1, 40:42], 50.0)  # 299 and 99, clipped


@pytest.mark.parametrize(
    ("key_weights", "num_coins"),
    # Of 176 keys 10 sound; each weighs three where it is weighed.
    [("none", 176), ("positive", 166 + 3 * 10), ("both", 3 * 176)],
)
def test_weights_of_keys_count_in_the_loss_where_they_are_wanted(
    key_weights, num_coins
):
    model = two_hands(
        onsets=False,
        key_weights=key_weights,
        count_units=0,
        count_loss_coefficient=0.0,
        key_loss_coefficient=88.0,
    )
    model.build_model()
    model.key_weight.assign(tf.fill([2, 88], 3.0))
    keys = np.zeros([1, 1, 2, 88, 1], np.float32)
    keys[0, 0, 0, 30:40] = 1.0
    loss = model.make_loss().call(tf.constant(keys), tf.zeros([1, 1, 2, 88]))
    np.testing.assert_allclose(loss, [[num_coins * np.log(2)]], rtol=1e-5)


def test_weights_outlive_a_checkpoint(tmp_path):
    model = two_hands(key_weights="positive")
    model.build_model()
    roll = roll_pieces(2, 2)[0]["roll"]
    model.adapt(tf.data.Dataset.from_tensors({"roll": roll}))
    path = tf.train.Checkpoint(model=model).save(str(tmp_path / "weights"))
    other = two_hands(key_weights="positive")
    other.build_model()
    tf.train.Checkpoint(model=other).restore(path).assert_existing_objects_matched()
    np.testing.assert_array_equal(other.key_weight, model.key_weight)
    assert np.any(model.key_weight != 1.0)


def test_a_key_that_newly_sounds_is_struck():
    model = make_case("two_hands").model
    made = contracts.call_endpoint(
        model, "generate", num_outputs=4, num_steps=30, seed=0, temperature=2.0
    )["roll"]
    sounding, struck = made[..., 0], made[..., 1]
    before = np.pad(sounding, [(0, 0), (1, 0), (0, 0), (0, 0)])[:, :-1]
    assert not np.any(struck & ~sounding)
    assert np.all(struck[sounding & ~before])
    assert np.any(sounding & before & ~struck)


def test_striking_a_new_key_costs_nothing_and_going_on_without_is_impossible():
    model = make_case("two_hands").model
    roll = np.zeros([2, 3, 2, 88, 2], bool)
    roll[:, 1, 0, 40, 0] = True
    roll[0, 1, 0, 40, 1] = True
    scores = contracts.call_endpoint(model, "score", {"roll": roll}, num_steps=[3, 3])
    struck, held = scores["log_likelihood"][:, 1]
    assert struck > -130  # 176 keys at about ln 2
    assert held < -5000


def generate_counts(counts, **controls):
    """Numbers of keys that sound where the count head says `counts`."""
    model = make_case("two_hands").model
    for hand, count in zip(model.hands, counts, strict=True):
        hand.counts[-1].kernel.assign(tf.zeros_like(hand.counts[-1].kernel))
        hand.counts[-1].bias.assign([count])
    made = contracts.call_endpoint(
        model,
        "generate",
        num_outputs=3,
        num_steps=5,
        seed=0,
        draw_counts=1.0,
        **controls,
    )
    return made["roll"][..., 0].sum(axis=-1)  # [batch, time, hand]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_as_many_keys_are_drawn_as_the_count_says(temperature):
    numbers = generate_counts([3.2, 1.6], temperature=temperature)
    assert np.all(numbers == [3, 2])


def test_counts_out_of_range_are_no_keys_or_all():
    assert np.all(generate_counts([-4.0, 1000.0]) == [0, 88])


def test_held_keys_are_counted_from_within_the_prompt():
    model = make_case("two_hands").model
    roll = np.zeros([1, 6, 2, 88, 2], bool)
    roll[0, 2:, 0, 10, 0] = True  # until the end: three steps before the last frame
    roll[0, :3, 0, 11, 0] = True  # ended before
    roll[0, :, 1, 12, 0] = True
    _, (_, held, _) = model.prime({"roll": tf.constant(roll)}, 0)
    assert held[0, 0, 10] == 3
    assert held[0, 0, 11] == 0
    assert held[0, 1, 12] == 5


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [
        (1.0, [0.0, np.log(1 + np.exp(-0.25)), np.log(1 + np.exp(-0.1 * 4))]),
        (0.0, [0.0, -0.25, -0.1 * 4]),
    ],
)
def test_held_keys_get_the_published_correction(temperature, expected):
    model = make_case("two_hands").model
    held = np.zeros([1, 2, 88], np.float32)
    held[0, 0, 1], held[0, 1, 2] = 1, 4
    controls = {c.name: tf.constant(c.default) for c in model.CONTROLS}
    controls |= {
        "temperature": tf.constant(temperature),
        "repeat_bonus": tf.constant(1.0),
    }
    added = repeat_bonus(tf.constant(held), controls)
    np.testing.assert_allclose(
        [added[0, 0, 0], added[0, 0, 1], added[0, 1, 2]], expected, rtol=1e-5
    )


def test_the_default_draws_are_the_scored_probabilities():
    # With bonuses off and temperature 1, frequencies of first frames are the model's.
    model = make_case("one_hand_reference").model
    made = contracts.call_endpoint(
        model, "generate", num_outputs=4000, num_steps=1, seed=3, draw_counts=0.0
    )["roll"][:, 0, :, 0]
    silent = np.zeros([1, 1, 88, 1], bool)
    key = np.repeat(silent, 88, axis=0)
    key[np.arange(88), 0, np.arange(88), 0] = True
    none = contracts.call_endpoint(model, "score", {"roll": silent}, num_steps=[1])
    each = contracts.call_endpoint(model, "score", {"roll": key}, num_steps=[1] * 88)
    odds = each["log_likelihood"][:, 0] - none["log_likelihood"][0, 0]
    p = 1 / (1 + np.exp(-odds))
    error = np.abs(made.mean(axis=0) - p)
    assert np.all(error < 5 * np.sqrt(p * (1 - p) / 4000))


def test_layers_before_the_logits_and_the_count_can_be_left_out():
    model = two_hands(count_units=0, key_units=0, branch_units=0)
    model.build_model()
    assert "draw_counts" not in {control.name for control in model.CONTROLS}
    contracts.check_gradients(model, roll_pieces(2, 2))
    contracts.call_endpoint(model, "generate", num_outputs=1, num_steps=2, seed=0)
