import numpy as np
import pytest
import tensorflow as tf

from tfmusic.networks import losses, metrics

RNG = np.random.default_rng(0)


def roll_batch(num_channels=2, batch=3, time=4, keys=5):
    """Targets in which an onset is a sounding key, and packed predictions."""
    sounding = RNG.random([batch, time, 2, keys]) < 0.4
    onset = sounding & (RNG.random(sounding.shape) < 0.5)
    y_true = np.stack([sounding, onset][:num_channels], axis=-1).astype(np.float32)
    size = keys * num_channels + 1
    y_pred = RNG.normal(size=[batch, time, 2, size]).astype(np.float32)
    return y_true, y_pred


def sigmoid_nats(target, logits):
    return np.log1p(np.exp(-np.abs(logits))) + np.maximum(logits, 0) - logits * target


def test_tokens_cost_their_log_probability():
    logits = tf.constant(np.log([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]]), tf.float32)
    nats = losses.token_nats(tf.constant([[0, 2]]), logits)
    np.testing.assert_allclose(nats, [[-np.log(0.5), -np.log(0.8)]], rtol=1e-5)


def test_keys_and_their_number_cost_what_the_papers_say():
    y_true, y_pred = roll_batch(num_channels=1)
    loss = losses.RollLoss(1.2, 0.7, reduction=None)(y_true, y_pred)
    keys = sigmoid_nats(y_true[..., 0], y_pred[..., :5])
    error = (y_true[..., 0].sum(axis=-1) - y_pred[..., 5]) ** 2
    expected = 1.2 * keys.mean(axis=-1).sum(axis=-1) + 0.7 * error.sum(axis=-1)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_positive_weights_weigh_sounding_keys_only():
    y_true, y_pred = roll_batch(num_channels=1)
    weights = RNG.uniform(1, 50, [2, 5]).astype(np.float32)
    loss = losses.RollLoss(1.0, 0.0, tf.constant(weights), reduction=None)
    expected = tf.nn.weighted_cross_entropy_with_logits(
        y_true[..., 0], y_pred[..., :5], weights
    ).numpy()
    np.testing.assert_allclose(
        loss(y_true, y_pred), expected.mean(axis=-1).sum(axis=-1), rtol=1e-5
    )


def test_the_published_mistake_weighs_silence_too():
    y_true, y_pred = roll_batch(num_channels=1)
    weights = RNG.uniform(1, 50, [2, 5]).astype(np.float32)
    loss = losses.RollLoss(
        1.0, 0.0, tf.constant(weights), weigh_both=True, reduction=None
    )
    expected = weights * sigmoid_nats(y_true[..., 0], y_pred[..., :5])
    np.testing.assert_allclose(
        loss(y_true, y_pred), expected.mean(axis=-1).sum(axis=-1), rtol=1e-5
    )


def test_onsets_cost_only_where_keys_sound():
    y_true, y_pred = roll_batch(num_channels=2)
    logits, _ = losses.unpack_hands(tf.constant(y_pred), (5, 2))
    nats = losses.key_nats(tf.constant(y_true), logits).numpy()
    assert not nats[..., 1][y_true[..., 0] == 0].any()
    sounding = y_true[..., 0] == 1
    np.testing.assert_allclose(
        nats[..., 1][sounding],
        sigmoid_nats(y_true[..., 1], logits.numpy()[..., 1])[sounding],
        rtol=1e-5,
    )


