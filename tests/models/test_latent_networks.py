"""The losses and the networks of the latent WGAN, without a training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.experiments import load_config
from tfmusic.models.latent_networks import (
    ConvolutionalGenerator,
    Critic,
    LatentSettings,
)
from tfmusic.models.wasserstein import (
    feature_distance,
    gradient_penalty,
)
from tfmusic.networks.metrics import FrechetDistance, MeanDistance

# ---- Losses.


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 3.0])
def test_gradient_of_a_linear_critic_has_the_norm_of_its_weights(scale):
    random = np.random.default_rng(0)
    weight = random.normal(size=[5, 3]).astype(np.float32)
    weight *= scale / np.linalg.norm(weight)
    real, other = random.normal(size=[2, 4, 5, 3]).astype(np.float32)
    mix = random.uniform(size=4).astype(np.float32)
    with tf.GradientTape() as tape:
        variable = tf.Variable(weight)
        penalties, norms = gradient_penalty(
            lambda x: tf.einsum("btc,tc->b", x, variable),
            tf.constant(real),
            tf.constant(other),
            tf.constant(mix),
        )
        loss = tf.reduce_mean(penalties)
    np.testing.assert_allclose(norms, np.full(4, scale), rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(penalties, np.full(4, (scale - 1) ** 2), atol=1e-5)
    # Of (|w| - 1)^2: 2 (|w| - 1) w / |w|. At 0, where a root has no slope, none.
    expected = 2 * (scale - 1) * weight / scale if scale else np.zeros_like(weight)
    np.testing.assert_allclose(tape.gradient(loss, variable), expected, atol=1e-5)


def test_gradient_is_taken_between_real_and_generated():
    # The gradient of |x|^2 / 2 is x itself.
    random = np.random.default_rng(1)
    real, other = random.normal(size=[2, 6, 4, 2]).astype(np.float32)
    mix = np.linspace(0, 1, 6).astype(np.float32)
    _, norms = gradient_penalty(
        lambda x: tf.reduce_sum(tf.square(x), [1, 2]) / 2,
        tf.constant(real),
        tf.constant(other),
        tf.constant(mix),
    )
    points = real + mix[:, None, None] * (other - real)
    np.testing.assert_allclose(norms, np.linalg.norm(points, axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(norms[0], np.linalg.norm(real[0]), rtol=1e-5)
    np.testing.assert_allclose(norms[-1], np.linalg.norm(other[-1]), rtol=1e-5)


def test_features_are_matched_by_pairs_or_by_means():
    real, other = tf.constant([[0.0, 2.0], [2.0, 0.0]]), tf.constant([[2.0, 0.0]] * 2)
    assert float(feature_distance(real, other, "pairs")) == pytest.approx(2.0)
    assert float(feature_distance(real, other, "means")) == pytest.approx(1.0)


def test_frechet_distance_of_known_distributions():
    random = np.random.default_rng(0)
    real = random.normal(size=[20000, 3]).astype(np.float32)
    metric = FrechetDistance(3)
    assert float(metric.result()) == 0.0
    metric.update_state(real, real)
    assert float(metric.result()) == pytest.approx(0.0, abs=1e-4)
    metric.reset_state()
    # Moved by 2 along one axis, three times as wide along another.
    metric.update_state(real, real * [1, 3, 1] + [2, 0, 0])
    assert float(metric.result()) == pytest.approx(4 + (3 - 1) ** 2, rel=0.05)
    # Small numbers count as large ones do.
    metric.reset_state()
    metric.update_state(real * 0.01, real * 0.01 * [1, 3, 1])
    assert float(metric.result()) == pytest.approx(0.02**2, rel=0.05)
    # A rotation keeps each number's spread but not what they have to do with another.
    metric.reset_state()
    spread = real * np.float32([1, 2, 1])
    half = np.sqrt(np.float32(0.5))
    turn = np.float32([[half, half, 0], [-half, half, 0], [0, 0, 1]])
    metric.update_state(spread @ turn, spread @ turn.T)
    assert float(metric.result()) > 0.3


def test_distance_of_means_does_not_depend_on_batching():
    random = np.random.default_rng(0)
    real, other = random.normal(size=[2, 6, 3]).astype(np.float32)
    metric = MeanDistance(3)
    assert float(metric.result()) == 0.0
    for rows in (slice(0, 4), slice(4, 6), slice(6, 6)):
        metric.update_state(real[rows], other[rows])
    expected = np.mean((real.mean(axis=0) - other.mean(axis=0)) ** 2)
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


# ---- The networks of the source.


def test_reference_networks_have_the_published_sizes():
    config = load_config("latent_wgan", "reference").model
    fields = {k: v for k, v in config.items() if k != "name"}
    settings = LatentSettings.from_config(fields)
    generator, critic = ConvolutionalGenerator(settings, 20), Critic(settings)
    sequences = generator(tf.random.stateless_normal([2, 1, config.noise_size], [0, 0]))
    assert sequences.shape == [2, 64, 20]
    scores, features = critic(sequences)
    assert scores.shape == [2]
    assert features.shape == [2, 1280]
    assert generator.count_params() == 1_156_480  # "1.16 M"
    assert critic.count_params() == 4_369_281  # "4.37 M"


def make_critic(chunk_units, critic_channels, normalize):
    return Critic(
        LatentSettings(
            generator_channels=critic_channels,
            chunk_units=chunk_units,
            critic_channels=critic_channels,
            feature_size=8,
            normalize_critic=normalize,
        )
    )


@pytest.mark.parametrize("normalize", ["instance", "layer", "none"])
def test_an_example_is_judged_the_same_in_any_batch(normalize):
    critic = make_critic((6, 6), (6, 8), normalize)
    sequences = tf.random.stateless_normal([5, 8, 3], [1, 2])
    together, _ = critic(sequences)
    alone, _ = critic(sequences[3:4])
    np.testing.assert_allclose(together[3], alone[0], rtol=1e-5)


def test_bounded_sequences_reach_their_bound():
    settings = LatentSettings(
        num_chunks=8,
        generator_channels=(8, 6),
        critic_channels=(8, 6),
        chunk_units=(8,),
        normalize="none",
        bound=4.0,
    )
    generator = ConvolutionalGenerator(settings, 3)
    noise = tf.random.stateless_normal([4, 9, 6], [0, 1])
    generator(noise)
    for weight in generator.weights:
        weight.assign(weight * 10.0)
    largest = float(tf.reduce_max(tf.abs(generator(noise))))
    assert 3.9 < largest <= 4.0


def test_each_chunk_has_noise_of_its_own_and_that_of_the_whole():
    settings = LatentSettings(
        num_chunks=16,
        generator_channels=(8, 6),
        critic_channels=(8, 6),
        chunk_units=(8, 8),
    )
    generator = ConvolutionalGenerator(settings, 3)
    noise = tf.random.stateless_normal([1, 17, 6], [0, 1])
    before = generator(noise)
    whole = generator(tf.concat([-noise[:, :1], noise[:, 1:]], axis=1))
    assert np.all(np.any(whole != before, axis=-1))
    last = generator(tf.concat([noise[:, :-1], -noise[:, -1:]], axis=1))
    changed = np.any(last != before, axis=-1)[0]
    assert changed[-1]
    assert not np.any(changed[:8])


def test_the_critic_is_told_how_sequences_differ_in_their_whole():
    # Means of 0 in every chunk, as of all; that of a whole sequence tells them apart.
    random = np.random.default_rng(0)
    signs = random.choice([-1.0, 1.0], [256, 1, 1]) * np.ones([1, 16, 1])
    alike, mixed = signs, random.choice([-1.0, 1.0], [256, 16, 1])
    critic = make_critic((8,), (6,), "none")
    critic(alike)
    optimizer = keras.optimizers.Adam(0.02)
    optimizer.build(critic.trainable_variables)

    @tf.function(autograph=False)
    def learn():
        with tf.GradientTape() as tape:
            gap = [tf.reduce_mean(critic(x)[0]) for x in (alike, mixed)]
            loss = -tf.tanh(gap[0] - gap[1])
        variables = critic.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    for _ in range(60):
        loss = learn()
    assert float(loss) < -0.9
