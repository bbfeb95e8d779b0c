"""Files, local or in a bucket, that are never half-written."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

import tensorflow as tf


def partial_name(path: str) -> str:
    """A name beside a file's own; each worker that writes the file has another."""
    return f"{path}.{os.urandom(8).hex()}.partial"


@contextlib.contextmanager
def written_beside(path: str, mode: str = "w") -> Iterator[tf.io.gfile.GFile]:
    """Opens a file for writing that takes its name when it is complete.

    Args:
        path: Its name.
        mode: `"w"` or `"wb"`.
    """
    partial = partial_name(path)
    with tf.io.gfile.GFile(partial, mode) as file:
        file.write(b"" if "b" in mode else "")  # empty files are files too
        yield file
    tf.io.gfile.rename(partial, path, overwrite=True)


def read_json(path: str) -> Any:
    """The contents of a JSON file."""
    with tf.io.gfile.GFile(path) as file:
        return json.load(file)
