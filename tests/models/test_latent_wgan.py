"""The latent WGAN: its steps, its sequences and what it exports."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.experiments import load_config
from tests.latents import make_batch, make_latent_wgan, make_latents
from tfmusic.models.latent_variants import RecurrentAttention
from tfmusic.models.wasserstein import copy_optimizer
from tfmusic.training.optimizers import make_optimizer


@pytest.fixture(scope="module")
def untrained():
    """A model for tests that leave its weights alone."""
    return make_latent_wgan()


@pytest.fixture(
    scope="module", params=["recurrent", "attention", "recurrent_attention"]
)
def with_end(request):
    """A model whose pieces end, for tests that leave its weights alone."""
    return make_latent_wgan(generator=request.param)


def weights(layer):
    return np.concatenate([np.ravel(w) for w in layer.get_weights()])


# ---- Training.


@pytest.fixture(scope="module")
def trained():
    """A model after three steps, its weights before, and the metrics."""
    model = make_latent_wgan()
    before = weights(model.generator), weights(model.critic)
    model.compile_for_training(keras.optimizers.Adam(1e-3))
    step = tf.function(model.train_step, autograph=False)
    for i in range(3):
        step(make_batch(model, 6, seed=i))
    metrics = {name: float(value) for name, value in model.get_metrics_result().items()}
    return model, before, metrics


def test_both_networks_learn_and_the_autoencoder_stays(trained):
    model, (generator, critic), metrics = trained
    assert np.all(weights(model.generator) != generator)
    assert np.mean(weights(model.critic) != critic) > 0.7  # taps beyond the edges
    kept = zip(model.autoencoder.get_weights(), make_latents()[1], strict=True)
    assert all(np.array_equal(ours, theirs) for ours, theirs in kept)
    assert all(np.isfinite(value) for value in metrics.values())
    assert {"critic_gap", "penalty", "gradient_norm_interpolates"} < metrics.keys()
    assert {"events_real", "events_generated"} < metrics.keys()


def test_the_critic_takes_several_steps_for_each_of_the_generator(trained):
    model, *_ = trained
    assert [o.name for o in model.optimizers] == ["generator", "critic"]
    assert [int(o.iterations) for o in model.optimizers] == [3, 6]


def test_what_plays_is_an_average_of_what_learned(trained):
    model, (before, _), _ = trained
    now, average = weights(model.generator), weights(model.average)
    between = (average - before) / np.where(now == before, np.inf, now - before)
    assert 0.5 < np.median(between) < 1.0
    noise = model.noise(2, 8, tf.constant(0, tf.int64))
    ours = model.average(noise)
    np.testing.assert_array_equal(model.sequences(noise), ours)
    assert np.any(ours != model.generator(noise))


def test_real_latents_become_the_events_that_their_autoencoder_gives(untrained):
    latents = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    arrays = untrained.output_arrays({"latents": latents})
    wanted = untrained.autoencoder.decode(untrained.representation.denormalize(latents))
    np.testing.assert_array_equal(arrays["events"], wanted[0])
    np.testing.assert_array_equal(arrays["num_events"], wanted[1])


def test_without_an_average_the_weights_themselves_play():
    model = make_latent_wgan(average_decay=0.0)
    assert model.average is model.generator


def test_each_step_of_the_critic_has_a_batch_of_its_own():
    whole, parts = make_latent_wgan(), make_latent_wgan()
    x, _, inside = batch = make_batch(whole, 6)
    for model in (whole, parts):
        model.compile_for_training(keras.optimizers.SGD(1e-2))
    whole.train_step(batch)
    for i in range(2):
        rows = slice(i, None, 2)
        parts.critic_step({name: v[rows] for name, v in x.items()}, inside[rows])
    np.testing.assert_allclose(
        weights(whole.critic), weights(parts.critic), rtol=1e-6, atol=1e-7
    )


def test_schedules_of_the_critic_go_by_the_steps_of_the_generator():
    section = load_config("latent_wgan").optimizer
    section.update(schedule="cosine", warmup_steps=2)
    optimizer = make_optimizer(section, steps_per_epoch=10, num_epochs=2)
    generator = copy_optimizer(optimizer, "generator")
    critic = copy_optimizer(optimizer, "critic", 5, rate=2.0)
    assert type(critic) is type(optimizer)
    assert (critic.name, critic.beta_1) == ("critic", 0.5)
    for copy in (generator, critic):
        copy.build([keras.Variable(np.zeros(1, "float32"))])
    for step in (0, 1, 7, 19):
        generator.iterations.assign(step)
        critic.iterations.assign(5 * step + 4)
        assert float(critic.learning_rate) == 2.0 * float(generator.learning_rate)
    again = type(critic).from_config(critic.get_config())
    again.build([keras.Variable(np.zeros(1, "float32"))])
    again.iterations.assign(99)
    assert float(again.learning_rate) == float(critic.learning_rate)


@pytest.mark.slow
def test_penalty_and_scores_are_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make_latent_wgan()
        model.compile_for_training(keras.optimizers.Adam(1e-3))
        x, _, inside = make_batch(model, 2)
        real = model.real(x, inside)
        generated = model.generated(x["seed"], 0)
        values = model._critic_values(x["seed"], real, generated)
        assert {value.dtype for value in values.values()} == {tf.float32}
        assert all(np.all(np.isfinite(value)) for value in values.values())
        before = weights(model.critic)
        model.train_step(make_batch(model, 2))
        assert weights(model.critic).dtype == np.float32
        assert np.any(weights(model.critic) != before)
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="module")
def joint():
    """A model that learns with its autoencoder, and the weights of its networks."""
    model = make_latent_wgan(with_events=True, joint=True, critic_steps=1)
    model.compile_for_training(keras.optimizers.Adam(5e-3))
    nets = (model.generator, model.critic, model.autoencoder)
    return model, [(net, weights(net)) for net in nets]


def test_joint_training_moves_all_three(joint):
    model, nets = joint
    model.train_step(make_batch(model, 2))
    for net, before in nets:
        assert np.mean(weights(net) != before) > 0.7


def test_validation_adds_no_noise_to_latents(joint):
    """On several devices it could not: it takes what all of them hold."""
    model, _ = joint
    losses = []
    model.autoencoder.latent_noise = 0.5
    for seed in (0, 1):
        x, y, inside = make_batch(model, 2)
        x["seed"] += seed
        model.reset_metrics()
        model.test_step((x, y, inside))
        losses.append(float(model.get_metrics_result()["reconstruction_loss"]))
    model.autoencoder.latent_noise = 0.0
    assert losses[0] == losses[1]


@pytest.mark.slow
def test_losses_of_joint_training_fall(joint):
    model, _ = joint
    step = tf.function(model.train_step, autograph=False)
    batch, history = make_batch(model, 6), []
    for _ in range(20):
        model.reset_metrics()
        step(batch)
        history.append({n: float(v) for n, v in model.get_metrics_result().items()})
    first, last = history[0], history[-1]
    assert last["reconstruction_loss"] < 0.8 * first["reconstruction_loss"]
    assert last["penalty"] < 0.5 * first["penalty"]
    assert last["critic_loss"] < first["critic_loss"]


# ---- Sequences with an end.


def test_pieces_end_where_their_generator_says(with_end):
    model = with_end
    wanted = [1, 5, 9, 12]
    values = np.random.default_rng(0).normal(size=[4, 12, 7]).astype(np.float32)
    for piece, length in zip(values, wanted, strict=True):
        piece[:, -1] = 5.0
        piece[length : length + 1, -1] = -8.0  # then it says again that it goes on
    sequences = model.form.finish(tf.constant(values))
    music = model.decode(sequences)
    np.testing.assert_array_equal(music["num_steps"], wanted)
    for i, length in enumerate(wanted):
        assert not np.any(music["events"][i, length:])
        assert not np.any(music["num_events"][i, length:])


def test_what_comes_later_changes_no_chunk_before(with_end):
    model = with_end
    noise = model.noise(1, 12, tf.constant(3, tf.int64))
    other = tf.concat([noise[:, :7], -noise[:, 7:]], axis=1)
    ours, theirs = model.sequences(noise), model.sequences(other)
    np.testing.assert_allclose(ours[:, :6], theirs[:, :6], atol=1e-6)
    assert np.any(np.abs(ours[:, 6:] - theirs[:, 6:]) > 1e-3)


def test_recurrence_that_attends_sees_all_chunks_before():
    layer = RecurrentAttention(keras.layers.GRU(4, return_sequences=True), num_heads=2)
    inputs = np.random.default_rng(0).normal(size=[1, 9, 3]).astype(np.float32)
    layer(inputs)
    kernel, recurrent, bias = layer.recurrent.get_weights()
    bias[:, :4] = -30.0  # the update gate: nothing of the state before is kept
    layer.recurrent.set_weights([kernel, 0.0 * recurrent, bias])
    other = inputs.copy()
    other[:, 3] *= -1.0
    moved = np.abs(layer(inputs) - layer(other)).max(axis=(0, 2))
    assert np.all(moved[:3] == 0.0)
    assert np.all(moved[3:] > 1e-5)


def test_real_pieces_end_anywhere_in_windows_that_reach_their_end(with_end):
    model = with_end
    x, _, inside = make_batch(model, 40)
    inside = np.ones(inside.shape, np.float32)
    inside[:30, -1] = 0.0
    real = model.real(x, tf.constant(inside))
    lengths = model.form.alive(real).numpy().sum(axis=1)
    assert np.all(lengths[30:] == 8)
    assert set(lengths[:30]) == set(range(1, 8))
    end = int(lengths[0])
    moved = x["latents"][0, 7 - end : 7]
    np.testing.assert_array_equal(real[0, :end, :-1], moved)
    assert not np.any(real[0, end:])


def test_validation_counts_whole_windows_alone(untrained):
    model = untrained
    x, _, inside = make_batch(model, 6)
    cut = inside.numpy()
    cut[[1, 4], 5:] = 0.0
    whole = {name: tf.gather(value, [0, 2, 3, 5]) for name, value in x.items()}
    results = []
    for data in ((x, {}, tf.constant(cut)), (whole, {}, inside[:4])):
        model.reset_metrics()
        results.append({n: float(v) for n, v in model.test_step(data).items()})
    model.reset_metrics()
    assert results[0] == pytest.approx(results[1], rel=1e-3)


def test_chunks_of_chance_are_told_from_pieces(untrained):
    # Each piece in a key of its own, so to speak.
    random = np.random.default_rng(0)
    pieces = random.normal(size=[3, 400, 1, 6]) + random.normal(size=[3, 400, 8, 6])
    real, other, shuffled = pieces.astype(np.float32)
    shuffled = random.permutation(shuffled.reshape(-1, 6)).reshape(shuffled.shape)
    near = untrained.form.distance_of_means(real, other)
    assert untrained.form.distance_of_means(real, shuffled) > 5 * near


# ---- Music.


@pytest.fixture(scope="module")
def endpoints():
    model = make_latent_wgan()
    # As if trained: untrained, all sequences are nearly the same.
    model.generator.last.kernel.assign(model.generator.last.kernel * 20.0)
    return {name: endpoint.function for name, endpoint in model.endpoints().items()}


def generate(endpoints, number=1, num_steps=8, seed=3, spread=1.0):
    inputs = (number, num_steps, tf.constant(seed, tf.int64), tf.constant(spread))
    return endpoints["generate"](*inputs)["events"].numpy()


def test_seeds_decide_the_music_and_pieces_differ(endpoints):
    first = generate(endpoints, 3)
    np.testing.assert_array_equal(first, generate(endpoints, 3))
    assert np.any(first != generate(endpoints, 3, seed=4))
    assert np.any(first[0] != first[1])
    np.testing.assert_array_equal(first[:1], generate(endpoints, 1))


def test_pieces_are_as_long_as_asked_but_no_longer_than_the_network_makes(endpoints):
    whole = generate(endpoints, 2, num_steps=100)
    assert whole.shape[:2] == (2, 8)
    np.testing.assert_array_equal(generate(endpoints, 2, num_steps=3), whole[:, :3])


def test_without_spread_all_pieces_are_the_same(endpoints):
    pieces = generate(endpoints, 3, spread=0.0)
    np.testing.assert_array_equal(pieces[0], pieces[1])


def test_interpolation_leads_from_one_piece_to_the_other(endpoints):
    seeds = (tf.constant(3, tf.int64), tf.constant(9, tf.int64))
    way = endpoints["interpolate"](5, 8, *seeds, tf.constant(1.0))["events"].numpy()
    assert len(way) == 5
    np.testing.assert_array_equal(way[0], generate(endpoints, seed=3)[0])
    np.testing.assert_array_equal(way[-1], generate(endpoints, seed=9)[0])
    assert all(np.any(a != b) for a, b in zip(way, way[1:], strict=False))


def test_noise_gives_the_pieces_of_the_seed_that_it_is_of(endpoints, untrained):
    noise = untrained.noise(3, 8, tf.constant(3, tf.int64))
    pieces = endpoints["generate_from"](noise)["events"]
    np.testing.assert_array_equal(pieces, generate(endpoints, 3))
    first, other = noise[:1], noise[2:]
    way = endpoints["interpolate_between"](4, first, other)["events"]
    assert len(way) == 4
    np.testing.assert_array_equal(way[0], pieces[0])
    np.testing.assert_array_equal(way[-1], pieces[2])
    wider = endpoints["generate_from"](2.0 * noise)["events"]
    np.testing.assert_array_equal(wider, generate(endpoints, 3, spread=2.0))


def test_noise_gives_pieces_as_long_as_it_is_where_they_have_an_end(with_end):
    endpoints = {n: e.fn for n, e in with_end.endpoints().items()}
    noise = with_end.noise(2, 12, tf.constant(3, tf.int64))
    pieces = endpoints["generate_from"](noise)["events"]
    assert noise.shape[1] == 1 + 12
    assert pieces.shape[:2] == (2, 12)
    np.testing.assert_array_equal(pieces, generate(endpoints, 2, num_steps=12))
