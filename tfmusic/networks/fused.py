"""The compiled time loop of LSTM layers, where this installation has it."""

import functools
import os
import pathlib
from collections.abc import Sequence

import tensorflow as tf

# What TFMUSIC_FUSED_LSTM may hold: "0" for TensorFlow's own operations, or the most
# that the compiled loop may use of the processor, in the order of its levels.
VARIABLE = "TFMUSIC_FUSED_LSTM"
LEVELS = ("plain", "avx2", "avx512", "avx512_bf16")


@functools.cache
def _load():
    """The library's operations; None: it was not built or does not load."""
    for path in sorted(pathlib.Path(__file__).parent.glob("_lstm*.so")):
        try:
            library = tf.load_op_library(str(path))
        except (tf.errors.OpError, OSError):
            continue
        if hasattr(library, "tfmusic_lstm"):
            return library
    return None


def library():
    """The operations to use, or None for TensorFlow's own."""
    return None if os.environ.get(VARIABLE) == "0" else _load()


def _attributes():
    level = os.environ.get(VARIABLE, LEVELS[-1])
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    return dict(
        level=LEVELS.index(level), num_threads=threads or len(os.sched_getaffinity(0))
    )


def forward(projected, kernel, output, cell, masks):
    return library().tfmusic_lstm(
        projected, kernel, output, cell, masks, **_attributes()
    )


def backward(outputs_gradient, cell_gradient, kernel, cell, masks, cells, gates):
    return library().tfmusic_lstm_gradient(
        outputs_gradient, cell_gradient, kernel, cell, masks, cells, gates,
        **_attributes(),
    )
