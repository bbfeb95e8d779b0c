"""A plan that is heard more strongly than it was learned: classifier-free guidance.

Half of the training windows have no plan, so that one network makes music with a plan
and without. What the plan changes, the difference of the two, is taken more than once.

Source: Ho and Salimans, "Classifier-Free Diffusion Guidance", 2022; of language models
Sanchez et al., "Stay on Topic with Classifier-Free Guidance", 2023.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

# A network's state -> what logits follow from, `[batch, feature]`, and the new state.
ReadFn = Callable[[Any], tuple[tf.Tensor, Any]]


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

    def guide(self, hidden: tf.Tensor, read: ReadFn) -> tuple[tf.Tensor, "Guidance"]:
        """What guided logits follow from, and the guidance of the next step.

        Logits are linear in what they follow from: what holds for the one holds for the
        other.

        Args:
            hidden: Of the network that reads the plan, `[batch, feature]`.
            read: Reads the step without the plan; not called where all weights are 1.
        """

        def guided():
            unplanned, network = read(self.network)
            weight = tf.cast(self.weight, hidden.dtype)[:, tf.newaxis]
            return unplanned + weight * (hidden - unplanned), network

        hidden, network = tf.cond(
            tf.reduce_any(self.weight != 1.0),
            guided,
            lambda: (hidden, self.network),
        )
        return hidden, self._replace(network=network)
