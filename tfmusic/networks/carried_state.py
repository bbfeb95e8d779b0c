"""A recurrent state that goes from one training batch to the next."""

import keras
import tensorflow as tf

from tfmusic.networks.layers import RecurrentStack


class CarriedState:
    """What a recurrent stack remembers of each row of the batch before.

    Gradients end at the batch's first step: truncated back-propagation through time
    (Williams and Peng, 1990).

    Attributes:
        variables: The state, which no optimizer moves. Checkpoints hold it after the
            weights: a resumed run goes on exactly, and who evaluates reads the same
            checkpoint without it.
    """

    def __init__(self, stack: RecurrentStack, batch_size: int):
        """Makes the variables, zeros.

        Args:
            stack: Whose state it is.
            batch_size: Rows of a training batch.
        """
        self._stack = stack
        self.variables = [
            keras.Variable(tf.cast(zeros, tf.float32), trainable=False, name="carried")
            for zeros in stack.initial_state(batch_size)
        ]

    def run(self, inputs: tf.Tensor, begins: tf.Tensor) -> tf.Tensor:
        """Runs in training, from where the batch before ended, and keeps the end.

        Args:
            inputs: `[batch, time, feature]`.
            begins: Rows that begin anew, from zeros, bool `[batch]`.

        Returns:
            `[batch, time, unit]`.
        """
        state = tuple(
            tf.where(
                begins[:, tf.newaxis],
                tf.zeros([], inputs.dtype),
                tf.stop_gradient(tf.cast(tf.convert_to_tensor(value), inputs.dtype)),
            )
            for value in self.variables
        )
        outputs, state = self._stack.run(inputs, state, training=True)
        for value, new in zip(self.variables, state, strict=True):
            value.assign(tf.cast(tf.stop_gradient(new), value.dtype))
        return outputs
