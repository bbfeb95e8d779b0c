"""What models know of the style of a performance: its tag and its density."""

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from tfmusic.generation.controls import NOTES_PER_SECOND, TAG, Control
from tfmusic.models.base import Tensors
from tfmusic.representations import style

_SIZE = 16


class Style(keras.layers.Layer):
    """A learned vector for each tag and for each density.

    Attributes:
        controls: What asks for them; 0 leaves one open.
    """

    def __init__(self, tags: Sequence[str], **kwargs):
        """Makes the layer.

        Args:
            tags: Those of the training pieces.
            **kwargs: The base layer's.
        """
        super().__init__(**kwargs)
        self.controls: tuple[Control, ...] = (NOTES_PER_SECOND,)
        if tags:
            self.controls += (TAG.with_names(tags),)
        sizes = {style.TAG: len(tags), style.DENSITY: len(style.DENSITIES)}
        self._vectors = {
            name: keras.layers.Embedding(
                size + 1,
                _SIZE,
                keras.initializers.RandomNormal(stddev=1.0),
                name=name,
            )
            for name, size in sizes.items()
        }

    def call(self, place: Tensors) -> tf.Tensor:
        """Encodes the arrays of `style.SPECS`, int32 `[...]`, as `[..., 32]`."""
        vectors = []
        for name, layer in self._vectors.items():
            numbers = tf.clip_by_value(place[name], 0, layer.input_dim - 1)
            vectors.append(layer(numbers))
        return tf.concat(vectors, axis=-1)

    def asked_for(self, place: Tensors, controls: Mapping[str, tf.Tensor]) -> Tensors:
        """The style that controls ask for; what they leave open is that of a place.

        Args:
            place: int32 of any shape.
            controls: Values of `self.controls`.
        """
        wanted = {name: tf.zeros([], tf.int32) for name in style.SPECS}
        if TAG.name in controls:
            wanted[style.TAG] = tf.cast(tf.round(controls[TAG.name]), tf.int32)
        rate = controls[NOTES_PER_SECOND.name]
        number = tf.reduce_sum(tf.cast(rate >= style.DENSITIES, tf.int32))
        wanted[style.DENSITY] = tf.where(rate > 0.0, number, 0)
        return {
            name: tf.where(wanted[name] > 0, wanted[name], place[name])
            for name in style.SPECS
        }
