"""How a run computes: the type of matrix products and the kind of recurrent layers."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf
from absl import logging

from tfmusic.networks import fused

# What processors that multiply bfloat16 numbers themselves say in /proc/cpuinfo.
_NATIVE = {"avx512_bf16", "amx_bf16"}


def choose_policy(precision: str) -> str:
    """Chooses how the layers of a run compute, and says so.

    Args:
        precision: "bfloat16" for matrix products of that type, "none" for float32, or
            "auto": the first where the processor has instructions for it.

    Returns:
        The dtype policy for the model's layers.
    """
    has_gpu = bool(tf.config.list_logical_devices("GPU"))
    reason = "as configured"
    if precision == "auto":
        is_native = not has_gpu and bool(_NATIVE & processor_flags())
        precision = "bfloat16" if is_native else "none"
        reason = "this processor multiplies them twice as fast" if is_native else "auto"
    layer = f"tfmusic's own, by {fused.description()}"
    layer = "Keras' own, with cuDNN where it can" if has_gpu else layer
    if precision == "none":
        logging.info("computing in float32; LSTM layers: %s", layer)
        return "float32"
    logging.info(
        "matrix products in bfloat16 (%s), all else in float32; LSTM layers: %s",
        reason,
        layer,
    )
    return "mixed_bfloat16"


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Layers that are made inside get this Keras policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def processor_flags() -> set[str]:
    """What the processor can do; nothing where the system does not tell."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = [line for line in file if line.startswith("flags")]
    except OSError:
        return set()
    return set(lines[0].split()) if lines else set()
