"""Where data lives: paths on this machine and in buckets.

`tf.io.gfile` knows both once the library for a scheme is loaded. tensorflow-io is
imported here and nowhere else, and only when a path needs it.

Its S3 client aborts the interpreter as it exits, after all work is done;
`tfmusic.command_line` therefore ends a program that has imported it on purpose.
"""

import os

import tensorflow as tf

from tfmusic.errors import UserError

_TENSORFLOW_IO_SCHEMES = ("s3", "az", "hdfs", "viewfs", "har", "http", "https")


def prepare(path: str) -> None:
    """Makes sure that `tf.io.gfile` can open a path.

    Args:
        path: Any path or pattern; those without a scheme need nothing.

    Raises:
        UserError: Its scheme needs tensorflow-io, which cannot be used.
    """
    scheme, separator, _ = path.partition("://")
    if not separator or scheme not in _TENSORFLOW_IO_SCHEMES:
        return
    reason = _why_not(scheme)
    if not reason:
        return
    raise UserError(
        f"{path}: paths with {scheme}:// need tensorflow-io, which cannot be used here "
        f'({reason}); pip install "tfmusic[s3]" installs a TensorFlow that fits it, '
        "on Python 3.11 or 3.12; or use a local path"
    )


def can_use_buckets() -> bool:
    """Whether paths such as s3://bucket/data can be used."""
    return not _why_not("s3")


def _why_not(scheme: str) -> str:
    """Why paths of a scheme cannot be used; empty if they can."""
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
    if not separator or "/" in rest.rstrip("/"):
        tf.io.gfile.makedirs(path)


def move_directory(source: str, target: str, last: str) -> None:
    """Moves a directory with all that is in it, in a bucket file by file.

    Args:
        source: The directory.
        target: Where it is to be; nothing is there yet, perhaps not even its parents.
        last: The file, relative to the directory, that tells that all others are
            there: moved after them.
    """
    source = source.rstrip("/")
    if "://" not in source:
        tf.io.gfile.makedirs(os.path.dirname(target) or ".")
        tf.io.gfile.rename(source, target)
        return
    names = [
        os.path.relpath(os.path.join(folder, name), source)
        for folder, _, files in tf.io.gfile.walk(source)
        for name in files
    ]
    for name in sorted(names, key=lambda name: (name == last, name)):
        tf.io.gfile.rename(os.path.join(source, name), os.path.join(target, name))
