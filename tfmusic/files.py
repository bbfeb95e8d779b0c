"""Files and directories, on this machine or in a bucket; each is whole or not there.

`tf.io.gfile` knows buckets once the library for a scheme is loaded. TensorFlow is
imported only for paths with a scheme, and tensorflow-io here and nowhere else.

Its S3 client aborts the interpreter as it exits, after all work is done;
`tfmusic.command_line` therefore ends a program that has imported it on purpose.
"""

import contextlib
import errno
import functools
import json
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

from tfmusic.errors import UserError, WriteError, first_line

_TENSORFLOW_IO_SCHEMES = ("s3", "az", "hdfs", "viewfs", "har", "http", "https")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
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


def write_lines(path: str | os.PathLike, lines: Iterable[str]) -> None:
    """Writes a file as `write_file` does, a line at a time.

    Args:
        path: The file, new or there already.
        lines: Without the ends of lines.

    Raises:
        WriteError: It cannot be written.
    """
    with replacing(path) as partial, _functions(partial)[0](partial, "wb") as file:
        for line in lines:
            file.write(f"{line}\n".encode())


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
            with contextlib.suppress(*system_errors()):  # it may not be there yet
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
    except system_errors() as error:
        reason = first_line(error)
        remedies = [remedy for words, remedy in _REMEDIES.items() if words in reason]
        remedy = [*remedies, "make room, or give permission"][0]
        raise WriteError(
            f"{what} cannot be written ({reason}); {remedy}, and start the same "
            "command again: what was saved is whole"
        ) from error


def is_disk_trouble(error: Exception) -> bool:
    """Whether a disk is full or cannot be written, whatever was to be done with it."""
    number = getattr(error, "errno", None)
    words = [os.strerror(known) for known in _DISK]
    is_tensorflows = isinstance(error, system_errors()[1:])
    return number in _DISK or (
        is_tensorflows and any(word in first_line(error) for word in words)
    )


def disk_error(error: Exception) -> WriteError:
    """The line on it, where nobody nearer has made one."""
    path = getattr(error, "filename", None) or "what the command writes"
    return WriteError(
        f"{path} cannot be written ({first_line(error)}); make room, also in the "
        f"folder for temporary files, {tempfile.gettempdir()}, or set TMPDIR to "
        "another, and start the same command again: what was saved is whole"
    )


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Opens a file for reading; what one might wait for without end is refused.

    Raises:
        OSError: It cannot be opened, or is no regular file: a pipe, a device.
        tf.errors.OpError: It is in a bucket, and cannot be opened.
    """
    if is_remote(path):
        return _gfile().GFile(os.fspath(path), "rb")
    # Without O_NONBLOCK a pipe keeps whoever opens it until somebody writes.
    flags = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, os.O_RDONLY | flags)
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        found = _KINDS.get(kind, "something else")
        raise OSError(errno.EINVAL, f"expected a file, found {found}", str(path))
    return open(descriptor, "rb")


def is_remote(path: str | os.PathLike) -> bool:
    """Whether a path leads into a bucket."""
    return "://" in os.fspath(path)


def file_stamp(path: str) -> list[int]:
    """Size and time of a file, which it rarely keeps when it changes.

    Returns:
        Empty if it cannot be found out.
    """
    try:
        if is_remote(path):
            status = _gfile().stat(path)
            return [status.length, status.mtime_nsec]
        status = os.stat(path)
        return [status.st_size, status.st_mtime_ns]
    except system_errors():
        return []


def exists(path: str) -> bool:
    """Whether there is a file or directory.

    Raises:
        UserError: It is in a bucket that cannot be looked into.
    """
    if not is_remote(path):
        return os.path.exists(path)
    try:
        return _gfile().exists(path)
    except system_errors() as error:
        raise UserError(
            f"{path}: cannot be looked at ({first_line(error)}); expected a path on "
            "this machine, or in a bucket that you have access to"
        ) from error


def is_directory(path: str) -> bool:
    """Whether there is a directory."""
    return _gfile().isdir(path) if is_remote(path) else os.path.isdir(path)


def list_directory(path: str) -> list[str]:
    """The names of what is in a directory."""
    names = _gfile().listdir(path) if is_remote(path) else os.listdir(path)
    return [name.rstrip("/") for name in names]


def read_bytes(path: str) -> bytes:
    """The contents of a file."""
    with _functions(path)[0](path, "rb") as file:
        return file.read()


def read_lines(path: str) -> Iterator[bytes]:
    """The lines of a file, of which one is in memory at a time."""
    with _functions(path)[0](path, "rb") as file:
        yield from file


def read_json(path: str) -> Any:
    """The contents of a JSON file."""
    return json.loads(read_bytes(path))


def prepare_path(path: str) -> None:
    """Makes sure that `tf.io.gfile` can open a path.

    Args:
        path: Any path or pattern; those without a scheme need nothing.

    Raises:
        UserError: Its scheme needs tensorflow-io, which cannot be used.
    """
    scheme, separator, _ = path.partition("://")
    if not separator or scheme not in _TENSORFLOW_IO_SCHEMES:
        return
    if reason := _why_not(scheme):
        raise UserError(
            f"{path}: paths with {scheme}:// need tensorflow-io, which cannot be used "
            f'here ({reason}); pip install "tfmusic[s3]" installs a TensorFlow that '
            "fits it, on Python 3.11 or 3.12; or use a local path"
        )


def can_use_buckets() -> bool:
    """Whether paths such as s3://bucket/data can be used."""
    return not _why_not("s3")


