import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models import contracts
from tests.models.conftest import make_case, play_pieces
from tfmusic.errors import UserError
from tfmusic.models import make_model
from tfmusic.models.biaxial_sampling import raise_probabilities
from tfmusic.representations import make_representation


def make_new(low=60, high=62, play_only=False, scale=1.0, **settings):
    """A small model.

    With weights `scale` times as large as they begin, notes and steps matter more to
    one another.
    """
    representation = make_representation(
        {
            "name": "play_articulate",
            "lowest_pitch": low,
            "highest_pitch": high,
            "play_only": play_only,
        }
    )
    settings = {"time_units": (8,), "note_units": (8,), "dropout": 0.0, **settings}
    keras.utils.set_random_seed(2)
    model = make_model(representation, {"name": "biaxial_lstm", **settings})
    model.build_model()
    for weight in model.trainable_weights:
        weight.assign(scale * weight)
    return model


# The same model for the same arguments, which no test may change.
make = functools.cache(make_new)


def make_loud(*args, **settings):
    return make(*args, scale=3.0, **settings)


def with_bars(roll, first=0, length=16):
    """A roll [batch, time, pitch, channel] in bars of one length."""
    position = (first + np.arange(roll.shape[1])) % length
    position = np.broadcast_to(position, roll.shape[:2]).astype(np.int32)
    return {
        "roll": roll,
        "bar_position": position,
        "bar_length": np.full_like(position, length),
    }


def random_roll(shape, seed=0):
    """Play half of the time; articulate where a note is new, and sometimes else."""
    rng = np.random.default_rng(seed)
    play = rng.random(shape) < 0.5
    before = np.pad(play, [(0, 0), (1, 0), (0, 0)])[:, :-1]
    articulate = play & (~before | (rng.random(shape) < 0.3))
    return np.stack([play, articulate], axis=-1)


def score(model, roll, **bars):
    features = with_bars(roll, **bars)
    lengths = [roll.shape[1]] * len(roll)
    scores = contracts.call_endpoint(model, "score", features, num_steps=lengths)
    return scores["log_likelihood"]


def all_frames(sounded, num_channels):
    """Every frame that can follow one in which `sounded` play."""
    states = {True: [(0, 0), (1, 0), (1, 1)], False: [(0, 0), (1, 1)]}
    if num_channels == 1:
        states = dict.fromkeys(states, [(0,), (1,)])
    frames = list(itertools.product(*(states[note] for note in sounded)))
    return np.array(frames, bool)  # [frame, pitch, channel]


def test_the_published_network_has_its_size():
    model = make(
        24,
        101,
        time_units=(300, 300),
        note_units=(100, 50),
        beat="binary",
    )
    trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    # The original reads one input more for each note, which is always 0.
    assert trainable + 4 * 300 == 1_369_902


def test_transposed_music_gives_transposed_probabilities():
    # Where nothing tells keys apart but what sounds around them.
    model = make(
        30, 89, play_only=True, position=False, pitch_class=False, time_units=(8, 6)
    )
    roll = np.zeros([1, 6, 60, 1], bool)
    roll[..., 24:40, :] = random_roll([1, 6, 16])[..., :1]
    logits = []
    for shift in (0, 1):
        moved = np.roll(roll, shift, axis=2)
        inputs = with_bars(moved[:, :-1])
        logits.append(model({**inputs, "next_roll": moved[:, 1:]}).numpy()[0, :, 0])
    # Near the borders the notes hear how far it is to them.
    np.testing.assert_allclose(logits[0][:, 23:45], logits[1][:, 24:46], atol=1e-3)
    assert np.ptp(logits[0][:, 23:45]) > 0.05


@pytest.mark.parametrize("play_only", [False, True])
def test_probabilities_of_all_frames_add_up_to_one(play_only):
    model = make_loud(play_only=play_only)
    before = np.array([[1, 1], [0, 0], [1, 1]], bool)[:, : model.num_channels]
    frames = all_frames(before[:, 0], model.num_channels)
    roll = np.stack([np.broadcast_to(before, frames.shape), frames], axis=1)
    probabilities = np.exp(score(model, roll)[:, 1])
    np.testing.assert_allclose(probabilities.sum(), 1.0, rtol=1e-5)
    assert probabilities.max() > 2 * probabilities.min()


