"""One step of a network as an endpoint, for clients that sample by themselves."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfmusic.models.base import Endpoint, Tensors

if TYPE_CHECKING:
    from tfmusic.models.autoregressive import AutoregressiveModel

# Outputs `next_state_...` are the inputs `state_...` of the next step. Their names have
# to differ: in ONNX inputs and outputs share one space.
STATE, NEXT = "state_", "next_"


def step_endpoint(model: "AutoregressiveModel") -> Mapping[str, Endpoint]:
    """`step`, or nothing where a state grows with the piece.

    A call without inputs begins a piece: each input has the value from before the first
    step, and one row of it holds for all.
    """
    first_frame = model.frame_arrays(model.start_frame(1))
    state = model.step_state(1)
    if state is None:
        return {}
    first = {**first_frame, **_prefixed(state)}

    def step(*values):
        num_rows = tf.reduce_max([tf.shape(value)[0] for value in values])
        inputs = {
            name: tf.broadcast_to(
                value, tf.concat([[num_rows], tf.shape(value)[1:]], axis=0)
            )
            for name, value in zip(first, values, strict=True)
        }
        state = {
            n.removeprefix(STATE): v for n, v in inputs.items() if n.startswith(STATE)
        }
        frame = {n: v for n, v in inputs.items() if n in first_frame}
        outputs, state = model.step(frame, state)
        return outputs | {f"{NEXT}{name}": v for name, v in _prefixed(state).items()}

    specs = tuple(
        tf.TensorSpec([None, *value.shape[1:]], value.dtype, name)
        for name, value in first.items()
    )
    doc = (
        f"What may follow a {model.STEP}; the outputs next_state_... are the inputs "
        "state_... of the next step. Left out, inputs are those that begin a piece."
    )
    defaults = {name: _single(name, value) for name, value in first.items()}
    return {"step": Endpoint(step, specs, doc, defaults)}


def _prefixed(state: Tensors) -> Tensors:
    return {f"{STATE}{name}": value for name, value in state.items()}


def _single(name: str, value: tf.Tensor) -> float | int | bool:
    """The value that a whole tensor is filled with."""
    values = np.unique(value.numpy())
    if len(values) != 1:
        raise ValueError(f"{name}: expected one value everywhere, got {values}")
    return values[0].item()
