"""Next-frame and sequence-to-sequence networks, and what all models of rolls share."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models import contracts
from tests.models.conftest import make_case, roll_pieces, sustain_pieces
from tfmusic.errors import UserError
from tfmusic.models import make_model
from tfmusic.models.roll_frames import RollFrames
from tfmusic.models.roll_sampling import count_held, hold
from tfmusic.models.scheduled_sampling import ScheduledSampling
from tfmusic.networks.losses import key_nats
from tfmusic.representations import make_representation

GUARDS_OFF = {"max_repeats": 0.0, "max_silence": 0.0, "max_held": 0.0}


def network(name="next_frame_lstm", **settings):
    keras.utils.set_random_seed(2)
    settings = {"units": (8,), "head_units": 8, **settings}
    representation = make_representation({"name": "start_sustain"})
    model = make_model(representation, {"name": name, **settings})
    model.build_model()
    return model


def constant_network(start, sustain):
    """One whose logits are the same whatever came before."""
    model = network()
    model.decoder.head.logits.kernel.assign(
        tf.zeros_like(model.decoder.head.logits.kernel)
    )
    model.decoder.head.logits.bias.assign(np.tile([start, sustain], 88))
    return model


def key_roll(key, *steps):
    """A roll of one key: "s" starts, "-" goes on, "." is silence."""
    roll = np.zeros([1, len(steps), 88, 2], bool)
    roll[0, :, key, 0] = [step == "s" for step in steps]
    roll[0, :, key, 1] = [step == "-" for step in steps]
    return {"roll": roll}


@pytest.mark.parametrize(
    ("name", "hands"), [("start_sustain", 1), ("binary_roll", 1), ("two_hands_roll", 2)]
)
def test_rolls_become_frames_and_rolls_again(name, hands):
    frames = RollFrames(make_representation({"name": name}))
    pieces = sustain_pieces() if name == "start_sustain" else roll_pieces(hands, 2)
    roll = pieces[0]["roll"]
    made = frames.from_roll(tf.constant(roll)).numpy()
    expected = roll_pieces(hands, 2)[0]["roll"].reshape(made.shape)
    np.testing.assert_array_equal(made, expected)  # sounding and onset
    np.testing.assert_array_equal(frames.to_roll(tf.constant(made)), roll)


@pytest.mark.parametrize("sounded", [False, True])
def test_start_sustain_and_silence_are_one_choice_of_three(sounded):
    frames = RollFrames(make_representation({"name": "start_sustain"}))
    logits = tf.random.stateless_normal([1, 1, 88, 2], [1, 2])
    log_odds = frames.log_odds(logits, tf.fill([1, 1, 88, 2], sounded))
    p = {}
    for choice in [(False, False), (True, False), (False, True)]:
        one = frames.from_roll(tf.broadcast_to(choice, [1, 88, 2]))
        p[choice] = np.exp(-tf.reduce_sum(key_nats(one, log_odds), axis=-1)).ravel()
    # The network's logits are log odds against silence; nothing goes on from silence.
    start, sustain = np.exp(np.reshape(logits, [88, 2])).T
    none = 1 / (1 + start + sustain * sounded)
    np.testing.assert_allclose(p[False, False], none, rtol=1e-5)
    np.testing.assert_allclose(p[True, False], none * start, rtol=1e-5)
    np.testing.assert_allclose(p[False, True], none * sustain * sounded, atol=1e-6)


@pytest.mark.parametrize("name", ["next_frame", "seq2seq"])
def test_no_invalid_frame_comes_out(name):
    made = contracts.call_endpoint(
        make_case(name).model,
        "generate",
        num_outputs=4,
        num_steps=30,
        seed=0,
        temperature=3.0,
    )["roll"]
    start, sustain = made[..., 0], made[..., 1]
    before = np.pad(start | sustain, [(0, 0), (1, 0), (0, 0)])[:, :-1]
    assert sustain.any()
    assert not np.any(start & sustain)
    assert not np.any(sustain & ~before)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_silence_is_not_absorbing(temperature):
    model = constant_network(-20.0, -20.0)
    generate = functools.partial(
        contracts.call_endpoint,
        model,
        "generate",
        num_outputs=2,
        num_steps=20,
        seed=0,
        temperature=temperature,
    )
    free = generate(**GUARDS_OFF)
    assert not free["roll"].any()
    assert not free["guarded_steps"].any()
    made = generate(max_silence=4.0)
    np.testing.assert_array_equal(
        made["roll"].any(axis=(2, 3)), [np.arange(20) % 5 == 4] * 2
    )
    np.testing.assert_array_equal(made["guarded_steps"], [4, 4])


def test_the_forced_onset_is_that_of_the_likeliest_key():
    model = constant_network(-20.0, -20.0)
    bias = model.decoder.head.logits.bias.numpy()
    bias[2 * 33] = -15.0
    model.decoder.head.logits.bias.assign(bias)
    made = contracts.call_endpoint(
        model,
        "generate",
        num_outputs=1,
        num_steps=5,
        seed=0,
        temperature=0.0,
        max_silence=3.0,
    )
    assert np.argwhere(made["roll"]).tolist() == [[0, 3, 33, 0]]


def test_a_key_held_too_long_is_released():
    model = constant_network(-20.0, 20.0)  # what sounds is held for ever
    prompt = key_roll(40, ".", "s", "-", "-")
    settings = {**GUARDS_OFF, "num_steps": 8, "seed": 0}
    go_on = functools.partial(contracts.call_endpoint, model, "continue", prompt)
    free = go_on(**settings)
    assert free["roll"][0, :, 40, 1].all()
    kept = go_on(**{**settings, "max_held": 5.0})
    assert kept["roll"][0, :, 40, 1].tolist() == [True] * 2 + [False] * 6
    assert kept["guarded_steps"] == [1]


def test_a_note_struck_again_is_held_anew():
    frames = RollFrames(make_representation({"name": "start_sustain"}))
    roll = key_roll(7, "s", "-", ".", "s", "-", "-", "s", "-")["roll"]
    lengths = [1, 2, 0, 1, 2, 3, 1, 2]
    columns = frames.from_roll(roll)
    held = tf.zeros([1, 1, 88])
    for i, length in enumerate(lengths):
        held = hold(held, columns[:, i])
        assert held[0, 0, 7] == length
        np.testing.assert_array_equal(count_held(columns[:, : i + 1]), held)


def test_the_published_network_has_its_size():
    model = network("frame_seq2seq", units=(512, 512), head_units=256)
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    # The original's framework keeps a second, redundant bias in each recurrent layer.
    assert trainable + 4 * 4 * 512 == 7_205_296


def test_a_segment_hears_the_one_before_and_nothing_earlier():
    model = network("frame_seq2seq", segment_steps=5)
    roll = np.repeat(sustain_pieces()[0]["roll"][np.newaxis, :15], 2, axis=0)
    roll[1, 2] = np.roll(roll[1, 2], 7, axis=0)
    first, second = contracts.call_endpoint(
        model, "score", {"roll": roll}, num_steps=[15, 15]
    )["log_likelihood"]
    assert np.all(first[5:10] != second[5:10])
    np.testing.assert_array_equal(first[10:], second[10:])


def test_a_model_of_one_class_a_frame_expects_one_key_at_a_time():
    model = make_case("next_frame_reference").model
    log_odds, _, _ = model.predict(model.start_frame(2), {}, model.network_state(2))
    expected = tf.reduce_sum(tf.sigmoid(log_odds[..., 0]), axis=[1, 2])
    # Its weights are random: of 88 classes and silence, each is as likely.
    np.testing.assert_allclose(expected, 88 / 89, rtol=0.01)
    silence = {
        "roll": tf.zeros([1, 8, 88, 2], tf.bool),
        "step": tf.range(8)[tf.newaxis],
    }
    likelihood = model.score(silence, tf.constant([8]))["log_likelihood"]
    np.testing.assert_allclose(likelihood, np.log(1 - 1 / 89) * 88, rtol=0.05)


def test_music_from_nothing_can_begin_with_noise():
    model = make_case("seq2seq").model
    generate = functools.partial(
        contracts.call_endpoint, model, num_steps=6, temperature=0.0, **GUARDS_OFF
    )
    quiet = generate("generate", num_outputs=8, seed=0)["roll"]
    noisy = generate("generate", num_outputs=8, seed=0, initial_noise=5.0)["roll"]
    assert np.all(quiet == quiet[:1])
    assert np.any(noisy != noisy[:1])
    prompt = {"roll": sustain_pieces()[0]["roll"][np.newaxis, :3]}
    after = [
        generate("continue", prompt, seed=0, initial_noise=scale)["roll"]
        for scale in (0.0, 5.0)
    ]
    np.testing.assert_array_equal(*after)


def test_the_fraction_of_true_frames_falls_as_published():
    sampling = ScheduledSampling(0.5, 0.0, 1000, 0.0)
    steps = tf.constant([0, 250, 500, 1000, 2000], tf.int64)
    expected = 0.5 * np.array([1, 0.75, 0.5, 0, 0]) ** 2
    np.testing.assert_allclose(sampling.fraction(steps), expected, rtol=1e-6)


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_fed_frames_are_the_musics_or_sampled_from_what_was_fed(fraction):
    # Frames are numbers here; a drawn one is 1000 more than the one it follows.
    sampling = ScheduledSampling(fraction, fraction, 0, 0.0)
    frames = tf.tile(tf.range(0, 100)[tf.newaxis], [20, 1])
    fed = sampling.mix(
        frames,
        (),
        lambda frame, time, state, temperature, seed: (frame + 1000, state),
        tf.constant(0),
        tf.constant([3, 4]),
    ).numpy()
    is_true = fed == frames.numpy()
    np.testing.assert_array_equal(
        fed[:, 1:][~is_true[:, 1:]], (fed[:, :-1] + 1000)[~is_true[:, 1:]]
    )
    assert abs(is_true[:, 1:].mean() - fraction) < 0.05
    assert is_true[:, 0].all()


def test_own_frames_are_sampled_in_the_place_of_their_time():
    sampling = ScheduledSampling(0.0, 0.0, 0, 0.0)
    fed = sampling.mix(
        tf.fill([2, 6], 77),
        (),
        lambda frame, time, state, temperature, seed: (tf.fill([2], time), state),
        tf.constant(0),
        tf.constant([3, 4]),
    )
    # A frame is made from the one before it and from what stands beside that.
    np.testing.assert_array_equal(fed, [[77, 0, 1, 2, 3, 4]] * 2)


@pytest.mark.parametrize("pickup", [0, 1, 4])
def test_bars_begin_where_they_are_asked_to(trained_case, pickup):
    made = contracts.call_endpoint(
        trained_case("next_frame_metre").model,
        "generate",
        num_outputs=2,
        num_steps=20,
        seed=0,
        temperature=0.0,
        bar_quarters=6 / 4,
        pickup_quarters=pickup / 4,
    )
    position = (np.arange(20) - pickup) % 6
    np.testing.assert_array_equal(made["bar_position"], [position] * 2)
    np.testing.assert_array_equal(made["bar_length"], np.full([2, 20], 6))
    np.testing.assert_array_equal(made["roll"][..., 20, 0], [position == 0] * 2)


def test_bars_in_the_wrong_places_are_unlikely(trained_case):
    case = trained_case("next_frame_metre")
    piece = {name: array[np.newaxis] for name, array in case.pieces[0].items()}
    late = {**piece, "bar_position": (piece["bar_position"] - 1) % 6}
    right, wrong = (
        contracts.call_endpoint(case.model, "score", features, num_steps=[20])
        for features in (piece, late)
    )
    assert np.sum(right["log_likelihood"]) > -5
    assert np.sum(wrong["log_likelihood"]) < -20


@pytest.mark.parametrize("name", ["two_hands", "next_frame", "seq2seq"])
def test_networks_without_metre_know_nothing_of_it(name):
    model = make_case(name).model
    assert "bar_quarters" not in {control.name for control in model.CONTROLS}
    assert not any("bars" in variable.path for variable in model.variables)
    inputs = model.silent_inputs()
    assert inputs.shape[-1] == model.frames.num_inputs


def train_steps(model, batch, num_steps):
    x, y, weight = batch
    for _ in range(num_steps):
        model.train_on_batch(x, y, weight)


def test_a_resumed_run_feeds_what_an_undisturbed_one_would():
    settings = dict(
        teacher_forcing=0.9, teacher_forcing_end=0.1, teacher_forcing_steps=4
    )

    def make():
        model = network("frame_seq2seq", segment_steps=6, **settings)
        model.compile_for_training(keras.optimizers.Adam(1e-2))
        model.optimizer.build(model.trainable_variables)
        return model

    whole, half, rest = make(), make(), make()
    batch = contracts.whole_pieces(whole, sustain_pieces())
    train_steps(whole, batch, 4)
    train_steps(half, batch, 2)
    for old, new in zip(
        half.variables + half.optimizer.variables,
        rest.variables + rest.optimizer.variables,
        strict=True,
    ):
        new.assign(old)
    train_steps(rest, batch, 2)
    for one, other in zip(whole.variables, rest.variables, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"teacher_forcing": 1.5},
            "model.teacher_forcing: expected at most 1.0, got 1.5",
        ),
        ({"teacher_forcing_end": -0.1}, "teacher_forcing_end: expected at least 0.0"),
        ({"teacher_forcing_end": 0.5}, "teacher_forcing_steps: expected at least 1"),
        ({"loss": "fokal"}, "model.loss.*focal"),
        ({"alpha": 1.0}, "model.alpha: expected less than 1.0, got 1.0"),
        ({"gamma": -1.0}, "model.gamma: expected at least 0.0, got -1.0"),
        ({"segment_steps": 0}, "model.segment_steps: expected at least 1, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        network("frame_seq2seq", **settings)
