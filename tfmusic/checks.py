"""Arguments of Python callers: what cannot be is refused in a line that says why."""

import math
import numbers
import os
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from tfmusic.errors import UserError


def whole_number(name: str, value: Any, lowest: int, highest: int) -> int:
    """A whole number within bounds.

    Raises:
        UserError: It is none, or out of them.
    """
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise _wrong(name, "a whole number", value)
    if value < lowest:
        raise UserError(f"{name}: expected at least {lowest:,}, got {value:,}")
    if value > highest:
        raise UserError(f"{name}: expected at most {highest:,}, got {value:,}")
    return int(value)


def number(name: str, value: Any) -> float:
    """A finite number.

    Raises:
        UserError: It is none.
    """
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise _wrong(name, "a number", value)
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise UserError(f"{name}: expected a finite number, got {found}")
    return found


def text(name: str, value: Any) -> str:
    """A text that is not empty.

    Raises:
        UserError: It is none.
    """
    if not isinstance(value, str) or not value:
        raise _wrong(name, "a text", value)
    return value


def path(name: str, value: Any) -> str:
    """The path of a file or a directory.

    Raises:
        UserError: It is none.
    """
    try:
        found = os.fspath(value)
    except TypeError:
        raise _wrong(name, "a path", value) from None
    if not isinstance(found, str) or not found or "\0" in found:
        raise _wrong(name, "a path", value)
    return found


def mapping(name: str, value: Any) -> Mapping[str, Any]:
    """Values by name.

    Raises:
        UserError: They are none.
    """
    if not isinstance(value, Mapping) or not all(isinstance(k, str) for k in value):
        raise _wrong(name, "values by name, such as {'temperature': 0.9}", value)
    return value


def sequence(name: str, value: Any) -> Sequence[Any]:
    """A list or something like it.

    Raises:
        UserError: It is none.
    """
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise _wrong(name, "a list", value)
    return value


def _wrong(name: str, expected: str, value: Any) -> UserError:
    """The answer to a value of another type."""
    shown = " ".join(reprlib.repr(value).split())  # music has many lines
    return UserError(f"{name}: expected {expected}, got {shown}")
