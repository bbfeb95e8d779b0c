"""Residual convolutions over time that read whole sequences, from both sides.

For tasks that fill gaps: what stands after a gap counts as much as what stands before
it. Dilated as in van den Oord et al., "WaveNet", 2016, but not causal.
"""

import dataclasses
from typing import ClassVar

import keras
import tensorflow as tf

from tfmusic.settings import Settings, setting

# How many steps apart are those that a layer reads together, layer after layer.
_DILATIONS = (1, 2, 4, 8, 16)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvolutionSettings(Settings):
    """Sizes of a stack of convolutions.

    Attributes:
        num_layers: How many layers.
        hidden_size: Filters of each.
        dropout: Fraction of each layer's outputs dropped.
    """

    SECTION: ClassVar[str] = "model"

    num_layers: int = setting(6, at_least=1, at_most=1024)
    hidden_size: int = setting(192, at_least=1, at_most=65_536)
    dropout: float = setting(0.2, at_least=0.0, at_most=0.99)


class DilatedConvolutions(keras.layers.Layer):
    """Layers of normalisation, convolution and projection, added to what they read."""

    Settings = ConvolutionSettings
    is_recurrent = False

    def __init__(self, settings: ConvolutionSettings, **kwargs):
        """Makes the layers."""
        super().__init__(**kwargs)
        size = settings.hidden_size
        self.output_size = size
        self.read = keras.layers.Dense(size, name="read")
        self.blocks = [
            (
                keras.layers.LayerNormalization(epsilon=1e-5, name=f"norm_{i}"),
                keras.layers.Conv1D(
                    size,
                    3,
                    padding="same",
                    dilation_rate=_DILATIONS[i % len(_DILATIONS)],
                    activation="gelu",
                    name=f"convolution_{i}",
                ),
                keras.layers.Dense(size, name=f"projection_{i}"),
            )
            for i in range(settings.num_layers)
        ]
        # How many steps to each side an output depends on.
        self.reach = sum(convolve.dilation_rate[0] for _, convolve, _ in self.blocks)
        self.dropout = keras.layers.Dropout(settings.dropout)
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm")

    def call(
        self, inputs: tf.Tensor, inside: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Reads sequences.

        Args:
            inputs: `[batch, time, feature]`.
            inside: bool `[batch, time]`; what the other steps hold makes no difference.
            training: Whether dropout is on.

        Returns:
            `[batch, time, hidden_size]`.
        """
        hidden = self.read(inputs)
        kept = tf.cast(inside, hidden.dtype)[..., tf.newaxis]
        for norm, convolve, project in self.blocks:
            # As beyond the ends of a sequence there are zeros outside the piece.
            new = project(convolve(norm(hidden) * kept))
            hidden += self.dropout(new, training=training)
        return self.norm(hidden)
