"""How a command ends that cannot write what it has to."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from tfmusic.errors import UserError


@contextlib.contextmanager
def writing(what: str) -> Iterator[None]:
    """Makes one clear line of a full disk, or of one that cannot be written.

    Args:
        what: What is written inside, for the message.

    Raises:
        UserError: It could not be written.
    """
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise UserError(
            f"{what} cannot be written ({first_line(error)}); make room, or give "
            "permission, and start the same command again: what was saved is whole"
        ) from error


def first_line(error: Exception) -> str:
    """What went wrong, without the stack that TensorFlow adds."""
    text = getattr(error, "message", None) or str(error)
    return text.strip().splitlines()[0][:200] if text.strip() else type(error).__name__
