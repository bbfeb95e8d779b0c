"""Bytes and files into NoteSequences: MIDI, MusicXML and ABC."""

import os
import pathlib

from absl import logging

from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence, repairs
from tfmusic.notes.limits import Limits, ReadError
from tfmusic.notes.midi import midi_to_sequence

__all__ = [
    "SUFFIXES",
    "Limits",
    "ReadError",
    "read_bytes",
    "read_file",
    "read_input",
    "read_tunes",
]

_FORMATS = {
    "midi": (".mid", ".midi", ".kar", ".rmi"),
    "musicxml": (".xml", ".musicxml", ".mxl"),
    "abc": (".abc",),
}
SUFFIXES = tuple(suffix for suffixes in _FORMATS.values() for suffix in suffixes)
_MAGIC = {
    b"MThd": "midi",
    b"RIFF": "midi",
    b"PK": "musicxml",
    b"<": "musicxml",
    b"\xef\xbb\xbf<": "musicxml",
    b"X:": "abc",
    b"%abc": "abc",
}
_DEFAULT_LIMITS = Limits()


def read_bytes(
    data: bytes, name: str, limits: Limits = _DEFAULT_LIMITS
) -> NoteSequence:
    """Reads one piece.

    Args:
        data: The contents of the file.
        name: Its name. The ending tells the format; where it is none of `SUFFIXES`,
            the first bytes do. Becomes `filename` of the sequence.
        limits: What the file may hold.

    Returns:
        The piece; see `tfmusic.notes.midi` for what is made of MIDI. Of a tunebook,
        the first tune that can be read.

    Raises:
        ReadError: The file cannot be read; nothing else is raised, whatever it holds.
    """
    kind = _format_of(data, name, limits)
    if kind == "midi":
        sequence = midi_to_sequence(data, limits)
    elif kind == "musicxml":
        # note-seq's own readers take a second to import: only where they are needed.
        from tfmusic.notes.scores import musicxml_to_sequence

        sequence = musicxml_to_sequence(data, limits)
    else:
        tunes = read_tunes(data, name, limits)
        sequence = next(tune for tune in tunes if isinstance(tune, NoteSequence))
    sequence.filename = name
    return sequence


def read_tunes(
    data: bytes, name: str, limits: Limits = _DEFAULT_LIMITS
) -> list[NoteSequence | ReadError]:
    """Reads every tune of an ABC tunebook.

    Returns:
        In the book's order, of each tune the music, or why it cannot be read.

    Raises:
        ReadError: It is no ABC, or none of its tunes can be read.
    """
    kind = _format_of(data, name, limits)
    if kind != "abc":
        raise ReadError("not_abc", f"expected an ABC tunebook, found {kind}: {name}")
    from tfmusic.notes.tunebooks import abc_to_sequences

    tunes = abc_to_sequences(data, limits)
    for tune in tunes:
        if isinstance(tune, NoteSequence):
            tune.filename = name
    return tunes


def read_file(
    path: str | os.PathLike, limits: Limits = _DEFAULT_LIMITS
) -> NoteSequence:
    """Reads one piece from a file; see `read_bytes`.

    Raises:
        ReadError: The file cannot be read; `missing` if it is not there.
    """
    path = pathlib.Path(path)
    try:
        if path.stat().st_size > limits.max_bytes:
            raise ReadError("too_large", f"{path}: more than {limits.max_bytes} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise ReadError("missing", f"{path}: {error.strerror}") from error
    return read_bytes(data, str(path), limits)


def read_input(path: str, flag: str) -> NoteSequence:
    """Reads the file that a command line's flag names; warns of what it repaired.

    Raises:
        UserError: The file cannot be read.
    """
    try:
        with repairs.counted() as found:
            sequence = read_file(path)
    except ReadError as error:
        raise UserError(
            f"--{flag}={path}: expected a readable MIDI, MusicXML or ABC file, but "
            f"{error}"
        ) from error
    if found:
        counts = ", ".join(f"{number} {what}" for what, number in found.items())
        logging.warning("--%s=%s: repaired %s", flag, path, counts)
    return sequence


def _format_of(data: bytes, name: str, limits: Limits) -> str:
    if len(data) > limits.max_bytes:
        raise ReadError("too_large", f"{name}: more than {limits.max_bytes} bytes")
    if not data:
        raise ReadError("empty", f"{name}: no bytes")
    suffix = pathlib.PurePath(name).suffix.lower()
    for kind, suffixes in _FORMATS.items():
        if suffix in suffixes:
            return kind
    for magic, kind in _MAGIC.items():
        if data.startswith(magic):
            return kind
    raise ReadError("unknown_format", f"{name}: expected one of {', '.join(SUFFIXES)}")