def test_frames_are_drawn_as_often_as_they_are_scored():
    model = make_loud()
    before = np.array([[1, 1], [0, 0], [1, 1]], bool)
    frames = all_frames(before[:, 0], 2)
    roll = np.stack([np.broadcast_to(before, frames.shape), frames], axis=1)
    p = np.exp(score(model, roll)[:, 1])
    number = 5000
    prompt = with_bars(np.broadcast_to(before, [number, 1, 3, 2]))
    made = contracts.call_endpoint(model, "continue", prompt, num_steps=1, seed=4)
    same = (made["roll"] == frames).all(axis=(2, 3))  # [number, frame]
    counts = same.sum(axis=0)
    assert counts.sum() == number
    chi_square = np.sum((counts - number * p) ** 2 / (number * p))
    assert chi_square < 40  # 17 degrees of freedom: once in a thousand


def test_a_note_depends_on_all_lower_ones_of_its_step_and_on_no_higher_one():
    model = make_loud(60, 67)
    roll = random_roll([1, 5, 8])
    inputs = with_bars(roll[:, :-1])
    changed = roll.copy()
    changed[:, :, 4] ^= True
    logits = [
        model({**inputs, "next_roll": frames[:, 1:]}).numpy().reshape(4, 8, 2)
        for frames in (roll, changed)
    ]
    play = [values[..., 0] for values in logits]
    np.testing.assert_array_equal(play[0][:, :5], play[1][:, :5])
    assert np.all(play[0][:, 5:] != play[1][:, 5:])


def test_only_a_note_that_sounded_can_go_on():
    model = make_loud(60, 71)
    made = contracts.call_endpoint(
        model, "generate", num_outputs=4, num_steps=30, seed=0, temperature=2.0
    )
    play, articulate = made["roll"][..., 0], made["roll"][..., 1]
    before = np.pad(play, [(0, 0), (1, 0), (0, 0)])[:, :-1]
    assert not np.any(articulate & ~play)
    assert np.all(articulate[play & ~before])
    assert np.any(play & before & ~articulate)
    held = np.zeros([1, 2, 12, 2], bool)
    held[0, 1, 5, 0] = True
    assert score(model, held)[0, 1] < -5000


def test_play_and_articulate_are_drawn_independently():
    # A note that sounds on: with one number for both, play at 0.5 and articulate at
    # 0.5 would always or never come together.
    model = make_new(60, 60)
    model.output_layer.kernel.assign(tf.zeros_like(model.output_layer.kernel))
    before = np.ones([4000, 1, 1, 2], bool)
    made = contracts.call_endpoint(
        model, "continue", with_bars(before), num_steps=1, seed=0
    )["roll"][:, 0, 0]
    assert abs(made[:, 0].mean() - 0.5) < 0.04
    assert abs(made[made[:, 0], 1].mean() - 0.5) < 0.06


def test_steps_are_scored_with_their_own_place_in_the_bar():
    model = make_loud()
    roll = random_roll([1, 4, 3])
    scores = score(model, roll)
    features = with_bars(roll)
    features["bar_position"][0, 2] = 9
    changed = contracts.call_endpoint(model, "score", features, num_steps=[4])
    different = scores != changed["log_likelihood"]
    np.testing.assert_array_equal(different, [[False, False, True, True]])


def test_without_beat_the_place_in_the_bar_does_not_matter():
    model = make_loud(beat="none")
    roll = random_roll([1, 6, 3])
    np.testing.assert_array_equal(score(model, roll), score(model, roll, first=3))


def test_bars_count_on_from_the_prompt_or_from_the_first_step():
    model = make()
    settings = dict(num_steps=20, seed=0)
    made = contracts.call_endpoint(model, "generate", num_outputs=2, **settings)
    np.testing.assert_array_equal(made["bar_position"], [np.arange(20) % 16] * 2)
    np.testing.assert_array_equal(made["bar_length"], np.full([2, 20], 16))
    prompt = with_bars(random_roll([1, 8, 3]), first=2, length=12)
    made = contracts.call_endpoint(model, "continue", prompt, **settings)
    np.testing.assert_array_equal(made["bar_position"], [(10 + np.arange(20)) % 12])
    np.testing.assert_array_equal(made["bar_length"], np.full([1, 20], 12))


def test_music_goes_on_with_the_beat_that_it_was_learned_with():
    # Over a bar line, where a beat that is one step late differs most.
    model = make_loud(60, 60)
    roll = np.zeros([1, 4, 1, 2], bool)
    roll[0, 3] = True
    features = with_bars(roll, first=13)
    late = {**features, "bar_position": np.array([[13, 14, 15, 15]])}
    p, p_late = (
        np.exp(
            contracts.call_endpoint(model, "score", bars, num_steps=[4])[
                "log_likelihood"
            ][0, 3]
        )
        for bars in (features, late)
    )
    prompt = with_bars(np.zeros([4000, 3, 1, 2], bool), first=13)
    made = contracts.call_endpoint(model, "continue", prompt, num_steps=1, seed=1)
    error = 4 * np.sqrt(p * (1 - p) / 4000)
    assert abs(p - p_late) > 2 * error
    assert abs(made["roll"][:, 0, 0, 0].mean() - p) < error


