"""Recurrent layers over each other, as a network that reads sequences or steps."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import ClassVar

import keras
import tensorflow as tf

from tfmusic.networks.recurrence import LSTM, Step, make_step
from tfmusic.settings import Settings, setting

CELLS = {"lstm": LSTM, "gru": keras.layers.GRU}
State = tuple[tf.Tensor, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecurrentSettings(Settings):
    """Recurrent layers over each other.

    Attributes:
        cell: Kind of the layers: "lstm" or "gru".
        units: Sizes of the layers, from input to output.
        dropout: Fraction of each layer's outputs dropped on the way to the next one.
        recurrent_dropout: Fraction of the state dropped at every step in all layers but
            the last. Above 0 it rules out cuDNN and is far slower: for published
            settings only.
    """

    SECTION: ClassVar[str] = "model"

    cell: str = setting("lstm", choices=tuple(CELLS))
    units: tuple[int, ...] = setting(
        (512, 512), at_least=1, at_most=65_536, not_empty=True
    )
    dropout: float = setting(0.3, at_least=0.0, at_most=0.99)
    recurrent_dropout: float = setting(0.0, at_least=0.0, at_most=0.99)


class RecurrentStack(keras.layers.Layer):
    """Recurrent layers over each other, with dropout between them.

    Whole sequences go through Keras' own layers, which reach cuDNN on a GPU; single
    steps go through the same layers' cells, so both use the same weights.
    """

    Settings = RecurrentSettings
    is_recurrent = True

    def __init__(
        self,
        settings: RecurrentSettings,
        same_dropout: bool = False,
        exact_inputs: bool = False,
        **kwargs,
    ):
        """Makes the layers.

        Args:
            settings: Their kind and sizes.
            same_dropout: Drop the same values at every step of a sequence (Gal and
                Ghahramani, 2016).
            exact_inputs: Compute the first layer in float32 under mixed precision too:
                bfloat16 has eight bits, and numbers that differ by less are one.
            **kwargs: The base layer's.
        """
        super().__init__(autocast=False, **kwargs)  # its layers cast what they get
        make, units = CELLS[settings.cell], settings.units
        self.units, self.output_size = units, units[-1]
        self.layers = [
            make(
                size,
                return_sequences=True,
                return_state=True,
                recurrent_dropout=(
                    settings.recurrent_dropout if i < len(units) - 1 else 0.0
                ),
                name=f"{settings.cell}_{i}",
                dtype="float32" if exact_inputs and i == 0 else None,
            )
            for i, size in enumerate(units)
        ]
        shape = (None, 1, None) if same_dropout else None
        self.dropouts = [
            keras.layers.Dropout(settings.dropout, shape) for _ in self.layers[1:]
        ]

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Runs over whole sequences from a state of zeros.

        Args:
            inputs: `[batch, time, feature]`.
            training: Whether dropout is on.

        Returns:
            `[batch, time, units[-1]]`.
        """
        return self.run(inputs, None, training)[0]

    def run(
        self, inputs: tf.Tensor, state: State | None = None, training: bool = False
    ) -> tuple[tf.Tensor, State]:
        """Like `call`, from a state (None: zeros), and gives the last state too."""
        states = [None] * len(self.layers) if state is None else self._split(state)
        outputs, new_state = inputs, []
        for i, (layer, initial) in enumerate(zip(self.layers, states, strict=True)):
            if i > 0:
                outputs = self.dropouts[i - 1](outputs, training=training)
            outputs, *last = layer(outputs, initial_state=initial, training=training)
            new_state.extend(last)
        return outputs, tuple(new_state)

    def step(self, inputs: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """One time step, without dropout.

        Args:
            inputs: `[batch, feature]`.
            state: As `initial_state`, `run` or `step` gave it.

        Returns:
            `[batch, units[-1]]` and the new state.
        """
        return self._step([layer.cell for layer in self.layers], inputs, state)

    def make_step(self) -> Callable[[tf.Tensor, State], tuple[tf.Tensor, State]]:
        """`step` for a loop in training: weights are cast once, before it begins."""
        cells = [make_step(layer) for layer in self.layers]
        return functools.partial(self._step, cells)

    def _step(
        self, cells: Sequence[Step], inputs: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, State]:
        """One step of all layers, by their cells."""
        outputs, new_state = inputs, []
        for cell, old in zip(cells, self._split(state), strict=True):
            outputs, new = cell(outputs, old)
            new_state.extend(new if isinstance(new, (list, tuple)) else [new])
        return outputs, tuple(new_state)

    def initial_state(
        self, batch_size: tf.Tensor | int, max_steps: tf.Tensor | int = 0
    ) -> State:
        """Zeros, one tensor `[batch, units]` for each layer's state (LSTM: two)."""
        del max_steps
        return tuple(
            tf.zeros([batch_size, size], layer.compute_dtype)
            for layer in self.layers
            for size in tf.nest.flatten(layer.cell.state_size)
        )

    def _split(self, state: State) -> list[list[tf.Tensor]]:
        """The state of each layer."""
        width = len(state) // len(self.layers)
        return [list(state[i : i + width]) for i in range(0, len(state), width)]


class CarriedState:
    """The state of a recurrent stack that one training batch leaves to the next.

    Gradients end at the batch's first step: truncated back-propagation through time
    (Williams and Peng, 1990).

    Attributes:
        variables: The state, which no optimizer moves. Checkpoints hold it after the
            weights: a run resumes exactly, and who evaluates reads the same
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
