"""What is known of each step: bar, phrase, key, length, style, for a network."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from tfmusic.generation.controls import (
    CADENCE_OF_BARS,
    HOME_KEY,
    KEY_NUMBER,
    LENGTH_BARS,
    METRE,
    PLAN,
    Control,
)
from tfmusic.models import metre, phrases
from tfmusic.models.bars_left import BarsLeft
from tfmusic.models.base import Tensors
from tfmusic.models.home_key import HomeKey
from tfmusic.models.pitch_context import single_pitches
from tfmusic.models.style import Style
from tfmusic.representations import Representation
from tfmusic.representations import bars_left as length_array
from tfmusic.representations import home_key as home_key_array
from tfmusic.representations import metre as metre_arrays
from tfmusic.representations import phrases as phrase_arrays
from tfmusic.representations import style as style_arrays

_PLAN = (
    *phrase_arrays.SPECS,
    length_array.NAME,
    home_key_array.NAME,
    *style_arrays.SPECS,
)


class Places(keras.layers.Layer):
    """What a network reads of a step besides what sounds, as a vector.

    A place is a dict of int32 tensors: where the step lies in its bar, if the
    representation has the metre; in its phrase, the key that the piece comes home to,
    how many bars are to come, and the piece's style, as far as the representation has
    them.

    Attributes:
        names: The representation's arrays that tell it; empty if it has none.
        controls: Those that a new piece's metre and plan follow from.
        steps_per_quarter: Of the representation.
    """

    def __init__(self, representation: Representation, cadence: float = 0.0, **kwargs):
        """Makes the layer.

        Args:
            representation: Whose arrays it reads.
            cadence: The default of that control, where pieces have a number of bars.
            **kwargs: The base layer's.
        """
        super().__init__(**kwargs)
        specs = representation.feature_specs
        self.bars = self.phrases = self.key = self.length = self.style = None
        self.names: tuple[str, ...] = ()
        self.controls: tuple[Control, ...] = ()
        self.steps_per_quarter = representation.steps_per_quarter
        if "bar_position" in specs:
            self.bars = metre.BarEmbedding(name="bars")
            self.names += tuple(metre_arrays.SPECS)
            self.controls += METRE
        if "phrase_left" in specs:
            self.phrases = phrases.PhraseEmbedding(name="phrases")
            self.names += tuple(phrase_arrays.SPECS)
            self.controls += PLAN
        if home_key_array.NAME in specs:
            is_planned = self.phrases is not None
            self._key_control = HOME_KEY if is_planned else KEY_NUMBER
            self.key = HomeKey(
                representation.home_keys, learns_all=not is_planned, name="home_key"
            )
            self.names += (home_key_array.NAME,)
            self.controls += () if is_planned else (KEY_NUMBER,)
        if length_array.NAME in specs:
            self.length = BarsLeft(
                representation.bars_begun(),
                single_pitches(representation),
                representation.lengths,
                name="bars_left",
            )
            self.names += (length_array.NAME,)
            self.controls += (LENGTH_BARS, CADENCE_OF_BARS.with_default(cadence))
        if style_arrays.TAG in specs:
            self.style = Style(representation.tags, name="style")
            self.names += tuple(style_arrays.SPECS)
            self.controls += self.style.controls

    @property
    def has_plan(self) -> bool:
        """Whether there is something that can be hidden, and so heard more strongly."""
        return bool(self.phrases or self.length or self.style)

    def call(self, place: Tensors) -> tf.Tensor | None:
        """Places, int32 `[...]`, as vectors `[..., feature]`; None without any."""
        if not self.names:
            return None
        vectors = [layer(place) for layer in (self.bars, self.phrases) if layer]
        if self.key:
            vectors.append(self.key(place[home_key_array.NAME]))
        if self.length:
            vectors.append(self.length(place[length_array.NAME]))
        if self.style:
            vectors.append(self.style(place))
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
            place |= metre.before_piece(batch_size, self.steps_per_quarter, controls)
        if self.phrases:
            place |= phrases.before_piece(
                batch_size, self.steps_per_quarter, controls, bar=place
            )
        if self.key:
            key = self.key.choose(batch_size, controls[self._key_control.name], seed)
            place[home_key_array.NAME] = key
        if self.length:
            left = self.length.choose(batch_size, controls[LENGTH_BARS.name], seed)
            place[length_array.NAME] = left
        if self.style:
            unknown = dict.fromkeys(
                style_arrays.SPECS, tf.zeros([batch_size], tf.int32)
            )
            place |= self.style.asked_for(unknown, controls)
        return place

    def of_given(
        self,
        features: Tensors,
        last_onset: tf.Tensor,
        controls: Mapping[str, tf.Tensor],
    ) -> Tensors:
        """The places of music that is given in part, which ends with its last step.

        Args:
            features: Among them the arrays, int32 `[batch, time]`.
            last_onset: Where the last chord begins, int32 `[batch]`.
            controls: Values of `self.controls`.

        Returns:
            int32 `[batch, time]`.
        """
        given = {name: features[name] for name in self.names}
        if self.phrases:
            given |= phrases.of_given(
                given, last_onset, self.steps_per_quarter, controls
            )
        if self.key:
            key = given[home_key_array.NAME]
            number = tf.cast(tf.round(controls[self._key_control.name]), tf.int32)
            key = self.key.learned(tf.where(number > 0, number, key))
            given[home_key_array.NAME] = key
        return given

    def after_prompt(self, prompt: Tensors) -> Tensors:
        """The place of a prompt's last step, of music whose end is not planned."""
        place = {name: prompt[name][:, -1] for name in self.names}
        if self.length:
            place[length_array.NAME] = tf.zeros_like(place[length_array.NAME])
        return phrases.after_prompt(place) if self.phrases else place

    def after_control(
        self, place: Tensors, token: tf.Tensor, controls: Mapping[str, tf.Tensor]
    ) -> Tensors:
        """The place of a prompt's last token, with the bars and style asked for.

        Args:
            place: As `after_prompt` gives it.
            token: The last token, int32 `[batch]`.
            controls: Values of `self.controls`.
        """
        if self.style:
            place = {**place, **self.style.asked_for(place, controls)}
        if self.length:
            left = self.length.left_after(token, controls[LENGTH_BARS.name])
            place = {**place, length_array.NAME: left}
        return place

    def advance(
        self, place: Tensors, steps: tf.Tensor | int, token: tf.Tensor | None = None
    ) -> Tensors:
        """The place some steps later, in bars and phrases of the same length.

        Args:
            place: int32 of any shape.
            steps: At least 1, int32 of a shape that goes with that.
            token: The token at the place, where tokens begin bars; for one step.
        """
        later = {}
        if self.bars:
            later |= metre.advance(place, steps)
        if self.phrases:
            later |= phrases.advance(place, steps)
        constant = (home_key_array.NAME, *style_arrays.SPECS)
        for name in (name for name in constant if name in self.names):
            value = place[name]
            later[name] = value + tf.zeros_like(value + steps)
        if self.length:
            later[length_array.NAME] = self.length.after(
                place[length_array.NAME], token
            )
        return later

    def after(self, place: Tensors, tokens: tf.Tensor) -> Tensors:
        """The arrays of the steps after one, int32 `[batch, time]` each.

        Args:
            place: Of the step, int32 `[batch]`.
            tokens: Of the steps after it, int32 `[batch, time]`; where no tokens begin
                bars, anything as long.
        """
        num_steps = 1 + tf.range(tf.shape(tokens)[1])
        place = {name: values[:, tf.newaxis] for name, values in place.items()}
        later = self.advance(place, num_steps, tokens)
        if self.length:
            left = place[length_array.NAME][:, 0]
            later[length_array.NAME] = self.length.after_each(left, tokens)
        return {name: later[name] for name in self.names}

    def steer(
        self,
        logits: tf.Tensor,
        place: Tensors,
        newest: tf.Tensor,
        controls: Mapping[str, tf.Tensor],
    ) -> tf.Tensor:
        """Logits `[batch, token]` of pieces that end with their last bar.

        Args:
            logits: What the network and other rules say.
            place: Of the token to come.
            newest: The newest token, int32 `[batch]`.
            controls: Values by name.
        """
        if not self.length:
            return logits
        bars_left, key = place[length_array.NAME], place[home_key_array.NAME]
        cadence = controls[CADENCE_OF_BARS.name]
        return self.length.steer(logits, bars_left, newest, key, cadence)

    def is_length_known(self, place: Tensors) -> tf.Tensor:
        """Where the number of bars to come is known, bool `[batch]` or a scalar."""
        return place[length_array.NAME] > 0 if self.length else tf.constant(False)

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
        after = self.advance(places, 1, features.get("tokens"))
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

    def without_plan(self, features: Tensors) -> Tensors:
        """The same arrays or place, of which nothing but bars is known."""
        return {
            name: tf.zeros_like(array) if name in _PLAN else array
            for name, array in features.items()
        }

    def hide_plan(self, features: Tensors, fraction: float, seed: tf.Tensor) -> Tensors:
        """A window's arrays, in a fraction of cases without phrases and length.

        Half of these are also without the key. Half of them are without any style, a
        quarter without the tag and a quarter without the density.

        Args:
            features: Arrays `[time]`.
            fraction: From 0 to 1.
            seed: int32 `[2]`, of which any number is as likely as any other.
        """
        chance = tf.cast(seed[0], tf.float32) / 2.0**32 + 0.5
        hidden = dict.fromkeys(_PLAN, chance < fraction)
        hidden[home_key_array.NAME] = chance < fraction / 2
        no_style, no_tag = chance < fraction / 2, chance < 0.75 * fraction
        hidden[style_arrays.TAG] = no_tag
        hidden[style_arrays.DENSITY] = no_style | ((chance < fraction) & ~no_tag)
        return features | {
            name: tf.where(is_hidden, tf.zeros_like(features[name]), features[name])
            for name, is_hidden in hidden.items()
            if name in self.names
        }