def notes_per_step(model, **controls):
    made = contracts.call_endpoint(
        model, "generate", num_outputs=32, num_steps=20, seed=0, **controls
    )
    return made["roll"][..., 0].sum(axis=-1).mean()


def test_conservativity_raises_the_probability_of_playing_to_a_power():
    model = make(60, 60, play_only=True)
    roll = np.ones([1, 1, 1, 1], bool)
    p = np.exp(score(model, roll)[0, 0])
    for power in (0.5, 1.0, 3.0):
        made = contracts.call_endpoint(
            model,
            "generate",
            num_outputs=8000,
            num_steps=1,
            seed=3,
            conservativity=power,
        )
        share = made["roll"].mean()
        assert abs(share - p**power) < 4 * np.sqrt(p**power / 8000)


def test_density_makes_silent_music_play():
    model = make_new(60, 71, play_only=True)
    model.output_layer.bias.assign([-6.0])
    numbers = [notes_per_step(model, density=density) for density in (0, 1, 2, 4)]
    assert np.all(np.diff(numbers) > 0)
    assert numbers[0] < 0.2


def test_density_thins_music_out():
    model = make(60, 71, play_only=True)
    settings = dict(num_outputs=32, num_steps=80, seed=0)
    numbers = [
        contracts.call_endpoint(model, "generate", density=density, **settings)["roll"]
        .sum(axis=(2, 3))[:, 40:]
        .mean()
        for density in (1.0, 3.0, 0.0)
    ]
    assert np.all(np.diff(numbers) > 1)
    np.testing.assert_allclose(numbers[:2], [1.0, 3.0], atol=0.4)


def test_conservativity_of_one_leaves_log_odds_as_they_are():
    logits = tf.constant([-30.0, -2.0, 0.5, 30.0])
    np.testing.assert_array_equal(raise_probabilities(logits, tf.ones([4])), logits)


def test_greedy_music_needs_no_seed():
    model = make_loud(60, 71)
    first, second = (
        contracts.call_endpoint(
            model, "generate", num_outputs=1, num_steps=8, seed=seed, temperature=0.0
        )["roll"]
        for seed in (1, 2)
    )
    np.testing.assert_array_equal(first, second)


def test_compiled_drawing_draws_the_same():
    made = [
        contracts.call_endpoint(
            make_loud(60, 71, compile_drawing=compiled),
            "generate",
            num_outputs=2,
            num_steps=10,
            seed=1,
        )["roll"]
        for compiled in (False, True)
    ]
    np.testing.assert_array_equal(*made)
    assert made[0].any()


def test_long_pieces_score_as_one_sequence():
    # Longer than the parts that they are scored in.
    model = make_loud()
    roll = random_roll([2, 150, 3])
    inputs = {**with_bars(roll)}
    inputs["roll"] = np.pad(roll, [(0, 0), (1, 0), (0, 0), (0, 0)])[:, :-1]
    logits = model({**inputs, "next_roll": roll}).numpy().reshape(roll.shape)
    nats = np.where(roll, np.logaddexp(0, -logits), np.logaddexp(0, logits))
    nats[..., 1] *= roll[..., 0]
    np.testing.assert_allclose(score(model, roll), -nats.sum((2, 3)), rtol=2e-4)


def test_an_unknown_beat_is_named():
    with pytest.raises(UserError, match="model.beat: unknown 'metres'.*'metre'"):
        make(beat="metres")


def test_held_notes_get_the_bonus_and_are_released_in_time():
    model = make_case("biaxial").model
    prompt = {name: array[np.newaxis, :1] for name, array in play_pieces()[0].items()}
    settings = dict(num_steps=12, seed=0, max_repeats=0.0)
    go_on = functools.partial(contracts.call_endpoint, model, "continue", prompt)
    # With so much added to its odds, what sounds once is held or struck for ever.
    held = dict(settings, repeat_bonus=100.0, repeat_rate=0.0, temperature=0.1)
    sounding = prompt["roll"][0, 0, :, 0]
    kept = go_on(**held)["roll"][0]
    assert kept[:, sounding, 0].all()
    released = go_on(**held, max_held=3.0)
    lengths = []
    for pitch in np.flatnonzero(sounding):
        column = np.concatenate(
            [prompt["roll"][0, :, pitch], released["roll"][0, :, pitch]]
        )
        run = 0
        for play, articulate in column:
            run = (0 if articulate else run) + 1 if play else 0
            lengths.append(run)
    assert max(lengths) <= 3
    assert released["guarded_steps"][0] > 0