def test_the_last_step_of_any_weight_gets_it_all():
    weights = tf.constant([[1.0, 1, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(
        losses.last_step_weights(weights), [[0, 0, 0, 4], [0, 0, 4, 0], [0, 0, 0, 0]]
    )


def token_split():
    """Tokens, logits and weights of windows, most of them only half full."""
    tokens = RNG.integers(0, 7, [9, 6])
    logits = RNG.normal(size=[9, 6, 7]).astype(np.float32)
    weights = (np.arange(6) < RNG.integers(1, 7, [9, 1])).astype(np.float32)
    return tokens, logits, weights


def roll_split():
    y_true, y_pred = roll_batch(batch=9, time=6)
    weights = (np.arange(6) < RNG.integers(1, 7, [9, 1])).astype(np.float32)
    return y_true, y_pred, weights


def token_nats(tokens, logits):
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return -np.take_along_axis(log_p, tokens[:, np.newaxis], axis=-1)[:, 0]


def frame_counts(y_true, y_pred):
    """Hits, sounding and predicted keys, and keys, of the kept steps."""
    true = y_true[..., 0] == 1
    predicted = y_pred[..., :10:2] > 0
    hits = (true & predicted).sum()
    return hits, true.sum(), predicted.sum(), true.size


@pytest.mark.parametrize(
    ("metric", "split", "expected"),
    [
        (metrics.TokenAccuracy, token_split, lambda y, p: (p.argmax(-1) == y).mean()),
        (
            metrics.CountError,
            roll_split,
            lambda y, p: ((y[..., 0].sum(-1) - p[..., 10]) ** 2).sum(-1).mean(),
        ),
        (
            metrics.FrameAccuracy,
            roll_split,
            lambda y, p: ((p[..., :10:2] > 0) == y[..., 0]).mean(),
        ),
        (
            metrics.FramePrecision,
            roll_split,
            lambda y, p: frame_counts(y, p)[0] / frame_counts(y, p)[2],
        ),
        (
            metrics.FrameRecall,
            roll_split,
            lambda y, p: frame_counts(y, p)[0] / frame_counts(y, p)[1],
        ),
        (
            metrics.FrameF1,
            roll_split,
            lambda y, p: 2 * frame_counts(y, p)[0] / sum(frame_counts(y, p)[1:3]),
        ),
        (
            metrics.FrameDensity,
            roll_split,
            lambda y, p: frame_counts(y, p)[2] / frame_counts(y, p)[3],
        ),
    ],
)
@pytest.mark.parametrize("batch_size", [1, 2, 9])
def test_metrics_count_each_step_of_a_split_once(metric, split, expected, batch_size):
    # Neither windows that are half empty nor a smaller last batch change the mean.
    y_true, y_pred, weights = split()
    metric = metric()
    for i in range(0, 9, batch_size):
        part = slice(i, i + batch_size)
        metric.update_state(
            tf.constant(y_true[part]), tf.constant(y_pred[part]), weights[part]
        )
    kept = weights == 1
    np.testing.assert_allclose(
        metric.result(), expected(y_true[kept], y_pred[kept]), rtol=1e-5
    )


def test_losses_of_the_hands_are_told_apart_and_add_up():
    y_true, y_pred = roll_batch(num_channels=1)
    weights = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]], np.float32)
    loss = losses.RollLoss(1.2, 0.7)
    found = {}
    for hand in (0, 1):
        for part in ("keys", "count"):
            metric = metrics.HandLoss(loss, hand, part)
            metric.update_state(tf.constant(y_true), tf.constant(y_pred), weights)
            found[metric.name] = float(metric.result())
    kept = weights == 1
    keys = sigmoid_nats(y_true[..., 0], y_pred[..., :5])[kept].mean(axis=(0, 2))
    errors = (y_true[..., 0].sum(axis=-1) - y_pred[..., 5])[kept] ** 2
    assert found == pytest.approx(
        {
            "keys_loss_right": keys[0],
            "keys_loss_left": keys[1],
            "count_loss_right": errors.mean(axis=0)[0],
            "count_loss_left": errors.mean(axis=0)[1],
        },
        rel=1e-4,
    )


def test_perfect_predictions_are_wholly_accurate():
    tokens = RNG.integers(0, 7, [2, 10])
    logits = tf.one_hot(tokens, 7)
    metric = metrics.TokenAccuracy()
    metric.update_state(tokens, logits, np.arange(10)[np.newaxis] < [[10], [3]])
    assert metric.result() == 1.0


