"""A decoder-only Transformer, as a network that reads sequences or single steps.

Pre-norm blocks (Xiong et al., 2020) of causal self-attention with rotary positions (Su
et al., RoFormer, 2021) and a feed-forward layer (Vaswani et al., 2017). A step attends
to the newest `context_steps` steps, itself included, in training and in generation
alike, so memory is bounded however long the music is.
"""

import dataclasses
from typing import ClassVar, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.settings import Settings, setting

_LONGEST_WAVE = 10_000.0  # RoFormer's base: wavelengths go from 2 pi to 2 pi times it
_MASKED = -1e9


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransformerSettings(Settings):
    """Sizes of a Transformer.

    Attributes:
        num_layers: How many blocks.
        num_heads: Heads of each attention layer.
        hidden_size: Width of the blocks; a multiple of twice the number of heads.
        feed_forward_size: Width of the layer within each block's feed-forward part.
        context_steps: How many of the newest steps each step attends to.
        dropout: Fraction of the values dropped after each part of a block.
    """

    SECTION: ClassVar[str] = "model"

    num_layers: int = setting(6, at_least=1, at_most=1024)
    num_heads: int = setting(8, at_least=1, at_most=65_536)
    hidden_size: int = setting(256, at_least=2, at_most=65_536)
    feed_forward_size: int = setting(1024, at_least=1, at_most=65_536)
    context_steps: int = setting(512, at_least=1, at_most=65_536)
    dropout: float = setting(0.1, at_least=0.0, at_most=0.99)


class AttentionState(NamedTuple):
    """The keys and values of the newest steps, in a ring: step `p` in slot `p % slots`.

    Both are `[batch, layer, slot, head, size]`, keys rotated to their positions.
    """

    keys: tf.Tensor
    values: tf.Tensor
    num_steps: tf.Tensor  # int32 [batch], read so far


