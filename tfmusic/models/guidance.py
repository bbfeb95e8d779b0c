"""A plan that is heard more strongly than it was learned: classifier-free guidance.

A plan is what is known of a piece beforehand: its key, its phrases, its length. It is
hidden in a part of the training windows, so that one network makes music with a plan
and without. What the plan changes, the difference of the two, is taken more than once.

Source: Ho and Salimans, "Classifier-Free Diffusion Guidance", 2022; of language models
Sanchez et al., "Stay on Topic with Classifier-Free Guidance", 2023.
"""

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import tensorflow as tf

from tfmusic.generation.controls import GUIDANCE
from tfmusic.models.base import Tensors

if TYPE_CHECKING:
    from tfmusic.models.tokens import TokenModel

State = TypeVar("State")  # a `TokenState`, or one with more in it


class Guidance(NamedTuple):
    """What is needed besides the state of a network that reads the plan.

    Attributes:
        weight: How often the plan counts, float32 `[batch]`; 1: as it was learned.
        network: The state of the same network that reads no plan.
    """

    weight: tf.Tensor
    network: Any

    @classmethod
    def of(cls, weight: tf.Tensor, batch_size: tf.Tensor, network: Any) -> "Guidance":
        """With one weight, a scalar, for all pieces."""
        return cls(tf.fill([batch_size], weight), network)

    def weighed(self, controls: Tensors) -> "Guidance":
        """With the weight that is asked for."""
        weight = tf.fill(tf.shape(self.weight), controls[GUIDANCE.name])
        return self._replace(weight=weight)


def advance(
    model: "TokenModel", frame: Any, state: State, place: Tensors | None
) -> tuple[tf.Tensor, State]:
    """See `TokenModel.advance`; the plan counts as often as `state.guidance` says.

    Logits are linear in what they follow from: what holds for the one holds for the
    other. Where all weights are 1 the network without the plan is not read.
    """
    hidden, new = model.read(frame, state, place)
    if not state.guidance:
        return hidden, new
    weight, network = state.guidance

    def guided():
        unguided = state._replace(network=network)
        free, after = model.read(frame, unguided, model.places.without_plan(new.place))
        times = tf.cast(weight, hidden.dtype)[:, tf.newaxis]
        return free + times * (hidden - free), after.network

    hidden, network = tf.cond(
        tf.reduce_any(weight != 1.0), guided, lambda: (hidden, network)
    )
    return hidden, new._replace(guidance=Guidance(weight, network))