def test_perplexity_is_of_the_mean_nats_of_kept_steps():
    metric = metrics.Perplexity()
    nats = np.log([[2.0, 4.0, 64.0], [32.0, 64.0, 64.0]]).astype(np.float32)
    metric.update_state(nats, np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    # A batch of another length: each step counts as much as those before.
    metric.update_state(np.log(np.float32([[8.0]])), np.array([[1.0]]))
    np.testing.assert_allclose(metric.result(), 4.0, rtol=1e-6)


def test_metrics_before_any_step_are_finite():
    for metric in (
        metrics.TokenAccuracy(),
        metrics.FrameF1(),
        metrics.FramePrecision(),
    ):
        assert metric.result() == 0.0


def cell_batch():
    """Frames of one hand as starts and sustains, and their logits against silence."""
    choice = RNG.integers(0, 3, [2, 4, 5])
    choice[0, 0] = 0  # a silent frame
    cells = np.stack([choice == 1, choice == 2], axis=-1).reshape(2, 4, 10)
    logits = RNG.normal(size=[2, 4, 5, 2]).astype(np.float32)
    start, sustain = logits[..., 0], logits[..., 1]
    log_odds = np.stack([np.logaddexp(start, sustain), start - sustain], axis=-1)
    frames = np.stack([choice > 0, choice == 1], axis=-1)[:, :, np.newaxis]
    return frames, log_odds.reshape(2, 4, 1, 10), cells, logits.reshape(2, 4, 10)


def cell_loss(name, alpha=0.7, gamma=2.0):
    frames, log_odds, cells, logits = cell_batch()
    loss = losses.make_cell_loss(name, alpha, gamma)
    return loss.call(tf.constant(frames), tf.constant(log_odds)), cells, logits


def test_binary_loss_is_the_cross_entropy_of_the_networks_own_logits():
    loss, cells, logits = cell_loss("binary")
    np.testing.assert_allclose(loss, sigmoid_nats(cells, logits).sum(-1), rtol=1e-4)


def test_focal_loss_weighs_ones_and_what_is_uncertain():
    loss, cells, logits = cell_loss("focal")
    nats = sigmoid_nats(cells, logits)
    weights = np.where(cells, 0.7, 0.3) * (1 - np.exp(-nats)) ** 2
    np.testing.assert_allclose(loss, (weights * nats).sum(-1), rtol=1e-4)


def test_single_class_loss_teaches_the_lowest_cell_or_silence():
    loss, cells, logits = cell_loss("single")
    logits = np.concatenate([logits, np.zeros([2, 4, 1])], axis=-1)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    target = np.where(cells.any(-1), cells.argmax(-1), 10)
    expected = -np.take_along_axis(log_p, target[..., np.newaxis], -1)[..., 0]
    assert target[0, 0] == 10
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_what_a_single_class_has_taught_is_sampled_as_one_key_or_silence():
    _, log_odds, _, logits = cell_batch()
    log_odds = log_odds.reshape(2, 4, 1, 5, 2).astype(np.float32)
    found = losses.class_log_odds(tf.constant(log_odds))
    np.testing.assert_array_equal(found[..., 1], log_odds[..., 1])
    p = 1 / (1 + np.exp(-found[..., 0].numpy()))
    odds = np.exp(logits)
    expected = odds / (1 + odds.sum(-1, keepdims=True))
    expected = expected.reshape(2, 4, 1, 5, 2).sum(-1)  # a start, or held on
    np.testing.assert_allclose(p, expected, rtol=1e-4)
    assert (p.sum(-1) < 1).all() and (log_odds[..., 0] > 0).sum(-1).max() > 1
    sure = tf.constant([[[60.0, 0.0], [50.0, 0.0], [-80.0, 0.0]]])
    assert np.isfinite(losses.class_log_odds(sure)).all()


def test_nats_are_the_choice_of_three():
    loss, cells, logits = cell_loss("nats")
    odds = np.exp(logits.reshape(2, 4, 5, 2))
    chosen = np.where(cells.reshape(odds.shape), odds, 1.0).prod(-1)
    expected = -np.log(chosen / (1 + odds.sum(-1))).sum(-1)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_the_single_class_is_right_where_its_logit_is_the_greatest():
    frames, log_odds, cells, logits = cell_batch()
    # Rightly silent: each start and each sustain has a logit of -9.
    logits[0, 0] = -9.0
    log_odds[0, 0, 0] = np.tile([-9.0 + np.log(2.0), 0.0], 5)
    metric = metrics.SingleClassAccuracy()
    metric.update_state(tf.constant(frames), tf.constant(log_odds, tf.float32))
    logits = np.concatenate([logits, np.zeros([2, 4, 1])], axis=-1)
    target = np.where(cells.any(-1), cells.argmax(-1), 10)
    expected = (logits.argmax(-1) == target).mean()
    assert 0.0 < expected < 1.0
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-6)
