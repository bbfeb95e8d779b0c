"""What a user may ask of a whole piece before its first token, in graph code."""

import tensorflow as tf

from tfmusic.generation.controls import (
    CONDITIONS,
    MAX_SILENCE,
    METRE_NUMBER,
    Control,
)
from tfmusic.generation.samplers import IMPOSSIBLE
from tfmusic.models.base import Tensors
from tfmusic.representations.tokens import TokenRepresentation


class Conditions:
    """The conditions of a representation, and its first metre.

    Attributes:
        controls: What asks for them.
        max_silence: The guard against silence; a silent token may be a whole bar.
    """

    def __init__(self, representation: TokenRepresentation):
        self._conditions = representation.conditions
        self._bars = representation.bars_of_metres()
        self.max_silence = MAX_SILENCE
        self.controls: list[Control] = []
        for condition in self._conditions:
            control = CONDITIONS[condition.control]
            if condition.names:
                control = control.with_names(condition.names)
            if condition.names != ():  # there is something to choose
                self.controls.append(control)
        if representation.metres:
            names = [f"{n}/{d}" for n, d in representation.metres]
            self.controls.append(METRE_NUMBER.with_names(names))
            self.max_silence = MAX_SILENCE.with_default(4.0)

    def __len__(self) -> int:
        return len(self._conditions)

    def tokens(self, controls: Tensors) -> list[tf.Tensor]:
        """The first tokens of a piece, int32 scalars."""
        found = []
        for condition in self._conditions:
            value = controls.get(condition.control, tf.constant(0.0))
            number = tf.reduce_sum(tf.cast(value >= condition.limits, tf.int32))
            found.append(tf.constant(condition.ids, tf.int32)[number])
        return found

    @property
    def open_tokens(self) -> list[int]:
        """What stands for any value of each condition."""
        return [int(condition.ids[0]) for condition in self._conditions]

    def steer(self, logits: tf.Tensor, controls: Tensors) -> tf.Tensor:
        """Logits `[batch, token]` of which the bars have the metre asked for.

        Args:
            logits: As the network and other rules have them.
            controls: Values by name.
        """
        if METRE_NUMBER.name not in controls:
            return logits
        number = tf.cast(controls[METRE_NUMBER.name], tf.int32)
        allowed = tf.gather(tf.constant(self._bars), number)
        return logits + tf.where(allowed, 0.0, IMPOSSIBLE)
