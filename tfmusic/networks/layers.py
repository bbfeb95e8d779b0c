"""Layers that the model families share."""

import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from tfmusic.errors import choose
from tfmusic.networks.recurrence import LSTM, Step, make_step

CELLS = {"lstm": LSTM, "gru": keras.layers.GRU}
State = tuple[tf.Tensor, ...]


class RecurrentStack(keras.layers.Layer):
    """Recurrent layers over each other, with dropout between them.

    Whole sequences go through Keras' own layers, which reach cuDNN on a GPU; single
    steps go through the same layers' cells, so both use the same weights.
    """

    def __init__(
        self,
        units: Sequence[int],
        cell: str = "lstm",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        same_dropout: bool = False,
        exact_inputs: bool = False,
        **kwargs,
    ):
        """Makes the layers.

        Args:
            units: The sizes of the layers, from input to output.
            cell: "lstm" or "gru".
            dropout: Share of each layer's outputs dropped on the way to the next one.
            recurrent_dropout: Share of the state dropped at every step in all layers
                but the last. Anything but 0 rules cuDNN out and is far slower.
            same_dropout: Drop the same values at every step of a sequence (Gal and
                Ghahramani, 2016).
            exact_inputs: Compute the first layer in float32 under mixed precision too:
                bfloat16 has eight bits, and numbers that differ by less are one.
            **kwargs: The base layer's.
        """
        super().__init__(autocast=False, **kwargs)  # its layers cast what they get
        make = CELLS[choose("cell", cell, CELLS)]
        self.units = tuple(units)
        self.layers = [
            make(
                size,
                return_sequences=True,
                return_state=True,
                recurrent_dropout=recurrent_dropout if i < len(units) - 1 else 0.0,
                name=f"{cell}_{i}",
                dtype="float32" if exact_inputs and i == 0 else None,
            )
            for i, size in enumerate(units)
        ]
        shape = (None, 1, None) if same_dropout else None
        self.dropouts = [keras.layers.Dropout(dropout, shape) for _ in self.layers[1:]]

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Runs over whole sequences from a state of zeros.

        Args:
            inputs: `[batch, time, feature]`.
            training: Whether dropout is on.

        Returns:
            `[batch, time, units[-1]]`.
        """
        return self.run(inputs, None, training)[0]

    def run(
        self, inputs: tf.Tensor, state: State | None = None, training: bool = False
    ) -> tuple[tf.Tensor, State]:
        """Like `call`, from a state (None: zeros), and gives the last state too."""
        states = [None] * len(self.layers) if state is None else self._split(state)
        outputs, new_state = inputs, []
        for i, (layer, initial) in enumerate(zip(self.layers, states, strict=True)):
            if i > 0:
                outputs = self.dropouts[i - 1](outputs, training=training)
            outputs, *last = layer(outputs, initial_state=initial, training=training)
            new_state.extend(last)
        return outputs, tuple(new_state)

    def step(self, inputs: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """One time step, without dropout.

        Args:
            inputs: `[batch, feature]`.
            state: As `initial_state`, `run` or `step` gave it.

        Returns:
            `[batch, units[-1]]` and the new state.
        """
        return self._step([layer.cell for layer in self.layers], inputs, state)

    def make_step(self) -> Callable[[tf.Tensor, State], tuple[tf.Tensor, State]]:
        """`step` for a loop in training: weights are cast once, before it begins."""
        cells = [make_step(layer) for layer in self.layers]
        return functools.partial(self._step, cells)

    def _step(
        self, cells: Sequence[Step], inputs: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        """One step of all layers, by their cells."""
        outputs, new_state = inputs, []
        for cell, old in zip(cells, self._split(state), strict=True):
            outputs, new = cell(outputs, old)
            new_state.extend(new if isinstance(new, (list, tuple)) else [new])
        return outputs, tuple(new_state)

    def initial_state(self, batch_size: tf.Tensor | int) -> State:
        """Zeros, one tensor `[batch, units]` for each layer's state (LSTM: two)."""
        return tuple(
            tf.zeros([batch_size, size], layer.compute_dtype)
            for layer in self.layers
            for size in tf.nest.flatten(layer.cell.state_size)
        )

    def _split(self, state: State) -> list[list[tf.Tensor]]:
        """The state of each layer."""
        width = len(state) // len(self.layers)
        return [list(state[i : i + width]) for i in range(0, len(state), width)]


class PitchEmbedding(keras.layers.Layer):
    """Tokens as what they sound like, plus what is special about each.

    A token's vector is the sum of a learned vector for each of its pitches and one of
    its own, which starts near zero. So chords that share pitches are alike from the
    first step on, and a chord that is rare in the data is no blank.
    """

    def __init__(self, token_pitches: np.ndarray, size: int, **kwargs):
        """Makes an embedding.

        Args:
            token_pitches: Which pitches each token makes sound, bool `[token, 128]`.
            size: Length of the vectors.
            **kwargs: The base layer's.
        """
        super().__init__(**kwargs)
        self.input_dim, self.size = len(token_pitches), size
        self._pitches = token_pitches.astype(np.float32)

    def build(self, input_shape):
        """Makes the vectors."""
        del input_shape
        self.pitch_vectors = self.add_weight(
            shape=(self._pitches.shape[1], self.size), name="pitch_vectors"
        )
        self.token_vectors = self.add_weight(
            shape=(self.input_dim, self.size),
            initializer="uniform",
            name="token_vectors",
        )

    def call(self, tokens: tf.Tensor) -> tf.Tensor:
        """Vectors, `[..., size]`, of tokens `[...]`."""
        pitches = tf.cast(tf.gather(self._pitches, tokens), self.compute_dtype)
        vectors = tf.convert_to_tensor(self.pitch_vectors)
        own = tf.gather(tf.convert_to_tensor(self.token_vectors), tokens)
        return tf.tensordot(pitches, vectors, axes=1) + own

    def similarity(self, rows: tf.Tensor) -> tf.Tensor:
        """Inner products, `[rows, token]`, of `[rows, size]` with all vectors.

        Pitches are summed after the product: one step of generation then costs a
        product with the pitches, not the whole table made anew.
        """
        by_pitch = tf.matmul(rows, _as(self.pitch_vectors, rows), transpose_b=True)
        pitches = tf.cast(self._pitches, rows.dtype)
        own = tf.matmul(rows, _as(self.token_vectors, rows), transpose_b=True)
        return tf.matmul(by_pitch, pitches, transpose_b=True) + own


class TokenEmbedding(keras.layers.Embedding):
    """A learned vector for each token."""

    def similarity(self, rows: tf.Tensor) -> tf.Tensor:
        """Inner products, `[rows, token]`, of `[rows, size]` with all vectors."""
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

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Logits, `[..., token]`, of hidden values `[..., size]`."""
        rows = tf.reshape(inputs, [-1, inputs.shape[-1]])  # [rows, size]
        logits = self.embedding.similarity(rows)
        shape = tf.concat([tf.shape(inputs)[:-1], [self.embedding.input_dim]], axis=0)
        return tf.reshape(logits, shape) + _as(self.bias, inputs)


class HandHead(keras.layers.Layer):
    """One hand's share of a roll model: its keys and their number."""

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


def _as(weight, like: tf.Tensor) -> tf.Tensor:
    """A weight in another tensor's type."""
    return tf.cast(tf.convert_to_tensor(weight), like.dtype)
