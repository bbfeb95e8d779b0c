"""Layers that several models share: embeddings, tied output, heads."""

import functools

import keras
import numpy as np
import tensorflow as tf

from tfmusic.networks.losses import Logits


class PitchEmbedding(keras.layers.Layer):
    """Tokens as what they sound like, plus what is special about each kind of them.

    A token's vector is the sum of a learned vector for each of its pitches and one of
    its kind, which starts near zero. So chords that share pitches are alike from the
    first step on, and a chord that is rare in the data is no blank.
    """

    def __init__(
        self,
        token_pitches: np.ndarray,
        size: int,
        kinds: np.ndarray | None = None,
        **kwargs,
    ):
        """Makes an embedding.

        Args:
            token_pitches: Which pitches each token makes sound, bool `[token, 128]`.
            size: Length of the vectors.
            kinds: The kind of each token, from 0, int `[token]`, such as chords that
                are the same in another key; None: each is one of its own.
            **kwargs: The base layer's.
        """
        super().__init__(**kwargs)
        self.input_dim, self.size = len(token_pitches), size
        if kinds is None:
            kinds = np.arange(self.input_dim)
        self._num_kinds = int(kinds.max()) + 1
        # Eager tensors: an export holds them once. Every graph would hold an array.
        with tf.init_scope():
            self._pitches = tf.constant(token_pitches, tf.float32)
            self._kinds = tf.constant(kinds, tf.int32)

    def build(self, input_shape):
        """Makes the vectors."""
        del input_shape
        self.pitch_vectors = self.add_weight(
            shape=(self._pitches.shape[1], self.size), name="pitch_vectors"
        )
        self.kind_vectors = self.add_weight(
            shape=(self._num_kinds, self.size),
            initializer="uniform",
            name="kind_vectors",
        )

    def call(self, tokens: tf.Tensor, pitches: tf.Tensor | None = None) -> tf.Tensor:
        """Vectors, `[..., size]`, of tokens `[...]`.

        Args:
            tokens: int32.
            pitches: What they sound, bool `[..., 128]`, where they do not tell it.
        """
        if pitches is None:
            pitches = tf.gather(self._pitches, tokens)
        pitches = tf.cast(pitches, self.compute_dtype)
        vectors = tf.convert_to_tensor(self.pitch_vectors)
        kinds = tf.gather(self._kinds, tokens)
        own = tf.gather(tf.convert_to_tensor(self.kind_vectors), kinds)
        return tf.tensordot(pitches, vectors, axes=1) + own

    def similarity(self, rows: tf.Tensor, few: bool = False) -> tf.Tensor:
        """Inner products, `[rows, token]`, of `[rows, size]` with all vectors.

        Args:
            rows: Of any float type, which the products have too.
            few: Whether to sum pitches after the product: one step of generation then
                costs a product with the pitches, not the table of all vectors.
        """
        pitch_vectors = _as(self.pitch_vectors, rows)
        kind_vectors = _as(self.kind_vectors, rows)
        pitches = tf.cast(self._pitches, rows.dtype)
        if not few:
            own = tf.gather(kind_vectors, self._kinds)
            table = tf.matmul(pitches, pitch_vectors) + own
            return tf.matmul(rows, table, transpose_b=True)
        by_pitch = tf.matmul(rows, pitch_vectors, transpose_b=True)
        own = tf.matmul(rows, kind_vectors, transpose_b=True)
        own = tf.gather(own, self._kinds, axis=1)
        return tf.matmul(by_pitch, pitches, transpose_b=True) + own


class TokenEmbedding(keras.layers.Embedding):
    """A learned vector for each token."""

    def __init__(self, num_tokens: int, size: int, is_tied: bool = False):
        """Makes vectors whose numbers are about 1; an LSTM learns slowly from less.

        Those that give logits too (`is_tied`) begin near 0.
        """
        unit = keras.initializers.RandomNormal(stddev=1.0)
        scale = "uniform" if is_tied else unit
        super().__init__(num_tokens, size, embeddings_initializer=scale)

    def similarity(self, rows: tf.Tensor, few: bool = False) -> tf.Tensor:
        """Inner products, `[rows, token]`, of `[rows, size]` with all vectors."""
        del few  # The table is there.
        return tf.matmul(rows, _as(self.embeddings, rows), transpose_b=True)


