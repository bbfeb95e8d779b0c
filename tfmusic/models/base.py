"""What every model family offers to training, evaluation and export."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from tfmusic.generation.controls import Control
from tfmusic.representations import Representation

Tensors = dict[str, tf.Tensor]

# Of the arrays of all steps that there are at a time, for what is made of them.
COPIES = 4


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """A function for `tf.saved_model.save` or `ExportArchive.add_endpoint`.

    Attributes:
        fn: Graph code that takes the tensors of `input_signature` in their order and
            gives a dict of tensors. It needs no autograph.
        input_signature: The inputs; their names are those of the signature.
        doc: One line for users.
        defaults: By name, the values of inputs that a call may leave out, the last of
            the signature. An input with axes is filled with it, one row.
    """

    fn: Callable[..., Tensors]
    input_signature: tuple[tf.TensorSpec, ...]
    doc: str
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def function(self) -> tf.function:
        """`fn` with its signature, ready to trace."""

        def call(*inputs):
            return self.fn(*inputs)

        # TensorFlow reads names and defaults of inputs from Python's signature; only
        # defaults that are tensors go into the signature of a SavedModel.
        parameters = []
        for spec in self.input_signature:
            default = inspect.Parameter.empty
            if spec.name in self.defaults:
                shape = [size or 1 for size in spec.shape]
                default = tf.constant(self.defaults[spec.name], spec.dtype, shape)
            kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
            parameters.append(inspect.Parameter(spec.name, kind, default=default))
        call.__signature__ = inspect.Signature(parameters)
        return tf.function(call, input_signature=self.input_signature, autograph=False)


@dataclasses.dataclass(frozen=True)
class Memory:
    """About how much memory a call of an export takes besides the weights, in bytes.

    Attributes:
        piece: Each piece that is made, however long it is.
        step: Each step of it.
        given: Each step of music that is given, to be continued or scored.
    """

    piece: int
    step: int
    given: int


class MusicModel(keras.Model):
    """A network that learns from windows of pieces and exports endpoints.

    Attributes:
        representation: How the pieces are encoded, and how outputs are decoded.
        CONTROLS: What steers the endpoints that draw.
        SEARCH_CONTROLS: What steers the beam search, if there is one.
        INFILL_CONTROLS: What steers `infill` besides `CONTROLS`.
        SCORED_BY: How whole pieces are scored: a name of
            `tfmusic.training.scoring.SCORES`.
        LOSS_UNIT: Of the loss, for people; empty where it has none.
        LOSS_MEANING: Of what the loss tells, likewise.
        steps_at_once: How many steps of a piece are made however few are wanted.
    """

    CONTROLS: tuple[Control, ...] = ()
    SEARCH_CONTROLS: tuple[Control, ...] = ()
    INFILL_CONTROLS: tuple[Control, ...] = ()
    SCORED_BY: ClassVar[str] = "likelihood"
    LOSS_UNIT: ClassVar[str] = ""
    LOSS_MEANING: ClassVar[str] = "how badly the model guesses what comes next"
    steps_at_once = 0

    def __init__(self, representation: Representation):
        super().__init__()
        self.representation = representation

    @property
    def output_representation(self) -> Representation:
        """What the arrays of endpoints are, which may be another one."""
        return self.representation

    @property
    def learns_end(self) -> bool:
        """Whether the step after a piece's last one is a target."""
        return False

    @property
    def carries_state(self) -> bool:
        """Whether each row of a training batch goes on where the last batch's ended."""
        return False

    def carry_state_of(self, batch_size: int) -> None:
        """Makes room for the state of so many rows, before the model is compiled.

        Called only where `carries_state`.
        """
        raise NotImplementedError

    @property
    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """What takes the training steps; a run saves and restores the state of each.

        A family with several overrides this, and builds all of them in
        `compile_for_training`: what is not built then would restart on resume.
        """
        return [self.optimizer]

    def example_fn(self, features: Tensors, seed: tf.Tensor) -> tuple[Any, Any, Any]:
        """Makes a training example of one window; graph code.

        Args:
            features: The representation's arrays `[L + 1, ...]`, zeros outside the
                piece; `step` int32 `[L + 1]`, each one's place in the piece;
                `num_steps` int32 scalar, the piece's length.
            seed: int32 `[2]`, for augmentation.

        Returns:
            Inputs, targets and weights of `L` steps, as `fit` takes them. Targets are
            the steps right after the inputs.
        """
        raise NotImplementedError

    def build_model(self) -> None:
        """Makes all weights."""
        raise NotImplementedError

    def compile_for_training(self, optimizer: keras.optimizers.Optimizer) -> None:
        """Compiles with the family's losses and metrics."""
        raise NotImplementedError

    def load_parts(self, data_dir: str) -> None:
        """Takes what a dataset holds beside its pieces, before a run's first step.

        Args:
            data_dir: The dataset that the run learns from.
        """
        del data_dir

    def adapt(self, pieces: tf.data.Dataset) -> None:
        """Learns statistics of the training pieces, before the first step of a run.

        Args:
            pieces: Parsed pieces: the representation's arrays `[T, ...]`.
        """
        del pieces

    def output_arrays(
        self, piece: Mapping[str, np.ndarray]
    ) -> Mapping[str, np.ndarray]:
        """The arrays of a piece, `[step, ...]`, as `output_representation` has them."""
        return piece

    def token_vectors(self) -> np.ndarray | None:
        """The learned vector of each token, float `[token, size]`; None: no such."""
        return None

    def endpoints(self) -> Mapping[str, Endpoint]:
        """What an export of this model can do."""
        raise NotImplementedError

    @property
    def rows_of_step(self) -> int:
        """How many rows of the widest layer's outputs a step takes: one an event."""
        return getattr(self.output_representation, "max_events", 1)

    def memory(self, num_steps: int) -> Memory:
        """What pieces of up to so many steps take, of which follow an export's limits.

        Here as if all steps were made, or read, at once.
        """
        del num_steps
        widest = max(int(w.shape[-1]) for w in self.weights if w.shape)
        step = COPIES * self.rows_of_step * widest * tf.float32.size
        return Memory(self.steps_at_once * step, step, step)


def num_bytes(nest: Any) -> int:
    """How much memory tensors take."""
    flat = tf.nest.flatten(nest)
    return sum(int(tf.size(part)) * part.dtype.size for part in flat)


def step_is_target(step: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """The weight of each step of a window: 1 inside the piece, 0 outside.

    Args:
        step: int32 `[...]`, places in the piece.
        length: int32, the piece's length in steps, plus 1 to count its end.
    """
    is_inside = tf.logical_and(step >= 0, step < length)
    return tf.cast(is_inside, tf.float32)
