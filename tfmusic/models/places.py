"""Where each step of a piece lies, in its bar, phrase and key, for a network."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from tfmusic.generation.controls import HOME_KEY, METRE, PLAN, Control
from tfmusic.models import metre, phrases
from tfmusic.models.base import Tensors
from tfmusic.models.home_key import HomeKey
from tfmusic.representations import Representation
from tfmusic.representations import home_key as home_key_array
from tfmusic.representations import metre as metre_arrays
from tfmusic.representations import phrases as phrase_arrays


class Places(keras.layers.Layer):
    """What a network reads of a step besides what sounds, as a vector.

    A place is a dict of int32 tensors: where the step lies in its bar, if the
    representation has the metre; in its phrase, and the key that the piece comes home
    to, if it has the plan.

    Attributes:
        names: The representation's arrays that tell it; empty if it has none.
        controls: Those that a new piece's metre and plan follow from.
    """

    def __init__(self, representation: Representation, **kwargs):
        super().__init__(**kwargs)
        specs = representation.feature_specs
        self.bars = self.phrases = self.key = None
        self.names: tuple[str, ...] = ()
        self.controls: tuple[Control, ...] = ()
        self._quarter = representation.steps_per_quarter
        if "bar_position" in specs:
            self.bars = metre.BarEmbedding(name="bars")
            self.names += tuple(metre_arrays.SPECS)
            self.controls += METRE
        if "phrase_left" in specs:
            self.phrases = phrases.PhraseEmbedding(name="phrases")
            self.key = HomeKey(representation.home_keys, name="home_key")
            self.names += (*phrase_arrays.SPECS, home_key_array.NAME)
            self.controls += PLAN

    def call(self, place: Tensors) -> tf.Tensor | None:
        """Places, int32 `[...]`, as vectors `[..., feature]`; None without any."""
        layers = [layer for layer in (self.bars, self.phrases) if layer is not None]
        if not layers:
            return None
        vectors = [layer(place) for layer in layers]
        if self.key:
            vectors.append(self.key(place[home_key_array.NAME]))
        return tf.concat(vectors, axis=-1)

    def before_piece(
        self,
        batch_size: tf.Tensor,
        controls: Mapping[str, tf.Tensor] | None = None,
        seed: tf.Tensor | None = None,
    ) -> Tensors:
        """The place of the step before a new piece, int32 `[batch]` each.

        Args:
            batch_size: How many pieces.
            controls: Values of `self.controls`; None: their defaults.
            seed: Of what is left open, a scalar int64; None: the commonest.
        """
        if controls is None:
            controls = {c.name: tf.constant(c.default) for c in self.controls}
        place = {}
        if self.bars:
            place |= metre.before_piece(batch_size, self._quarter, controls)
        if self.phrases:
            place |= phrases.before_piece(batch_size, self._quarter, controls)
            key = self.key.choose(batch_size, controls[HOME_KEY.name], seed)
            place[home_key_array.NAME] = key
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
            key = place[home_key_array.NAME]
            later[home_key_array.NAME] = key + tf.zeros_like(later["phrase_left"])
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
        """A window's arrays, in a fraction of cases without the phrases.

        Half of these are also without the key.

        Args:
            features: Arrays `[time]`.
            fraction: From 0 to 1.
            seed: int32 `[2]`, of which any number is as likely as any other.
        """
        if not self.phrases:
            return features
        chance = tf.cast(seed[0], tf.float32) / 2.0**32 + 0.5
        hidden = dict.fromkeys(phrase_arrays.SPECS, chance < fraction)
        hidden[home_key_array.NAME] = chance < fraction / 2
        return features | {
            name: tf.where(is_hidden, tf.zeros_like(features[name]), features[name])
            for name, is_hidden in hidden.items()
        }
