"""`note_sequences:PATH`: TFRecord files of NoteSequences, as Magenta writes them."""

import functools
import glob
import os
import struct
from collections.abc import Iterator

from tfmusic.errors import DropError, UserError, first_line
from tfmusic.files import (
    is_directory,
    is_remote,
    open_regular,
    prepare_path,
    system_errors,
)
from tfmusic.pipelines.parsing import parse_note_sequence
from tfmusic.pipelines.sources.checksums import masked_crc32c
from tfmusic.pipelines.sources.files import fixed_folder, name_within, refuse
from tfmusic.pipelines.sources.items import SourceItem

# A record: its length, 8 bytes; 4 bytes of checksum; the bytes; 4 bytes of checksum.
_LENGTH_BYTES, _HEAD_BYTES, _TAIL_BYTES = 8, 12, 4


def list_note_sequences(path: str) -> Iterator[SourceItem]:
    """The records of a file, of all files that a pattern names, or of a folder.

    Raises:
        UserError: There are no files.
    """
    prepare_path(path)
    pattern = os.path.join(path, "*") if is_directory(path) else path
    paths = sorted(path for path in _glob(pattern) if not is_directory(path))
    if not paths:
        raise UserError(f"note_sequences:{path}: expected TFRecord files, found none")
    folder = fixed_folder(pattern)
    for file in paths:
        name = name_within(folder, file)
        for number, load in enumerate(_loaders(file)):
            yield SourceItem(
                f"{name}/{number:06d}", load, file, parse=parse_note_sequence
            )


def _glob(pattern: str) -> list[str]:
    if not is_remote(pattern):
        return glob.glob(pattern)
    import tensorflow as tf

    return tf.io.gfile.glob(pattern)


def _loaders(path: str) -> Iterator[functools.partial]:
    """What loads each record of a file, and refuses what cannot be found."""
    try:
        for offset, size in find_records(path):
            yield functools.partial(load_record, path, offset, size)
    except DropError as error:
        yield functools.partial(refuse, error)


def find_records(path: str) -> Iterator[tuple[int, int]]:
    """Where the records of a file are, without reading them.

    Returns:
        Of each the place of its first byte and how many it has; of a file that was cut
        off, the last one reaches beyond its end.

    Raises:
        DropError: `no_tfrecord`: the file holds no records; `damaged_record`: from here
            on they cannot be found; `unreadable`.
    """
    try:
        with open_regular(path) as file:
            num_bytes = file.seek(0, os.SEEK_END) or file.tell()
            place = 0
            while place < num_bytes:
                file.seek(place)
                head = file.read(_HEAD_BYTES)
                if len(head) == _HEAD_BYTES and not _is_intact(head):
                    raise _no_record(path, place)
                if len(head) < _LENGTH_BYTES:
                    break
                (size,) = struct.unpack("<Q", head[:_LENGTH_BYTES])
                yield place + _HEAD_BYTES, size
                place += _HEAD_BYTES + size + _TAIL_BYTES
    except system_errors() as error:
        raise DropError("unreadable", f"{path}: {first_line(error)}") from error


def _is_intact(head: bytes) -> bool:
    """Whether the length of a record is the one that was written."""
    length, checksum = head[:_LENGTH_BYTES], head[_LENGTH_BYTES:]
    return masked_crc32c(length) == int.from_bytes(checksum, "little")


def _no_record(path: str, place: int) -> DropError:
    if not place:
        detail = f"{path}: expected an uncompressed TFRecord file"
        return DropError("no_tfrecord", detail)
    return DropError(
        "damaged_record",
        f"{path}: the length of the record at byte {place} is damaged; neither it nor "
        "those behind it can be found",
    )


def load_record(path: str, offset: int, size: int, max_bytes: int) -> bytes:
    """The bytes of a record, or the first `max_bytes` + 1 of them.

    Raises:
        DropError: `cut_off`: the file ends before the record does; `damaged_record`:
            its checksum is that of other bytes; `unreadable`.
    """
    prepare_path(path)
    wanted = min(size, max_bytes + 1)
    data = checksum = b""
    try:
        with open_regular(path) as file:
            file.seek(offset)
            data = file.read(wanted)
            file.seek(offset + size)
            checksum = file.read(_TAIL_BYTES)
    except system_errors() as error:
        # In a bucket, also if the file ends before the record begins.
        if not is_remote(path) or len(data) == wanted:
            raise DropError("unreadable", f"{path}: {first_line(error)}") from error
    if len(data) < wanted or len(checksum) < _TAIL_BYTES:
        raise DropError("cut_off", f"expected {size} bytes, found {len(data)}")
    if wanted == size and masked_crc32c(data) != int.from_bytes(checksum, "little"):
        raise DropError("damaged_record", "its checksum is that of other bytes")
    return data
