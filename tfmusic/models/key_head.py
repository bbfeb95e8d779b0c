"""Which keys of a chord are struck again, and which an unknown chord has."""

import keras
import tensorflow as tf

from tfmusic.representations.chords import NUM_PITCHES
from tfmusic.representations.vocabulary import END

_UNITS = 128
# How many semitones away a key hears the keys of the frame before, and those above it.
_REACH = 12


class Restrikes(keras.layers.Layer):
    """Log odds that keys of a chord are struck again, each after those above it.

    A chain from the highest key to the lowest, so that likelihoods are exact and voices
    know of each other.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.heard = Surroundings()
        self.chord = keras.layers.Dense(_UNITS, use_bias=False)
        # Logits stay in float32 under a mixed precision policy.
        self.keys = keras.layers.Dense(NUM_PITCHES, dtype="float32")
        shape = (NUM_PITCHES, NUM_PITCHES)
        self.chain = self.add_weight(
            shape, "zeros", "float32", autocast=False, name="chain"
        )

    def call(self, hidden: tf.Tensor, before: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """Log odds as if no key above were struck again, for `after`.

        Args:
            hidden: What the logits of the chord are made of, `[..., feature]`.
            before: Keys of the frame before it, bool `[..., pitch, 2]`.
            keys: Those of the chord, bool `[..., pitch]`.

        Returns:
            float32 `[..., pitch]`.
        """
        heard = self.heard(hidden, before)
        heard += self.chord(tf.cast(keys, heard.dtype))
        return self.keys(tf.nn.relu(heard))

    def after(self, log_odds: tf.Tensor, restruck: tf.Tensor) -> tf.Tensor:
        """Log odds where keys above are known to be struck again."""
        weights = tf.convert_to_tensor(self.chain)
        below = weights - tf.linalg.band_part(weights, 0, -1)
        return log_odds + tf.tensordot(tf.cast(restruck, tf.float32), below, 1)


class Spelling(keras.layers.Layer):
    """Log odds of the keys of a chord outside the vocabulary, each after those above.

    A NADE (Larochelle and Murray 2011; over frames of music, Boulanger-Lewandowski et
    al. 2012). Its hidden layer also says how much keys so many semitones away count,
    those of the frame before and those above: voices move by step, whatever the pitch.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.heard = Surroundings()
        self.above = keras.layers.Dense(_UNITS, use_bias=False)
        self.keys = keras.layers.Dense(NUM_PITCHES, dtype="float32")
        self.intervals = keras.layers.Dense(
            3 * _REACH + 1, kernel_initializer="zeros", dtype="float32"
        )
        # What is different about chords that have to be spelled.
        self.rare = self.add_weight((NUM_PITCHES,), "zeros", "float32", name="rare")

    def call(
        self,
        hidden: tf.Tensor,
        before: tf.Tensor,
        keys: tf.Tensor,
        is_spelled: tf.Tensor,
    ) -> tf.Tensor:
        """Log odds that each key sounds, the keys above it being known.

        Args:
            hidden: As for `Restrikes`.
            before: Likewise.
            keys: Likewise.
            is_spelled: Whether the chord is one outside the vocabulary, bool `[...]`.

        Returns:
            float32 `[..., pitch]`.
        """
        heard = self.heard(hidden, before)
        # All keys below one that sounds, down to the next one, have the same above.
        counts = tf.cast(keys, tf.int32)
        num_above = tf.cumsum(counts, axis=-1, exclusive=True, reverse=True)
        most = tf.reduce_max(tf.reduce_sum(counts, axis=-1))
        is_known = num_above[..., tf.newaxis, :] < tf.range(most + 1)[:, tf.newaxis]
        above = tf.cast(keys[..., tf.newaxis, :] & is_known, heard.dtype)
        heard = tf.nn.relu(heard[..., tf.newaxis, :] + self.above(above))
        near = [_near(before[..., 0], -_REACH, _REACH), _near(keys, 1, _REACH)]
        near = tf.concat(near, axis=-1)
        odds = self.keys(heard)
        odds += tf.einsum("...nd,...pd->...np", self.intervals(heard), near)
        odds = tf.linalg.matrix_transpose(odds)
        odds = tf.gather(odds, num_above, batch_dims=num_above.shape.rank)
        return odds + tf.cast(is_spelled, tf.float32)[..., tf.newaxis] * self.rare


class Surroundings(keras.layers.Layer):
    """What the network says and the frame before, `[..., unit]`, not yet squashed."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = keras.layers.Dense(_UNITS)
        self.before = keras.layers.Dense(_UNITS, use_bias=False)

    def call(self, hidden: tf.Tensor, before: tf.Tensor) -> tf.Tensor:
        """float32 or bfloat16, of what `Restrikes` takes."""
        shape = tf.concat([tf.shape(before)[:-2], [2 * NUM_PITCHES]], axis=0)
        before = tf.cast(tf.reshape(before, shape), self.compute_dtype)
        return self.hidden(hidden) + self.before(before)


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


def chord_nats(
    tokens: tf.Tensor,
    nats: tf.Tensor,
    open_nats: tf.Tensor,
    spelling: tf.Tensor,
    spelled_id: int,
) -> tf.Tensor:
    """`-log p` of chords, which are named or spelled, `[...]`.

    Args:
        tokens: int32.
        nats: Of these tokens.
        open_nats: Of the token that leaves the keys open.
        spelling: Of the keys, if they are left open.
        spelled_id: That token.
    """
    spelled = open_nats + spelling
    either = nats - tf.nn.softplus(nats - spelled)
    nats = tf.where(tokens > END, either, nats)
    return tf.where(tf.equal(tokens, spelled_id), spelled, nats)


def _near(keys: tf.Tensor, lowest: int, highest: int) -> tf.Tensor:
    """What sounds so many semitones from each pitch, float32 `[..., pitch, semitone]`.

    Args:
        keys: bool `[..., pitch]`.
        lowest: The first distance, upwards.
        highest: The last one.
    """
    below, above = max(-lowest, 0), max(highest, 0)
    edges = [[0, 0]] * (keys.shape.rank - 1) + [[below, above]]
    padded = tf.pad(tf.cast(keys, tf.float32), edges)
    starts = range(below + lowest, below + highest + 1)
    return tf.stack([padded[..., i : i + NUM_PITCHES] for i in starts], axis=-1)