class TiedOutput(keras.layers.Layer):
    """Logits from the embedding's own vectors: a token is scored by its likeness.

    Source: Press and Wolf, Using the Output Embedding to Improve Language Models, 2017.
    """

    def __init__(self, embedding: TokenEmbedding | PitchEmbedding, **kwargs):
        """Keeps the embedding; only the bias, zeros at first, is a new weight."""
        super().__init__(**kwargs)
        self.embedding = embedding

    def build(self, input_shape):
        """Makes the bias."""
        del input_shape
        self.bias = self.add_weight(
            shape=(self.embedding.input_dim,), initializer="zeros", name="bias"
        )

    def call(self, inputs: tf.Tensor, training: bool = False) -> Logits:
        """Logits, `[..., time, token]`, of hidden values `[..., time, size]`.

        In training their products have the embedding's type: under a mixed precision
        policy they are the largest of a step, and noise of bfloat16 does not hinder.
        """
        rows = tf.reshape(inputs, [-1, inputs.shape[-1]])  # [rows, size]
        if training:
            rows = tf.cast(rows, self.embedding.compute_dtype)
        products = self.embedding.similarity(rows, few=inputs.shape[-2] == 1)
        shape = tf.concat([tf.shape(inputs)[:-1], [self.embedding.input_dim]], axis=0)
        bias = tf.convert_to_tensor(self.bias)
        return Logits(tf.reshape(products, shape), bias)


class HandHead(keras.layers.Layer):
    """One hand's part of a roll model: its keys and their number."""

    def __init__(
        self,
        num_logits: int,
        branch_units: int,
        key_units: int,
        count_units: int,
        **kwargs,
    ):
        """Makes the layers.

        Args:
            num_logits: Keys times channels.
            branch_units: Size of the layer that both share; 0: none.
            key_units: Size of the layer before the logits; 0: none.
            count_units: Size of the layer before the number of keys; 0: no number.
            **kwargs: The base layer's.
        """
        super().__init__(**kwargs)
        # The slope is the published networks' (their framework's default).
        rectify = functools.partial(keras.activations.leaky_relu, negative_slope=0.01)
        dense = functools.partial(keras.layers.Dense, activation=rectify)
        # Logits and counts stay in float32 under a mixed precision policy.
        last = functools.partial(keras.layers.Dense, dtype="float32")
        self.branch = [dense(branch_units)] if branch_units else []
        self.keys = [*([dense(key_units)] if key_units else []), last(num_logits)]
        self.counts = [dense(count_units), last(1)] if count_units else []

    def call(self, hidden: tf.Tensor) -> tf.Tensor:
        """Logits and, if there is one, the count, `[..., num_logits (+ 1)]`."""
        for layer in self.branch:
            hidden = layer(hidden)
        outputs = []
        for layers in filter(None, (self.keys, self.counts)):
            values = hidden
            for layer in layers:
                values = layer(values)
            outputs.append(values)
        return tf.concat(outputs, axis=-1)


class FrameHead(keras.layers.Layer):
    """From hidden values to the logits of a frame: a layer, ReLU, dropout, a layer."""

    def __init__(
        self, num_hands: int, num_logits: int, units: int, dropout: float, **kwargs
    ):
        """Makes the layers.

        Args:
            num_hands: Hands.
            num_logits: Logits of each hand.
            units: Size of the layer between.
            dropout: Fraction of its values dropped.
            **kwargs: The base layer's.
        """
        super().__init__(**kwargs)
        self._shape = [num_hands, num_logits]
        self.hidden = keras.layers.Dense(units, activation="relu")
        self.dropout = keras.layers.Dropout(dropout)
        # Logits stay in float32 under a mixed precision policy.
        self.logits = keras.layers.Dense(num_hands * num_logits, dtype="float32")

    def call(self, hidden: tf.Tensor, training: bool = False) -> tf.Tensor:
        """float32 `[..., hand, num_logits]` of hidden values `[..., feature]`."""
        values = self.dropout(self.hidden(hidden), training=training)
        shape = tf.concat([tf.shape(hidden)[:-1], self._shape], axis=0)
        logits = tf.reshape(self.logits(values), shape)
        return tf.ensure_shape(logits, [*hidden.shape[:-1], *self._shape])


def _as(weight, like: tf.Tensor) -> tf.Tensor:
    """A weight in another tensor's type."""
    return tf.cast(tf.convert_to_tensor(weight), like.dtype)
