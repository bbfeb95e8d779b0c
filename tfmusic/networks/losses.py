"""Training losses. All take logits in float32 and weights `[batch, time]`.

Keras divides their sum by the number of steps, weighted or not, so the mean over a
split is the same however the split is batched: validation losses of two epochs, or of
two batch sizes, can be compared. What a model is worth in nats is for `metrics`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from tfmusic.networks import fused


class Logits(NamedTuple):
    """Logits whose two parts are not yet added: that can be done while reading them.

    Attributes:
        products: `[..., class]`, float32 or bfloat16.
        shared: What all rows have in common, float32 `[class]`.
    """

    products: tf.Tensor
    shared: tf.Tensor

    def whole(self) -> tf.Tensor:
        """The logits, float32 `[..., class]`."""
        return tf.cast(self.products, tf.float32) + self.shared


class RollLoss(keras.losses.Loss):
    """Cross-entropy of the keys and squared error of their number, hands summed.

    Attributes:
        is_likelihood: Whether the keys' part is how likely they are, up to a factor.
    """

    def __init__(
        self,
        key_coefficient: float,
        count_coefficient: float,
        key_weights: tf.Variable | None = None,
        weigh_both: bool = False,
        **kwargs,
    ):
        """Prepares the weights.

        Args:
            key_coefficient: Weighs each hand's mean binary cross-entropy of its keys.
            count_coefficient: Weighs the squared error of each hand's number of keys.
            key_weights: float32 `[hand, key]`, how much a key counts where it sounds;
                None: as much as where it does not. Onsets are not weighed.
            weigh_both: Weigh a key's silence as well, as one published system did by
                mistaking its library's `weight` for `pos_weight`.
            **kwargs: The base class's.
        """
        super().__init__(**kwargs)
        self._key_coefficient = key_coefficient
        self._count_coefficient = count_coefficient
        self._key_weights = key_weights
        self._weigh_both = weigh_both
        self.is_likelihood = key_weights is None

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of each step.

        Args:
            y_true: `[batch, time, hand, key, channel]`, 0 or 1; channel 0 sounding,
                channel 1 (if any) onset.
            y_pred: float32 `[batch, time, hand, key * channel (+ 1)]`, see
                `unpack_hands`.

        Returns:
            float32 `[batch, time]`.
        """
        keys, counts = self.by_hand(y_true, y_pred)
        loss = self._key_coefficient * tf.reduce_sum(keys, axis=-1)
        if counts is None:
            return loss
        return loss + self._count_coefficient * tf.reduce_sum(counts, axis=-1)

    def by_hand(
        self, y_true: tf.Tensor, y_pred: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """What the coefficients weigh, float32 `[batch, time, hand]` each.

        Returns:
            The mean cross-entropy of the keys, and the squared error of their number;
            None without numbers.
        """
        logits, counts = unpack_hands(y_pred, y_true.shape[-2:])
        nats = key_nats(y_true, logits)  # [batch, time, hand, key, channel]
        if self._key_weights is not None:
            weights = tf.convert_to_tensor(self._key_weights)
            if not self._weigh_both:
                weights = tf.where(tf.cast(y_true[..., 0], tf.bool), weights, 1.0)
            weights = weights[..., tf.newaxis]
            if y_true.shape[-1] > 1:
                weights = tf.concat([weights, tf.ones_like(weights)], axis=-1)
            nats *= weights
        keys = tf.reduce_sum(nats, [-2, -1]) / y_true.shape[-2]
        return keys, None if counts is None else count_errors(y_true, counts)


class FrameNatsLoss(keras.losses.Loss):
    """The negative log-likelihood of each frame, in nats."""

    is_likelihood = True

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of each step; arguments as in `CellLoss.call`."""
        logits, _ = unpack_hands(y_pred, y_true.shape[-2:])
        return tf.reduce_sum(key_nats(y_true, logits), axis=[-3, -2, -1])


class CellLoss(keras.losses.Loss):
    """Losses of cells that are each 0 or 1: start and sustain of every key.

    A roll without onsets has one cell a key. With weights of 1 this is the binary
    cross-entropy. Focal weights (Lin et al. 2017) make a one count `alpha` and a zero
    1 - `alpha`, both times the probability of being wrong to the power of `gamma`: the
    many zeros that are certain then count for little. As Carrascosa et al. (UPC, 2019)
    have it, no gradient goes through that weight.
    """

    def __init__(self, alpha: float | None = None, gamma: float = 0.0, **kwargs):
        """Prepares the weights.

        Args:
            alpha: Weight of ones, 0 to 1; None: all cells weigh 1.
            gamma: At least 0; 0: certain and uncertain cells weigh the same.
            **kwargs: The base class's.
        """
        super().__init__(**kwargs)
        self._alpha, self._gamma = alpha, gamma

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of each step, summed over cells.

        Args:
            y_true: `[batch, time, hand, key, channel]`, 0 or 1; sounding and, if there
                is a second channel, onset.
            y_pred: float32 `[batch, time, hand, key * channel]`, see `unpack_hands`.

        Returns:
            float32 `[batch, time]`.
        """
        cells, logits = to_cells(y_true, y_pred)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(cells, logits)
        # exp(-loss) is the probability that was given to what came.
        weights = (1.0 - tf.exp(-tf.stop_gradient(losses))) ** self._gamma
        if self._alpha is not None:
            weights *= tf.where(cells > 0.5, self._alpha, 1.0 - self._alpha)
        return tf.reduce_sum(weights * losses, axis=-1)


class SingleClassLoss(keras.losses.Loss):
    """Cross-entropy of one cell a step: the first that is 1, or none.

    What Carrascosa et al. (UPC, 2019) tried before the focal loss (experiments 2 and
    3). A frame of several notes teaches its lowest alone. There silence was the lowest
    key's start; here it is a class of its own, with a logit of 0.
    """

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of each step; arguments as in `CellLoss.call`."""
        first, logits = single_class(y_true, y_pred)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(first, logits)


def single_class(y_true: tf.Tensor, y_pred: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The class of each frame and the logits of all; silence is the last class.

    Arguments as in `CellLoss.call`.
    """
    cells, logits = to_cells(y_true, y_pred)
    none = tf.zeros_like(logits[..., :1])
    silent = 1.0 - tf.reduce_max(cells, axis=-1, keepdims=True)
    first = tf.argmax(tf.concat([cells, silent], axis=-1), axis=-1)
    return first, tf.concat([logits, none], axis=-1)


def class_log_odds(log_odds: tf.Tensor) -> tf.Tensor:
    """Log odds of what `SingleClassLoss` has taught, each key's against all else.

    As that loss takes them, log odds of sounding are those of a class against silence,
    and only how they differ means anything: many keys can have high ones. Here they
    are those of the class against all other classes, so that one key is expected.

    Args:
        log_odds: float32 `[..., hand, key, channel]`: of sounding and, if there is a
            second channel, of an onset where a key sounds, which stays.
    """
    sounding = log_odds[..., 0]
    # Silence has a logit of 0. A start and being held on add up to sounding.
    total = tf.reduce_logsumexp(sounding, axis=[-2, -1], keepdims=True)
    log_p = tf.minimum(sounding - tf.nn.softplus(total), -1e-6)
    others = tf.math.log(-tf.math.expm1(log_p))
    return tf.concat([(log_p - others)[..., tf.newaxis], log_odds[..., 1:]], axis=-1)


CELL_LOSSES = ("nats", "binary", "focal", "single")


def make_cell_loss(name: str, alpha: float, gamma: float) -> keras.losses.Loss:
    """A loss of frames of keys.

    Args:
        name: "nats", the negative log-likelihood of the frame; "binary", the
            cross-entropy of starts and sustains each by itself; "focal", `CellLoss`
            with its weights; "single", `SingleClassLoss`.
        alpha: The focal loss's weight of ones.
        gamma: Its power.
    """
    if name == "nats":
        return FrameNatsLoss()
    if name == "single":
        return SingleClassLoss()
    return CellLoss(alpha, gamma) if name == "focal" else CellLoss()


def token_nats(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """`-log p` of the tokens.

    Args:
        y_true: int32 `[batch, time]`.
        y_pred: Logits, float32 `[batch, time, class]`.

    Returns:
        float32 `[batch, time]`.
    """
    return tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.cast(y_true, tf.int32), tf.cast(y_pred, tf.float32)
    )


def token_hits(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """1 where the greatest logit is the token's, else 0; as `token_nats`."""
    best = tf.argmax(y_pred, axis=-1, output_type=tf.int32)
    return tf.cast(tf.equal(best, tf.cast(y_true, tf.int32)), tf.float32)


def token_nats_and_hits(
    y_true: tf.Tensor, y_pred: tf.Tensor | Logits, training: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    """`token_nats` and `token_hits`; in training by compiled code, if `fused` has it.

    Over a large vocabulary reading and writing the logits takes most of a loss's time.
    The compiled code reads them once, in their own type.

    Args:
        y_true: int32 `[batch, time]`.
        y_pred: `[batch, time, class]`.
        training: Whether only first derivatives are needed, and no export.
    """
    has_gpu = bool(tf.config.list_logical_devices("GPU"))
    if training and fused.is_used() and not has_gpu:
        return _compiled_nats_and_hits(tf.cast(y_true, tf.int32), y_pred)
    logits = y_pred.whole() if isinstance(y_pred, Logits) else y_pred
    return token_nats(y_true, logits), token_hits(y_true, logits)


def _compiled_nats_and_hits(
    y_true: tf.Tensor, y_pred: tf.Tensor | Logits
) -> tuple[tf.Tensor, tf.Tensor]:
    if not isinstance(y_pred, Logits):
        y_pred = Logits(y_pred, tf.zeros(tf.shape(y_pred)[-1:]))

    @tf.custom_gradient
    def run(products, shared):
        nats, hits, saved = fused.softmax(products, shared, tf.reshape(y_true, [-1]))

        def gradient(nats_gradient, _):
            return fused.softmax_gradient(nats_gradient, saved)

        return (nats, hits), gradient

    rows = tf.reshape(y_pred.products, [-1, tf.shape(y_pred.products)[-1]])
    shape = tf.shape(y_true)
    return tuple(tf.reshape(part, shape) for part in run(rows, y_pred.shared))


def mean_loss(losses: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """One device's share of the mean over all devices' steps, weighted or not.

    Args:
        losses: float32, any shape.
        weights: float32, the same shape.
    """
    num_devices = tf.distribute.get_strategy().num_replicas_in_sync
    return tf.reduce_mean(weights * losses) / num_devices


def unpack_hands(
    y_pred: tf.Tensor, frame_shape: Sequence[int]
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Takes apart what a roll model gives for each hand.

    One tensor holds both, since Keras weighs the losses of several outputs wrongly
    when the last batch is smaller.

    Args:
        y_pred: `[..., hand, key * channel]` and, if the model counts, one value more.
        frame_shape: Numbers of keys and of channels.

    Returns:
        Logits `[..., hand, key, channel]`, and the expected numbers of sounding keys
        `[..., hand]` or None.
    """
    size = math.prod(frame_shape)
    logits, counts = y_pred, None
    if y_pred.shape[-1] > size:
        # The gradient of slices would take far longer.
        logits, counts = tf.split(y_pred, [size, 1], axis=-1)
        counts = tf.squeeze(counts, -1)
    shape = tf.concat([tf.shape(y_pred)[:-1], frame_shape], axis=0)
    return tf.reshape(logits, shape), counts


def to_cells(y_true: tf.Tensor, y_pred: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Frames and their log odds as start and sustain of every key.

    The log odds of a start, or of being held on, are those against silence.

    Args:
        y_true: `[batch, time, hand, key, channel]`.
        y_pred: `[batch, time, hand, key * channel]`.

    Returns:
        Cells, 0 or 1, and their logits, float32 `[batch, time, cell]`; without onsets
        cells are the keys.
    """
    frames = tf.cast(y_true, tf.float32)
    logits, _ = unpack_hands(tf.cast(y_pred, tf.float32), y_true.shape[-2:])
    if y_true.shape[-1] == 2:
        sounding, onset = tf.unstack(frames, axis=-1)
        frames = tf.stack([sounding * onset, sounding * (1.0 - onset)], axis=-1)
        sounding, onset = tf.unstack(logits, axis=-1)
        start = sounding + tf.math.log_sigmoid(onset)
        sustain = sounding + tf.math.log_sigmoid(-onset)
        logits = tf.stack([start, sustain], axis=-1)
    shape = tf.concat([tf.shape(frames)[:2], [math.prod(y_true.shape[2:])]], axis=0)
    return tf.reshape(frames, shape), tf.reshape(logits, shape)


def count_errors(y_true: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    """Squared errors of the numbers of sounding keys.

    Args:
        y_true: `[batch, time, hand, key, channel]`.
        counts: `[batch, time, hand]`.

    Returns:
        float32 `[batch, time, hand]`.
    """
    true = tf.reduce_sum(tf.cast(y_true[..., 0], tf.float32), axis=-1)
    return tf.square(true - counts)


def key_nats(y_true: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """`-log p` of every key and channel, `[batch, time, hand, key, channel]`.

    An onset is scored only where the key sounds: without sound there is none, which
    needs no telling.
    """
    y_true = tf.cast(y_true, tf.float32)
    nats = tf.nn.sigmoid_cross_entropy_with_logits(y_true, tf.cast(logits, tf.float32))
    if logits.shape[-1] == 1:
        return nats
    sounding = y_true[..., :1]
    return nats * tf.concat([tf.ones_like(sounding), sounding], axis=-1)


def last_step_weights(weights: tf.Tensor) -> tf.Tensor:
    """Moves all the weight of a window onto its last step of any weight.

    Args:
        weights: float32 `[batch, time]`, 0 outside the piece.

    Returns:
        float32 `[batch, time]`; a window's only weight is the number of its steps, so
        that the loss is a mean over windows.
    """
    is_used = tf.cast(weights > 0.0, tf.float32)
    after = tf.cumsum(is_used, axis=-1, exclusive=True, reverse=True)
    is_last = is_used * tf.cast(after < 0.5, tf.float32)
    return is_last * tf.cast(tf.shape(weights)[-1], tf.float32)