def _why_not(scheme: str) -> str:
    """Why paths of a scheme cannot be used; empty if they can."""
    import tensorflow as tf

    try:
        import tensorflow_io  # noqa: F401  It registers its file systems.
    except (ImportError, NotImplementedError) as error:
        return str(error)
    # With a TensorFlow that it was not built for it registers none, and warns.
    if scheme in tf.io.gfile.get_registered_schemes():
        return ""
    return f"it does not load with TensorFlow {tf.__version__}"


def check_model_path(path: str) -> None:
    """Refuses a directory for models from which TensorFlow could not load them.

    Raises:
        UserError: It has a bracket, which TensorFlow takes for a pattern.
    """
    if "[" in path:
        raise UserError(
            f"{path}: TensorFlow cannot load a model from a directory with '[' in its "
            "name; choose another, or rename it"
        )


def make_directory(path: str) -> None:
    """Makes a directory and those above it, as far as they are not there.

    Args:
        path: Any; that of a bucket alone is there already, and cannot be made.
    """
    _, separator, rest = path.partition("://")
    if not separator:
        os.makedirs(path, exist_ok=True)
    elif "/" in rest.rstrip("/"):
        _gfile().makedirs(path)


def move_directory(source: str, target: str, last: str) -> None:
    """Moves a directory with all that is in it, in a bucket file by file.

    Args:
        source: The directory.
        target: Where it is to be; nothing is there yet, perhaps not even its parents.
        last: The file, relative to the directory, that tells that all others are
            there: moved after them.
    """
    source = source.rstrip("/")
    if not is_remote(source):
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        os.rename(source, target)
        return
    gfile = _gfile()
    names = [
        os.path.relpath(os.path.join(folder, name), source)
        for folder, _, files in gfile.walk(source)
        for name in files
    ]
    for name in sorted(names, key=lambda name: (name == last, name)):
        gfile.rename(os.path.join(source, name), os.path.join(target, name))


def _functions(path: str) -> tuple[Callable, Callable, Callable]:
    """`open`, a `rename` that replaces, and `remove` where a path leads."""
    if not is_remote(path):
        return open, os.replace, os.remove
    gfile = _gfile()
    return gfile.GFile, functools.partial(gfile.rename, overwrite=True), gfile.remove


def _gfile() -> Any:
    import tensorflow as tf

    return tf.io.gfile


def system_errors() -> tuple[type[Exception], ...]:
    """What reading and writing raises; of TensorFlow's only where it is in use."""
    if tf := sys.modules.get("tensorflow"):
        return OSError, tf.errors.OpError
    return (OSError,)
