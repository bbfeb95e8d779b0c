"""Which keys of a chord are struck again, and which an unknown chord has."""

import keras
import tensorflow as tf

from tfmusic.representations.chords import NUM_PITCHES

_HEAD_UNITS = 128


class KeyHead(keras.layers.Layer):
    """Log odds of keys, each after those above it.

    Given what the network says, it tells which keys of a chord are struck again, and
    which keys a chord outside the vocabulary has. Both are chains from the highest key
    to the lowest, so likelihoods are exact and voices know of each other.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = keras.layers.Dense(_HEAD_UNITS)
        self.before = keras.layers.Dense(_HEAD_UNITS, use_bias=False)
        self.chord = keras.layers.Dense(_HEAD_UNITS, use_bias=False)
        # Logits stay in float32 under a mixed precision policy.
        self.restrikes = keras.layers.Dense(NUM_PITCHES, dtype="float32")
        self.keys = keras.layers.Dense(NUM_PITCHES, dtype="float32")
        shape = (NUM_PITCHES, NUM_PITCHES)
        self.restrike_chain, self.key_chain = (
            self.add_weight(shape, "zeros", "float32", autocast=False, name=name)
            for name in ("restrike_chain", "key_chain")
        )
        # What is different about chords that have to be spelled.
        self.rare = self.add_weight((NUM_PITCHES,), "zeros", "float32", name="rare")

    def call(
        self,
        hidden: tf.Tensor,
        before: tf.Tensor,
        keys: tf.Tensor,
        is_spelled: tf.Tensor | bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Log odds of a restrike and of sounding, float32 `[..., pitch]` each.

        Args:
            hidden: What the logits of the chord are made of, `[..., feature]`.
            before: Keys of the frame before it, bool `[..., pitch, 2]`.
            keys: Those of the chord, bool `[..., pitch]`.
            is_spelled: Whether it is one outside the vocabulary, bool `[...]`.

        Returns:
            Those of a restrike as if none above were struck again, for `after`, and
            those of sounding.
        """
        hidden = self.hidden(hidden)
        shape = tf.concat([tf.shape(before)[:-2], [2 * NUM_PITCHES]], axis=0)
        hidden += self.before(tf.cast(tf.reshape(before, shape), hidden.dtype))
        known = tf.nn.relu(hidden + self.chord(tf.cast(keys, hidden.dtype)))
        spelling = self.keys(tf.nn.relu(hidden)) + _chain(keys, self.key_chain)
        is_rare = tf.cast(is_spelled, tf.float32)[..., tf.newaxis]
        return self.restrikes(known), spelling + is_rare * self.rare

    def after(self, restrikes: tf.Tensor, restruck: tf.Tensor) -> tf.Tensor:
        """Log odds of restrikes where keys above are known to be struck again."""
        return restrikes + _chain(restruck, self.restrike_chain)


def choice_nats(
    happened: tf.Tensor, log_odds: tf.Tensor, counts: tf.Tensor | None = None
) -> tf.Tensor:
    """`-log p` of what keys do, summed over those that count, `[...]`."""
    nats = tf.nn.sigmoid_cross_entropy_with_logits(
        tf.cast(happened, tf.float32), log_odds
    )
    if counts is not None:
        nats *= tf.cast(counts, tf.float32)
    return tf.reduce_sum(nats, axis=-1)


def _chain(keys: tf.Tensor, weights) -> tf.Tensor:
    """What keys add to the log odds of those below them, float32 `[..., pitch]`."""
    weights = tf.convert_to_tensor(weights)
    below = weights - tf.linalg.band_part(weights, 0, -1)
    return tf.tensordot(tf.cast(keys, tf.float32), below, 1)
