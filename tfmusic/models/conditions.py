"""What tokens at the beginning of a piece say of all of it, asked for by controls."""

import numpy as np
import tensorflow as tf

from tfmusic.generation.controls import CONDITIONS, LENGTH_BARS, METRE_NUMBER, Control
from tfmusic.models.base import Tensors
from tfmusic.representations.tokens import TokenRepresentation


class Conditions:
    """The conditions of a representation, see `TokenRepresentation.conditions`.

    Attributes:
        controls: One for each, and for the first metre where that can be asked for.
    """

    def __init__(self, representation: TokenRepresentation):
        self._conditions = representation.conditions
        self._first_bars = representation.first_bars()
        # A piece that goes on is longer than its first tokens say.
        self._open = np.arange(len(representation.vocabulary), dtype=np.int32)
        self.controls: list[Control] = []
        for condition in self._conditions:
            control = CONDITIONS[condition.control]
            if condition.names is not None:
                control = control.with_names(condition.names)
            self.controls.append(control)
            if control.name == LENGTH_BARS.name:
                self._open[condition.ids] = condition.ids[0]
        if representation.metres:
            names = [f"{n}/{d}" for n, d in representation.metres]
            self.controls.append(METRE_NUMBER.with_names(names))

    def __len__(self) -> int:
        """How many tokens say them."""
        return len(self._conditions)

    def tokens(self, controls: Tensors) -> list[tf.Tensor]:
        """The tokens that say what the controls ask for, int32 scalars."""
        found = []
        for condition in self._conditions:
            value = controls[condition.control]
            number = tf.reduce_sum(tf.cast(value >= condition.limits, tf.int32))
            found.append(tf.constant(condition.ids, tf.int32)[number])
        return found

    def open_end(self, tokens: tf.Tensor) -> tf.Tensor:
        """Tokens that do not say how long the piece is, since it goes on."""
        return tf.gather(tf.constant(self._open), tokens)

    def first_bars(self, controls: Tensors) -> tf.Tensor | None:
        """Which tokens may begin the first bar, bool `[token]`; None: any."""
        if METRE_NUMBER.name not in controls:
            return None
        number = tf.cast(controls[METRE_NUMBER.name], tf.int32)
        return tf.gather(tf.constant(self._first_bars), number)
