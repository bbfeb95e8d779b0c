"""What training computes by compiled code, where this installation has it.

The time loop of LSTM layers and the softmax cross-entropy of tokens.
"""

import ctypes
import functools
import importlib.machinery
import os
import pathlib
from collections.abc import Sequence

import tensorflow as tf

from tfmusic.errors import UserError

# Holds 0 for TensorFlow's operations, or one of the levels: the most that compiled code
# may use.
VARIABLE = "TFMUSIC_FUSED_LSTM"
# Instructions that `csrc/lstm.cc` is compiled for, in its order. The first is for tests
# alone: TensorFlow's own products are faster.
LEVELS = ("plain", "avx2", "avx512", "avx512_bf16")


@functools.cache
def _load() -> tuple[object, int, str]:
    """The library's operations, the processor's level; without them None, 0 and why."""
    folder = pathlib.Path(__file__).parent
    paths = [folder / f"_lstm{end}" for end in importlib.machinery.EXTENSION_SUFFIXES]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        return (
            None,
            0,
            "the compiled one is not in this installation (pip builds it where g++ is)",
        )
    try:
        operations = tf.load_op_library(str(path))
        best = ctypes.CDLL(str(path)).tfmusic_lstm_level()
    except (tf.errors.OpError, OSError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        return None, 0, f"the compiled one does not load: {reason}"
    if not hasattr(operations, "tfmusic_lstm"):
        return None, 0, "the compiled one does not know this TensorFlow"
    if not hasattr(operations, "tfmusic_softmax"):
        return None, 0, "the compiled one is older than this code"
    return operations, best, ""


def level() -> int:
    """The index of the level of what is built now to train; -1: not compiled."""
    chosen = os.environ.get(VARIABLE)
    if chosen and chosen not in ("0", *LEVELS):
        raise UserError(
            f"{VARIABLE}: expected 0, {', '.join(LEVELS[:-1])} or {LEVELS[-1]}; "
            f"got {chosen!r}"
        )
    operations, best, _ = _load()
    if chosen == "0" or operations is None:
        return -1
    return min(best, LEVELS.index(chosen)) if chosen else best or -1


def is_used() -> bool:
    """Whether what is built now trains by compiled code."""
    return level() >= 0


def description() -> str:
    """What LSTM layers train by on this processor, in a few words."""
    if is_used():
        return f"a compiled loop ({LEVELS[level()]})"
    if os.environ.get(VARIABLE) == "0":
        reason = f"{VARIABLE} is 0"
    else:
        reason = _load()[2] or "the compiled one takes AVX2"
    return f"a loop of TensorFlow's operations: {reason}"


def forward(
    projected: tf.Tensor,
    kernel: tf.Tensor,
    output: tf.Tensor,
    cell: tf.Tensor,
    masks: Sequence[tf.Tensor],
) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
    """All steps of an LSTM, from what its inputs give to the gates.

    Args:
        projected: `[time, batch, 4 * units]`, float32 or bfloat16.
        kernel: The recurrent one, `[units, 4 * units]`.
        output: The output before the first step, `[batch, units]`.
        cell: The cell's state before the first step, float32 `[batch, units]`.
        masks: As of `recurrence.lstm`.

    Returns:
        The outputs `[time, batch, units]`, the last state of the cell, and what
        `backward` needs.
    """
    operations, attributes = _load()[0], _attributes()
    masks = tf.stack(masks) if masks else tf.zeros([0], projected.dtype)
    outputs, last, *saved = operations.tfmusic_lstm(
        projected, kernel, output, cell, masks, **attributes
    )
    return outputs, last, [kernel, cell, masks, *saved]


def backward(
    outputs_gradient: tf.Tensor, cell_gradient: tf.Tensor, saved: Sequence[tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The way back.

    Args:
        outputs_gradient: `[time, batch, units]`.
        cell_gradient: Of the last state of the cell, float32 `[batch, units]`.
        saved: From `forward`.

    Returns:
        Gradients of `projected`; of `output`, in float32; of `cell`.
    """
    return _load()[0].tfmusic_lstm_gradient(
        outputs_gradient, cell_gradient, *saved, **_attributes()
    )


def softmax(
    logits: tf.Tensor, bias: tf.Tensor, labels: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
    """The nats of labels, and whether they are the likeliest classes.

    Args:
        logits: `[row, class]`, float32 or bfloat16.
        bias: What is added to every row, float32 `[class]`.
        labels: int32 `[row]`.

    Returns:
        Nats, float32 `[row]`; 1 where no class before the label has as great a logit,
        and none after it a greater one, float32 `[row]`; and what `softmax_gradient`
        needs.
    """
    nats, hits, sums = _load()[0].tfmusic_softmax(logits, bias, labels, **_attributes())
    return nats, hits, [logits, bias, labels, sums]


def softmax_gradient(
    upstream: tf.Tensor, saved: Sequence[tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """The gradients of the logits, in their type, and of the bias.

    Args:
        upstream: Of the nats, float32 `[row]`.
        saved: From `softmax`.
    """
    return _load()[0].tfmusic_softmax_gradient(upstream, *saved, **_attributes())


def _attributes() -> dict[str, int]:
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    return {"level": level(), "num_threads": threads or len(os.sched_getaffinity(0))}
