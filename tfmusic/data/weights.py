"""The weights of a network beside the data it made: one file, `autoencoder.npz`."""

import hashlib
import io
import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.files import write_file
from tfmusic.representations import Representation

FILE_NAME = "autoencoder.npz"
_KEY = "weights/{}/.ATTRIBUTES/VARIABLE_VALUE"

Weights = list[np.ndarray]


def read_export(path: str) -> Weights:
    """The weights in one version of an export, in the order of the model's variables.

    Raises:
        UserError: There are none.
    """
    prefix = os.path.join(path, "variables", "variables")
    try:
        reader = tf.train.load_checkpoint(prefix)
    except (tf.errors.OpError, ValueError) as error:
        raise UserError(
            f"{path}: expected the variables of an exported model, but "
            f"{str(error).splitlines()[0]}"
        ) from error
    count = 0
    while reader.has_tensor(_KEY.format(count)):
        count += 1
    return [reader.get_tensor(_KEY.format(i)) for i in range(count)]


def fingerprint(weights: Sequence[np.ndarray], representation: Representation) -> str:
    """Sixteen hex digits that stand for weights and for what they read."""
    digest = hashlib.sha256(representation.fingerprint().encode())
    for array in weights:
        digest.update(str((array.dtype.str, array.shape)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def save_weights(weights: Sequence[np.ndarray], directory: str) -> None:
    """Writes the file into a directory."""
    buffer = io.BytesIO()
    np.savez(buffer, *weights)
    write_file(os.path.join(directory, FILE_NAME), buffer.getvalue())


def load_weights(directory: str) -> Weights:
    """What `save_weights` wrote.

    Raises:
        UserError: The directory has no such file.
    """
    path = os.path.join(directory, FILE_NAME)
    if not tf.io.gfile.exists(path):
        raise UserError(
            f"{directory}: expected a dataset of latents, found no {FILE_NAME} in it; "
            "write one with python -m pipelines.encode_latents"
        )
    with tf.io.gfile.GFile(path, "rb") as file, np.load(io.BytesIO(file.read())) as all:
        return [all[f"arr_{i}"] for i in range(len(all.files))]
