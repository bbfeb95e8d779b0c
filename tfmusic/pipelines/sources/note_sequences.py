"""`note_sequences:PATH`: TFRecord files of NoteSequences, as Magenta writes them."""

import functools
import os
import struct
from collections.abc import Iterator

import tensorflow as tf

from tfmusic.errors import DropError, UserError
from tfmusic.files import prepare_path
from tfmusic.pipelines.parsing import parse_note_sequence
from tfmusic.pipelines.sources.files import fixed_folder, name_within
from tfmusic.pipelines.sources.items import SourceItem

# A record: its length, 8 bytes; 4 bytes of checksum; the bytes; 4 bytes of checksum.
_LENGTH_BYTES, _HEAD_BYTES, _TAIL_BYTES = 8, 12, 4


def list_note_sequences(path: str) -> Iterator[SourceItem]:
    """The records of a file, of all files that a pattern names, or of a folder.

    Raises:
        UserError: There are no files, or one holds no records.
    """
    prepare_path(path)
    pattern = os.path.join(path, "*") if tf.io.gfile.isdir(path) else path
    paths = sorted(p for p in tf.io.gfile.glob(pattern) if not tf.io.gfile.isdir(p))
    if not paths:
        raise UserError(f"note_sequences:{path}: expected TFRecord files, found none")
    folder = fixed_folder(pattern)
    for file in paths:
        for number, (offset, size) in enumerate(find_records(file)):
            yield SourceItem(
                f"{name_within(folder, file)}/{number:06d}",
                functools.partial(load_record, file, offset, size),
                parse=parse_note_sequence,
            )


def find_records(path: str) -> Iterator[tuple[int, int]]:
    """Where the records of a file are, without reading them.

    Returns:
        Of each the place of its first byte and how many it has; of a file that was cut
        off, the last one reaches beyond its end.

    Raises:
        UserError: The file holds no records.
    """
    num_bytes = tf.io.gfile.stat(path).length
    with tf.io.gfile.GFile(path, "rb") as file:
        head = file.read(_LENGTH_BYTES)
        place = 0
        while len(head) == _LENGTH_BYTES:
            (size,) = struct.unpack("<Q", head)
            end = place + _HEAD_BYTES + size + _TAIL_BYTES
            if end > num_bytes and not place:
                raise UserError(
                    f"note_sequences: {path}: expected an uncompressed TFRecord file"
                )
            yield place + _HEAD_BYTES, size
            if end >= num_bytes:
                break
            file.seek(end)
            place, head = end, file.read(_LENGTH_BYTES)


def load_record(path: str, offset: int, size: int, max_bytes: int) -> bytes:
    """The bytes of a record, or the first `max_bytes` + 1 of them.

    Raises:
        DropError: `cut_off`: the file ends before the record does; `unreadable`.
    """
    prepare_path(path)
    wanted = min(size, max_bytes + 1)
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            file.seek(offset)
            data = file.read(wanted)
    except tf.errors.OutOfRangeError:  # it ends before the record begins
        data = b""
    except tf.errors.OpError as error:
        raise DropError("unreadable", error.message) from error
    if len(data) < wanted:
        raise DropError("cut_off", f"expected {size} bytes, found {len(data)}")
    return data
