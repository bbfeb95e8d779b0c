"""Reading what an earlier command wrote: a file that is damaged is one clear line.

    with reading(path, "the config of a run", "put it back from a copy"):
        config = check_form(read_json(path), {"train": dict})

What can go wrong while a file is read is in one table here, by kind; any other error
is a fault of the program and keeps its traceback.
"""

import contextlib
import csv
import json
import lzma
import math
import os
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from tfmusic.errors import UserError, first_line
from tfmusic.files import is_disk_trouble

# By kind of error, what a file is found to be; the first kind that fits is said.
_DAMAGE: dict[type[Exception], str] = {
    FileNotFoundError: "nothing",
    IsADirectoryError: "a directory",
    PermissionError: "a file that may not be read",
    json.JSONDecodeError: "something that is no JSON",
    UnicodeDecodeError: "something that is no text",
    csv.Error: "something that is no table",
    RecursionError: "something that is nested too deep",
    zipfile.BadZipFile: "an archive that is not whole",
    zlib.error: "an archive that is not whole",
    lzma.LZMAError: "an archive that is not whole",
    EOFError: "the beginning of one",
    struct.error: "the beginning of one",
    NotImplementedError: "an archive of another kind",
    OSError: "a file that cannot be read",
    LookupError: "one in which something is missing",
    TypeError: "one in which something is of another type",
    AttributeError: "one in which something is of another type",
    AssertionError: "one of something else",
    OverflowError: "one with a number that is too large",
    ArithmeticError: "one with a number that cannot be",
    ValueError: "one in which something cannot be",
    MemoryError: "one that takes more memory than there is",
}


def damage() -> tuple[type[Exception], ...]:
    """What reading a damaged file raises; of TensorFlow's only where it is in use."""
    kinds = tuple(_DAMAGE)
    if tf := sys.modules.get("tensorflow"):
        kinds += (tf.errors.OpError,)
    if message := sys.modules.get("google.protobuf.message"):
        kinds += (message.DecodeError,)
    return kinds


@contextlib.contextmanager
def reading(path: str | os.PathLike, what: str, remedy: str) -> Iterator[None]:
    """Makes one clear line of what a damaged file raises.

    Args:
        path: The file, or the directory.
        what: What it should be, such as "the config of a run".
        remedy: What to do if it is not.

    Raises:
        UserError: It is damaged.
    """
    try:
        yield
    except UserError as error:
        if str(path) in str(error):
            raise
        raise _damaged(path, what, f"another: {error}", remedy) from error
    except damage() as error:
        if is_disk_trouble(error):  # what is read may be unpacked
            raise
        raise _damaged(path, what, _found(error), remedy) from error


def _damaged(path: Any, what: str, found: str, remedy: str) -> UserError:
    return UserError(f"{path}: expected {what}, found {found}; {remedy}")


def _found(error: Exception) -> str:
    """What a file is found to be, and the error's own words where they say more."""
    words = next((w for kind, w in _DAMAGE.items() if isinstance(error, kind)), "")
    words = words or "something that is damaged"
    if isinstance(error, FileNotFoundError | IsADirectoryError | RecursionError):
        return words
    said = " ".join(first_line(error).split())[:160]
    return f"{words} ({said})" if said else words


# What JSON holds, as `check_form` takes it: a type, several, a list of forms, names
# with forms; a name that ends in "?" may be missing, and "*" stands for all others.
Form = Any
NUMBER = (int, float)
_WORDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "values by name",
    list: "a list",
    type(None): "null",
}


def check_form(value: Any, form: Form, where: str = "") -> Any:
    """Gives back what was read from JSON if it has the form that it should have.

    Args:
        value: What was read.
        form: See `Form`. Numbers are finite; a whole number is a number too.
        where: The dotted name of the value, for the message.

    Raises:
        ValueError: It has another form; says where.
    """
    if isinstance(form, list):
        _check_kind(value, list, where)
        for number, item in enumerate(value):
            check_form(item, form[0], f"{where}[{number}]")
    elif isinstance(form, Mapping):
        _check_kind(value, dict, where)
        for name, inner in form.items():
            plain = name.removesuffix("?")
            if name == "*":
                for other in value.keys() - {n.removesuffix("?") for n in form}:
                    check_form(value[other], inner, f"{where}.{other}")
            elif plain in value:
                check_form(value[plain], inner, f"{where}.{plain}")
            elif plain == name:
                raise ValueError(f"{_shown(where)}: no {name} in it")
    else:
        _check_kind(value, form, where)
    return value


def _check_kind(value: Any, kinds: type | tuple[type, ...], where: str) -> None:
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    is_right = isinstance(value, kinds) and (
        bool in kinds or not isinstance(value, bool)
    )
    if not is_right:
        words = " or ".join(_WORDS[kind] for kind in kinds)
        raise ValueError(f"{_shown(where)}: not {words} but {value!r:.40}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{_shown(where)}: {value}")


def _shown(where: str) -> str:
    """The dotted name of a value."""
    return re.sub(r"^\.", "", where) or "all of it"
