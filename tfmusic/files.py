"""Files that are written whole or not at all, on this machine or in a bucket.

TensorFlow is imported only for paths with a scheme, such as gs://bucket/data.
"""

import contextlib
import errno
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tfmusic.errors import WriteError, first_line

# By the system's words, which TensorFlow's errors hold too.
_REMEDIES = {
    os.strerror(errno.ENOENT): "make the directory first",
    os.strerror(errno.EEXIST): "move the file of that name away",
    os.strerror(errno.ENOTDIR): "choose a path that leads through no file",
    os.strerror(errno.EISDIR): "move the directory of that name away",
}


def write_file(path: str | os.PathLike, content: str | bytes) -> None:
    """Writes a file; a reader finds the old contents or the new ones, never a part.

    Args:
        path: The file, new or there already.
        content: Bytes, or text that is written as UTF-8.

    Raises:
        WriteError: It cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    with replacing(path) as partial, _functions(partial)[0](partial, "wb") as file:
        file.write(data)


@contextlib.contextmanager
def replacing(path: str | os.PathLike, folder: str = "") -> Iterator[str]:
    """Gives the path of a new file to write, which then takes its place.

    Upon an error the new file is removed, and the old one stays as it was. Several
    processes may write the same file at once.

    Args:
        path: The file, new or there already.
        folder: Where to write meanwhile, instead of beside it.

    Raises:
        WriteError: It cannot be written.
    """
    path = os.fspath(path)
    directory, name = os.path.split(path)
    # The ending stays last: some writers choose the format by it.
    name = f".{os.urandom(8).hex()}.partial.{name}"
    partial = os.path.join(folder or directory, name)
    _, rename, remove = _functions(path)
    with writing(path):
        try:
            yield partial
            rename(partial, path)
        except BaseException:  # Ctrl-C, too
            with contextlib.suppress(*_system_errors()):  # it may not be there yet
                remove(partial)
            raise


@contextlib.contextmanager
def writing(what: str | os.PathLike) -> Iterator[None]:
    """Makes one clear line of a full disk, or of one that cannot be written.

    Args:
        what: What is written inside, for the message.

    Raises:
        WriteError: It could not be written.
    """
    try:
        yield
    except _system_errors() as error:
        reason = first_line(error)
        remedies = [remedy for words, remedy in _REMEDIES.items() if words in reason]
        remedy = [*remedies, "make room, or give permission"][0]
        raise WriteError(
            f"{what} cannot be written ({reason}); {remedy}, and start the same "
            "command again: what was saved is whole"
        ) from error


def read_json(path: str) -> Any:
    """The contents of a JSON file."""
    with _functions(path)[0](path, "rb") as file:
        return json.load(file)


def _functions(path: str) -> tuple[Callable, Callable, Callable]:
    """`open`, a `rename` that replaces, and `remove` where a path leads."""
    if "://" not in path:
        return open, os.replace, os.remove
    import tensorflow as tf

    gfile = tf.io.gfile
    return gfile.GFile, functools.partial(gfile.rename, overwrite=True), gfile.remove


def _system_errors() -> tuple[type[Exception], ...]:
    """What reading and writing raises; of TensorFlow's only where it is in use."""
    if tf := sys.modules.get("tensorflow"):
        return OSError, tf.errors.OpError
    return (OSError,)
