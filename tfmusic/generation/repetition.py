"""Against tokens and passages that come again: what is looked at is a bounded history.

A history is the newest tokens of each piece, int32 `[batch, HISTORY]`, oldest first and
zeros (padding) before a piece has as many.
"""

import tensorflow as tf

from tfmusic.generation import samplers

HISTORY = 256


def empty_history(batch_size: tf.Tensor) -> tf.Tensor:
    """No tokens yet."""
    return tf.zeros([batch_size, HISTORY], tf.int32)


def history_of(tokens: tf.Tensor) -> tf.Tensor:
    """The newest of tokens `[batch, time]`."""
    return tf.pad(tokens, [[0, 0], [HISTORY, 0]])[:, -HISTORY:]


def remember(history: tf.Tensor, token: tf.Tensor) -> tf.Tensor:
    """The history after one more token of each piece, int32 `[batch]`."""
    return tf.concat([history[:, 1:], token[:, tf.newaxis]], axis=1)


def penalize(
    logits: tf.Tensor, history: tf.Tensor, penalty: tf.Tensor, window: tf.Tensor
) -> tf.Tensor:
    """Makes tokens that came lately less likely.

    After Keskar et al. (CTRL, 2019), whose penalty divides logits and so depends on
    where their zero lies; here it divides odds.

    Args:
        logits: float32 `[batch, token]`.
        history: int32 `[batch, HISTORY]`.
        penalty: What the odds are divided by, float32 scalar; 1 changes nothing.
        window: How many of the newest tokens count, float32 scalar.

    Returns:
        float32 `[batch, token]`.
    """

    def penalized() -> tf.Tensor:
        age = tf.range(HISTORY, 0, -1)
        counts = tf.logical_and(age <= tf.cast(window, tf.int32), history > 0)
        return logits - tf.math.log(penalty) * _marks(history, counts, logits)

    return tf.cond(penalty > 1.0, penalized, lambda: logits)


def block_ngrams(logits: tf.Tensor, history: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Makes tokens unwanted that would complete a passage that has come before.

    Args:
        logits: float32 `[batch, token]`.
        history: int32 `[batch, HISTORY]`.
        size: How many tokens make a passage, float32 scalar; 0 blocks none.

    Returns:
        float32 `[batch, token]`.
    """
    num_before = tf.cast(size, tf.int32) - 1

    def blocked() -> tf.Tensor:
        def body(back, is_match):
            newest = history[:, HISTORY - back, tf.newaxis]
            earlier = tf.pad(history, [[0, 0], [back, 0]])[:, :HISTORY]
            equal = tf.logical_and(tf.equal(earlier, newest), earlier > 0)
            return back + 1, tf.logical_and(is_match, equal)

        _, is_match = tf.while_loop(
            lambda back, _: back <= tf.minimum(num_before, HISTORY),
            body,
            (1, history > 0),
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, HISTORY])),
        )
        return logits + samplers.UNWANTED * _marks(history, is_match, logits)

    return tf.cond(num_before >= 0, blocked, lambda: logits)


def _marks(history: tf.Tensor, is_meant: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """1 for the tokens that are meant, else 0; float32 `[batch, token]`."""
    batch_size = tf.shape(history)[0]
    rows = tf.broadcast_to(tf.range(batch_size)[:, tf.newaxis], tf.shape(history))
    places = tf.stack([rows, history], axis=-1)  # [batch, HISTORY, 2]
    marks = tf.cast(is_meant, tf.float32)
    return tf.tensor_scatter_nd_max(tf.zeros_like(like), places, marks)
