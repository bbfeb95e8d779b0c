"""Exports in one file, to ship and to share: half as large, loaded as fast.

The file is a zip archive of the SavedModel. In place of `variables/`, which holds
float32 and does not compress, there is `weights.npz` with float16: a weight is stored
with 11 significant bits, and computed with in float32 as before.
"""

import contextlib
import io
import os
import pathlib
import tempfile
import zipfile
from collections.abc import Iterator

import numpy as np

from tfmusic.errors import UserError
from tfmusic.files import replacing, writing
from tfmusic.serving.catalogue import is_packed, open_packed
from tfmusic.serving.endpoints import save_tensors
from tfmusic.stored import reading

_WORDS = "a model in one file, as tfmusic export writes it, that is whole"
_WEIGHTS = "weights.npz"
_VARIABLES = os.path.join("variables", "variables")
# How TensorFlow names, in a checkpoint, what belongs to which object: no weight.
_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
# The oldest date that a zip archive can hold: the same model gives the same bytes.
_DATE = (1980, 1, 1, 0, 0, 0)
_HALF_LIMIT = float(np.finfo(np.float16).max)


def pack(version_dir: str, path: str) -> None:
    """Writes an export's version into one file.

    Args:
        version_dir: Its directory.
        path: The file to write.

    Raises:
        UserError: A weight is too large for float16, or the file cannot be written.
    """
    folder = pathlib.Path(version_dir)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    contents = {file.relative_to(folder).as_posix(): file for file in files}
    with replacing(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        for name, file in contents.items():
            if not name.startswith("variables/"):
                _add(archive, name, file.read_bytes())
        _add(archive, _WEIGHTS, _half_weights(version_dir))


@contextlib.contextmanager
def as_directory(path: str) -> Iterator[str]:
    """Gives a directory that TensorFlow can load a model from.

    Args:
        path: An export's directory, which is given back, or an export in one file,
            which is unpacked for the time being.

    Raises:
        UserError: The file is no export.
    """
    if not is_packed(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="tfmusic_") as folder:
        unpack(path, folder)
        yield folder


def unpack(path: str, folder: str) -> None:
    """Writes an export in one file as the SavedModel that it was, into a folder.

    Raises:
        UserError: The file is no export, or is not whole.
    """
    with reading(path, _WORDS, "copy it again"), open_packed(path) as archive:
        members = [name for name in archive.namelist() if name != _WEIGHTS]
        archive.extractall(folder, members)
        with np.load(io.BytesIO(archive.read(_WEIGHTS))) as weights:
            arrays = {name: weights[name] for name in weights.files}
    with writing(folder):
        os.makedirs(os.path.join(folder, "variables"), exist_ok=True)
        values = {name: _as_restored(name, array) for name, array in arrays.items()}
        save_tensors(os.path.join(folder, _VARIABLES), values)


def _half_weights(version_dir: str) -> bytes:
    """The variables of a SavedModel as the bytes of an npz file."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(os.path.join(version_dir, _VARIABLES))
    arrays = {}
    for name in sorted(reader.get_variable_to_dtype_map()):
        value = reader.get_tensor(name)
        if name == _OBJECTS:
            arrays[name] = np.frombuffer(value, np.uint8)
        elif value.dtype != np.float32:
            arrays[name] = value
        else:
            arrays[name] = value.astype(np.float16)
            if not np.isfinite(arrays[name]).all():
                raise UserError(
                    f"{version_dir}: expected weights of at most {_HALF_LIMIT:g}, "
                    f"found {np.abs(value).max():g}; export it as a directory"
                )
    buffer = io.BytesIO()
    # np.savez would write the time of day.
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _DATE), content.getvalue())
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Writes a compressed file into an archive."""
    archive.writestr(zipfile.ZipInfo(name, _DATE), content, zipfile.ZIP_DEFLATED)


def _as_restored(name: str, array: np.ndarray) -> np.ndarray | bytes:
    """A variable as the SavedModel's graph restores it."""
    if name == _OBJECTS:
        return array.tobytes()
    return array.astype(np.float32) if array.dtype == np.float16 else array
