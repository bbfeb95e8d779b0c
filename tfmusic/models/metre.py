"""What models know of the metre: where in its bar each step of a beat grid lies."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from tfmusic.generation.controls import BAR_QUARTERS, METRE, PICKUP_QUARTERS
from tfmusic.models.base import Tensors

# Two whole notes of sixteenths, or one of 32nds; longer bars are read as that long.
_LONGEST = 64
_SIZE = 16


class BarEmbedding(keras.layers.Layer):
    """A learned vector for each place in a bar, and for each length of a bar."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.positions = keras.layers.Embedding(
            _LONGEST + 1,
            _SIZE,
            keras.initializers.RandomNormal(stddev=1.0),
            name="positions",
        )
        self.lengths = keras.layers.Embedding(
            _LONGEST + 1,
            _SIZE,
            keras.initializers.RandomNormal(stddev=1.0),
            name="lengths",
        )

    def call(self, bar: Tensors) -> tf.Tensor:
        """Encodes places.

        Args:
            bar: `bar_position` and `bar_length`, int32 `[...]`.

        Returns:
            `[..., 16]`, in the layer's compute type.
        """
        position, length = (
            tf.clip_by_value(bar[name], 0, _LONGEST)
            for name in ("bar_position", "bar_length")
        )
        return self.positions(position) + self.lengths(length)


def before_piece(
    batch_size: tf.Tensor,
    steps_per_quarter: int,
    controls: Mapping[str, tf.Tensor] | None = None,
) -> Tensors:
    """The place of the step before a new piece, int32 `[batch]` each.

    Args:
        batch_size: How many pieces.
        steps_per_quarter: Of the grid.
        controls: Values of `METRE`; None: their defaults.
    """
    if controls is None:
        controls = {control.name: tf.constant(control.default) for control in METRE}

    def steps(control) -> tf.Tensor:
        return tf.cast(
            tf.round(controls[control.name] * float(steps_per_quarter)), tf.int32
        )

    length = tf.maximum(steps(BAR_QUARTERS), 1)
    position = tf.math.floormod(-steps(PICKUP_QUARTERS) - 1, length)
    return {
        "bar_position": tf.fill([batch_size], position),
        "bar_length": tf.fill([batch_size], length),
    }


def advance(bar: Tensors, steps: tf.Tensor | int) -> Tensors:
    """The place some steps later, in bars of the same length.

    Args:
        bar: int32 of any shape.
        steps: At least 1, int32 of a shape that goes with that.
    """
    length = tf.maximum(bar["bar_length"], 1)
    position = tf.math.floormod(bar["bar_position"] + steps, length)
    return {
        "bar_position": position,
        "bar_length": tf.broadcast_to(length, tf.shape(position)),
    }


def places_after(bar: Tensors, num_steps: tf.Tensor) -> Tensors:
    """The places of the steps after one, int32 `[batch, num_steps]` each."""
    first = {name: values[:, tf.newaxis] for name, values in bar.items()}
    return advance(first, 1 + tf.range(num_steps))
