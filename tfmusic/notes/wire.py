"""Many messages at once: columns of numbers into a repeated field, and back.

Adding a note to a NoteSequence by hand takes about two microseconds, which would be
most of the time of reading a file. Protocol buffers are plain bytes, so the messages
of one kind are laid out as the rows of a structured array and merged in one call.
Encoding: https://protobuf.dev/programming-guides/encoding/
"""

import contextlib
import contextvars
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_FIXED64, _LENGTH_DELIMITED, _VARINT = 1, 2, 0


def extend(message: Message, field: str, **columns) -> None:
    """Adds one submessage per row to a repeated field.

    Args:
        message: The message that owns the field.
        field: Name of a repeated message field, such as `notes`.
        **columns: Per scalar field of the submessage (doubles, or integers, booleans
            and enumerations that are not negative unless 64 bits wide) an array [n],
            or one number for all rows. At least one is an array.
    """
    outer = message.DESCRIPTOR.fields_by_name[field]
    cells = [_tag(outer.number, _LENGTH_DELIMITED), None]
    for name, values in columns.items():
        inner = outer.message_type.fields_by_name[name]
        if inner.type == FieldDescriptor.TYPE_DOUBLE:
            cells += [_tag(inner.number, _FIXED64), np.asarray(values, "<f8")]
            continue
        if groups := _varints(np.atleast_1d(values)):
            cells += [_tag(inner.number, _VARINT), *groups]
    num_rows = max(np.size(values) for values in columns.values())
    kinds = ["<f8" if getattr(cell, "dtype", 0) == "<f8" else "u1" for cell in cells]
    dtype = np.dtype([(f"{i}", kind) for i, kind in enumerate(kinds)])
    cells[1] = dtype.itemsize - 2  # the length of a row, without the two bytes of head
    rows = np.empty(num_rows, dtype)
    for i, cell in enumerate(cells):
        rows[f"{i}"] = cell
    if written := _written.get():
        written.add(message, field, columns, num_rows)
    message.MergeFromString(rows.tobytes())


def columns(message: Message, field: str, *names: str) -> dict[str, np.ndarray]:
    """Reads scalar fields of all submessages of a repeated field, in one pass.

    Args:
        message: The message that owns the field.
        field: Name of a repeated message field, such as `notes`.
        *names: Fields of the submessage.

    Returns:
        By name an array [n]: float64 of doubles, bool of booleans, else int64.
    """
    owner, kept = _kept.get()
    if owner is not message:
        return _read(message, field, names)
    missing = [name for name in names if (field, name) not in kept]
    for name, column in _read(message, field, missing).items():
        kept[field, name] = _read_only(column)
    return {name: kept[field, name] for name in names}


@contextlib.contextmanager
def columns_kept(message: Message, written: "Written | None" = None) -> Iterator[None]:
    """Within this, each column of a message is read once.

    A column is most of the work on a piece that is encoded several times over.

    Args:
        message: It must not be changed meanwhile.
        written: Its columns that are known already; see `columns_written`.
    """
    token = _kept.set((message, written.of(message) if written else {}))
    try:
        yield
    finally:
        _kept.reset(token)


@contextlib.contextmanager
def columns_written() -> Iterator["Written"]:
    """Within this, what `extend` writes is remembered, and need not be read back.

    Reading a column back takes longer than all else that a file of music needs.
    Whoever asks for this knows that the messages are not changed in other ways.
    """
    token = _written.set(Written())
    try:
        yield _written.get()
    finally:
        _written.reset(token)


class Written:
    """The columns that were written into messages."""

    def __init__(self):
        # By identity, for messages have no hash; one that is held keeps its own.
        self._found: dict[int, tuple[Message, dict[tuple[str, str], np.ndarray]]] = {}

    def of(self, message: Message) -> dict[tuple[str, str], np.ndarray]:
        """The columns of a message by the names of its field and of theirs."""
        _, found = self._found.get(id(message), (None, {}))
        return dict(found)

    def add(
        self, message: Message, field: str, columns: Mapping[str, Any], num_rows: int
    ) -> None:
        """Remembers what is about to be written, if these are all rows of the field."""
        _, found = self._found.setdefault(id(message), (message, {}))
        if len(getattr(message, field)):
            for key in [key for key in found if key[0] == field]:
                del found[key]
            return
        for name, dtype in _dtypes(message, field, columns):
            column = np.broadcast_to(np.asarray(columns[name], dtype), num_rows)
            found[field, name] = _read_only(column)


_kept = contextvars.ContextVar("_kept", default=(None, {}))
_written = contextvars.ContextVar("_written", default=None)


def _read_only(column: np.ndarray) -> np.ndarray:
    """The same numbers, which nobody can change by mistake."""
    column = column.view()
    column.flags.writeable = False
    return column


def _dtypes(
    message: Message, field: str, names: Iterable[str]
) -> list[tuple[str, str]]:
    """Names of scalar fields of the submessages, and what their columns hold."""
    inner = message.DESCRIPTOR.fields_by_name[field].message_type.fields_by_name
    kinds = {FieldDescriptor.TYPE_DOUBLE: "f8", FieldDescriptor.TYPE_BOOL: "?"}
    return [(name, kinds.get(inner[name].type, "i8")) for name in names]


def _read(message: Message, field: str, names: Sequence[str]) -> dict[str, np.ndarray]:
    if not names:
        return {}
    dtype = _dtypes(message, field, names)
    rows = getattr(message, field)
    values = map(operator.attrgetter(*names), rows)
    if len(names) == 1:  # then the values are no tuples
        values = ((value,) for value in values)
    table = np.fromiter(values, dtype, len(rows))
    return {name: np.ascontiguousarray(table[name]) for name in names}


def _tag(number: int, wire_type: int) -> int:
    """The byte before a field; one byte holds the numbers up to 15."""
    return number << 3 | wire_type


def _varints(values: np.ndarray) -> list[np.ndarray]:
    """Integers in groups of seven bits, lowest first, padded to one width.

    Nothing where all are 0: that is what a field holds that is not there.
    """
    # A negative number is its 64-bit complement, so it fills all ten groups.
    values = values.astype(np.int64, copy=False).view(np.uint64)
    largest = int(values.max(initial=0))
    if largest < 128:
        return [values.astype(np.uint8)] if largest else []
    groups = [
        (values >> np.uint64(shift)).astype(np.uint8) | 128
        for shift in range(0, largest.bit_length(), 7)
    ]
    groups[-1] &= 127  # the last of a number is the one without the high bit
    return groups
