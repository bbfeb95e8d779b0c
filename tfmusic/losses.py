"""Training losses. All take logits in float32 and weights `[batch, time]`.

Keras divides their sum by the number of steps, weighted or not, so the mean over a
split is the same however the split is batched: validation losses of two epochs, or of
two batch sizes, can be compared. What a model is worth in nats is for `metrics`.
"""

import keras
import tensorflow as tf


class TokenLoss(keras.losses.Loss):
    """Cross-entropy of one token a step, in nats."""

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of each step.

        Args:
            y_true: int32 `[batch, time]`.
            y_pred: Logits, float32 `[batch, time, class]`.

        Returns:
            float32 `[batch, time]`.
        """
        return token_nats(y_true, y_pred)


class KeyLoss(keras.losses.Loss):
    """Binary cross-entropy of the keys, each hand's mean over its keys, summed."""

    def __init__(self, key_weights: tf.Variable | None, weigh_both: bool, **kwargs):
        """Prepares the weights.

        Args:
            key_weights: float32 `[hand, key]`, how much a key counts where it sounds;
                None: as much as where it does not. Onsets are not weighed.
            weigh_both: Weigh a key's silence as well, as one published system did by
                mistaking its library's `weight` for `pos_weight`.
            **kwargs: The base class's.
        """
        super().__init__(**kwargs)
        self._key_weights = key_weights
        self._weigh_both = weigh_both

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of each step.

        Args:
            y_true: `[batch, time, hand, key, channel]`, 0 or 1; channel 0 sounding,
                channel 1 (if any) onset.
            y_pred: Logits of the same shape, float32.

        Returns:
            float32 `[batch, time]`.
        """
        nats = key_nats(y_true, y_pred)  # [batch, time, hand, key, channel]
        if self._key_weights is not None:
            weights = tf.convert_to_tensor(self._key_weights)
            sounding = nats[..., 0]
            if not self._weigh_both:
                weights = tf.where(tf.cast(y_true[..., 0], tf.bool), weights, 1.0)
            nats = tf.concat([(weights * sounding)[..., tf.newaxis], nats[..., 1:]], -1)
        num_keys = y_pred.shape[-2]
        return tf.reduce_sum(nats, axis=[-3, -2, -1]) / num_keys


class CountLoss(keras.losses.Loss):
    """Squared error of the number of sounding keys, summed over the hands."""

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of each step, `[batch, time]`, of numbers `[batch, time, hand]`."""
        error = tf.cast(y_true, tf.float32) - tf.cast(y_pred, tf.float32)
        return tf.reduce_sum(tf.square(error), axis=-1)


def token_nats(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """`-log p` of the tokens, `[batch, time]`; arguments as in `TokenLoss.call`."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.cast(y_true, tf.int32), tf.cast(y_pred, tf.float32)
    )


def key_nats(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """`-log p` of every key and channel; arguments as in `KeyLoss.call`.

    An onset is scored only where the key sounds: without sound there is none, which
    needs no telling.
    """
    y_true = tf.cast(y_true, tf.float32)
    nats = tf.nn.sigmoid_cross_entropy_with_logits(y_true, tf.cast(y_pred, tf.float32))
    if y_pred.shape[-1] == 1:
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