class Transformer(keras.layers.Layer):
    """Blocks of causal self-attention; see the module."""

    Settings = TransformerSettings
    is_recurrent = False

    def __init__(
        self, settings: TransformerSettings, exact_inputs: bool = False, **kwargs
    ):
        """Makes the layers; `exact_inputs`: inputs are always read in float32.

        Raises:
            UserError: The width cannot be divided among the heads.
        """
        super().__init__(autocast=False, **kwargs)
        if settings.hidden_size % (2 * settings.num_heads):
            raise UserError(
                "model.hidden_size: expected a multiple of twice model.num_heads "
                f"({2 * settings.num_heads}), got {settings.hidden_size}"
            )
        self.settings = settings
        self.output_size = settings.hidden_size
        dtype = "float32" if exact_inputs else None
        self.read = keras.layers.Dense(settings.hidden_size, dtype=dtype, name="read")
        self.blocks = [
            Block(settings, name=f"block_{i}") for i in range(settings.num_layers)
        ]
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm")

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Reads sequences `[batch, time, feature]`; gives `[batch, time, hidden]`."""
        return self.run(inputs, None, training)[0]

    def run(
        self,
        inputs: tf.Tensor,
        state: AttentionState | None = None,
        training: bool = False,
    ) -> tuple[tf.Tensor, AttentionState | None]:
        """Like `call`, after the steps of a state, if any; gives the new state too.

        Outside training, long sequences are read block by block: memory then grows with
        their length, not with its square.
        """
        if training:
            return self._read(inputs, state, training)
        size = self.settings.context_steps
        batch_size, length = tf.unstack(tf.shape(inputs)[:2])
        carried = state
        if state is None:
            carried = self.initial_state(batch_size, tf.minimum(length, size))
        empty = tf.zeros([batch_size, 0, self.output_size], self.compute_dtype)

        def body(start, outputs, carried):
            new, carried = self._read(inputs[:, start : start + size], carried)
            return start + size, tf.concat([outputs, new], axis=1), carried

        _, outputs, carried = tf.while_loop(
            lambda start, *_: start < length,
            body,
            (0, empty, carried),
            (
                tf.TensorShape([]),
                tf.TensorShape([None, None, self.output_size]),
                tf.nest.map_structure(lambda part: part.shape, carried),
            ),
        )
        outputs = tf.ensure_shape(outputs, [*inputs.shape[:2], self.output_size])
        return outputs, None if state is None else carried

    def _read(
        self, inputs: tf.Tensor, state: AttentionState | None, training: bool = False
    ) -> tuple[tf.Tensor, AttentionState | None]:
        """Like `run`, all steps at once."""
        num_steps = tf.shape(inputs)[1]
        before = tf.zeros([1], tf.int32) if state is None else state.num_steps
        before = before[:, tf.newaxis]
        positions = seen = before + tf.range(num_steps)  # [batch or 1, step]
        if state is not None:
            slots = tf.range(tf.shape(state.keys)[2])
            # The last step before these that went into each slot; below 0: none.
            cached = before - 1 - (before - 1 - slots) % tf.size(slots)
            seen = tf.concat([cached, positions], axis=1)
        # [batch or 1, step, seen step]
        distance = positions[..., tf.newaxis] - seen[:, tf.newaxis]
        attends = (distance >= 0) & (distance < self.settings.context_steps)
        attends &= seen[:, tf.newaxis] >= 0
        hidden, caches = self.read(inputs), []
        for i, block in enumerate(self.blocks):
            cache = None if state is None else (state.keys[:, i], state.values[:, i])
            hidden, new = block(hidden, positions, attends, cache, training=training)
            caches.append(new)
        if state is None:
            return self.norm(hidden), None
        total = before + num_steps
        newest = total - 1 - (total - 1 - slots) % tf.size(slots)
        index = tf.where(newest >= before, tf.size(slots) + newest - before, slots)
        keys, values = (
            tf.gather(tf.stack(parts, axis=1), index, axis=2, batch_dims=1)
            for parts in zip(*caches, strict=True)
        )
        state = AttentionState(keys, values, state.num_steps + num_steps)
        return self.norm(hidden), state

    def step(
        self, inputs: tf.Tensor, state: AttentionState
    ) -> tuple[tf.Tensor, AttentionState]:
        """Reads one step `[batch, feature]`; gives `[batch, hidden]` and the state."""
        hidden, state = self._read(inputs[:, tf.newaxis], state)
        return hidden[:, 0], state

    def initial_state(
        self, batch_size: tf.Tensor | int, max_steps: tf.Tensor | int
    ) -> AttentionState:
        """The state before the first step, with room for so many steps."""
        settings = self.settings
        slots = tf.clip_by_value(max_steps, 1, settings.context_steps)
        ends = [settings.num_heads, settings.hidden_size // settings.num_heads]
        shape = [batch_size, settings.num_layers, slots, *ends]
        empty = tf.zeros(shape, self.compute_dtype)
        empty = tf.ensure_shape(empty, [None, settings.num_layers, None, *ends])
        return AttentionState(empty, empty, tf.zeros([batch_size], tf.int32))


class Block(keras.layers.Layer):
    """Self-attention and a feed-forward layer, each added to what it read."""

    def __init__(self, settings: TransformerSettings, **kwargs):
        """Makes the layers."""
        super().__init__(autocast=False, **kwargs)
        size = settings.hidden_size
        self.num_heads = settings.num_heads
        self.norms = [keras.layers.LayerNormalization(epsilon=1e-5) for _ in range(2)]
        self.project = keras.layers.Dense(3 * size, use_bias=False)
        self.merge = keras.layers.Dense(size)
        self.widen = keras.layers.Dense(settings.feed_forward_size, activation="gelu")
        self.narrow = keras.layers.Dense(size)
        self.dropouts = [keras.layers.Dropout(settings.dropout) for _ in range(2)]

    def call(
        self,
        hidden: tf.Tensor,
        positions: tf.Tensor,
        attends: tf.Tensor,
        cache: tuple[tf.Tensor, tf.Tensor] | None,
        training: bool = False,
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
        """Reads steps `[batch, step, size]`; gives them, and all keys and values seen.

        `positions` are int32 `[batch, step]` and `attends` bool `[batch, step, seen
        step]`, or of one row for all; of what is seen the steps of the cache come
        first, whose parts are `[batch, slot, head, size]`.
        """
        merged = self.project(self.norms[0](hidden))
        shape = [*tf.unstack(tf.shape(hidden)[:2]), 3, self.num_heads]
        parts = tf.reshape(merged, [*shape, hidden.shape[-1] // self.num_heads])
        queries, keys, values = tf.unstack(parts, axis=2)  # [batch, step, head, size]
        queries, keys = rotate(queries, positions), rotate(keys, positions)
        if cache is not None:
            keys = tf.concat([cache[0], keys], axis=1)
            values = tf.concat([cache[1], values], axis=1)
        mixed = attend(queries, keys, values, attends)
        mixed = tf.reshape(mixed, tf.shape(hidden))
        mixed = tf.ensure_shape(mixed, hidden.shape)
        hidden += self.dropouts[0](self.merge(mixed), training=training)
        wide = self.widen(self.norms[1](hidden))
        hidden += self.dropouts[1](self.narrow(wide), training=training)
        return hidden, (keys, values)


def attend(
    queries: tf.Tensor, keys: tf.Tensor, values: tf.Tensor, attends: tf.Tensor
) -> tf.Tensor:
    """Scaled dot-product attention, `[batch, step, head, size]`; softmax in float32.

    `queries` have that shape, `keys` and `values` have seen steps for steps, and
    `attends` is bool `[batch or 1, step, seen step]`.
    """
    scores = tf.einsum("bqhd,bkhd->bhqk", queries, keys)
    scores = tf.cast(scores, tf.float32) * float(queries.shape[-1]) ** -0.5
    weights = tf.nn.softmax(tf.where(attends[:, tf.newaxis], scores, _MASKED))
    return tf.einsum("bhqk,bkhd->bqhd", tf.cast(weights, values.dtype), values)


def rotate(vectors: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """Turns pairs of numbers by angles that grow with the position.

    Products of two rotated vectors depend on the distance of their positions alone.
    `vectors` are `[batch, step, head, size]`, of an even size, `positions` int32
    `[batch or 1, step]`.
    """
    half = vectors.shape[-1] // 2
    speeds = _LONGEST_WAVE ** (-np.arange(half, dtype=np.float32) / half)
    angles = tf.cast(positions, tf.float32)[..., tf.newaxis, tf.newaxis] * speeds
    cos, sin = tf.cos(angles), tf.sin(angles)  # [batch or 1, step, 1, half]
    first, second = tf.split(tf.cast(vectors, tf.float32), 2, axis=-1)
    turned = tf.concat(
        [first * cos - second * sin, first * sin + second * cos], axis=-1
    )
    return tf.cast(turned, vectors.dtype)
