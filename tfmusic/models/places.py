"""Where each step of a piece lies, in its bar and in its phrase, for a network."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from tfmusic.generation.controls import METRE, PLAN, Control
from tfmusic.models import metre, phrases
from tfmusic.models.base import Tensors
from tfmusic.representations import Representation
from tfmusic.representations import metre as metre_arrays
from tfmusic.representations import phrases as phrase_arrays


class Places(keras.layers.Layer):
    """What a network reads of a step besides what sounds, as a vector.

    A place is a dict of int32 tensors: where the step lies in its bar, if the
    representation has the metre, and in its phrase, if it has the plan.

    Attributes:
        names: The representation's arrays that tell it; empty if it has none.
        controls: Those that a new piece's metre and plan follow from.
    """

    def __init__(self, representation: Representation, **kwargs):
        super().__init__(**kwargs)
        specs = representation.feature_specs
        self.bars = self.phrases = None
        self.names: tuple[str, ...] = ()
        self.controls: tuple[Control, ...] = ()
        self._quarter = representation.steps_per_quarter
        if "bar_position" in specs:
            self.bars = metre.BarEmbedding(name="bars")
            self.names += tuple(metre_arrays.SPECS)
            self.controls += METRE
        if "phrase_left" in specs:
            self.phrases = phrases.PhraseEmbedding(name="phrases")
            self.names += tuple(phrase_arrays.SPECS)
            self.controls += PLAN

    def call(self, place: Tensors) -> tf.Tensor | None:
        """Places, int32 `[...]`, as vectors `[..., feature]`; None without any."""
        layers = [layer for layer in (self.bars, self.phrases) if layer is not None]
        if not layers:
            return None
        return tf.concat([layer(place) for layer in layers], axis=-1)

    def before_piece(
        self, batch_size: tf.Tensor, controls: Mapping[str, tf.Tensor] | None = None
    ) -> Tensors:
        """The place of the step before a new piece, int32 `[batch]` each.

        Args:
            batch_size: How many pieces.
            controls: Values of `self.controls`; None: their defaults.
        """
        if controls is None:
            controls = {c.name: tf.constant(c.default) for c in self.controls}
        place = {}
        if self.bars:
            place |= metre.before_piece(batch_size, self._quarter, controls)
        if self.phrases:
            place |= phrases.before_piece(batch_size, self._quarter, controls)
        return place

    def after_prompt(self, prompt: Tensors) -> Tensors:
        """The place of a prompt's last step, int32 `[batch]` each."""
        place = {name: prompt[name][:, -1] for name in self.names}
        return phrases.after_prompt(place) if self.phrases else place

    def advance(self, place: Tensors, steps: tf.Tensor | int) -> Tensors:
        """The place some steps later, in bars and phrases of the same length."""
        later = {}
        if self.bars:
            later |= metre.advance(place, steps)
        if self.phrases:
            later |= phrases.advance(place, steps)
        return later

    def after(self, place: Tensors, num_steps: tf.Tensor) -> Tensors:
        """The arrays of the steps after one, int32 `[batch, num_steps]` each."""
        place = {name: values[:, tf.newaxis] for name, values in place.items()}
        later = self.advance(place, 1 + tf.range(num_steps))
        return {name: later[name] for name in self.names}

    def with_end(self, features: Tensors, num_steps: tf.Tensor) -> Tensors:
        """The places of a piece's steps and of its end.

        Args:
            features: Among them the arrays, int32 `[..., time]`.
            num_steps: int32 `[...]`, how many of these count.

        Returns:
            int32 `[..., time + 1]`.
        """
        if not self.names:
            return {}
        places = {name: features[name] for name in self.names}
        after = self.advance(places, 1)
        first = places[self.names[0]]
        is_end = tf.range(tf.shape(first)[-1] + 1) == num_steps[..., tf.newaxis]
        paddings = [[0, 0]] * (first.shape.rank - 1)
        return {
            name: tf.where(
                is_end,
                tf.pad(after[name], [*paddings, [1, 0]]),
                tf.pad(values, [*paddings, [0, 1]]),
            )
            for name, values in places.items()
        }

    def hide_plan(self, features: Tensors, fraction: float, seed: tf.Tensor) -> Tensors:
        """A window's arrays, in a fraction of cases without the plan.

        Args:
            features: Arrays `[time]`.
            fraction: From 0 to 1.
            seed: int32 `[2]`, of which any number is as likely as any other.
        """
        if not self.phrases:
            return features
        is_known = tf.cast(seed[0], tf.float32) / 2.0**32 + 0.5 >= fraction
        return features | {
            name: tf.where(is_known, features[name], 0) for name in phrase_arrays.SPECS
        }
