"""Bytes and files into NoteSequences: MIDI, MusicXML and ABC."""

import gzip
import io
import os
import pathlib
import zlib

from tfmusic.errors import first_line
from tfmusic.files import open_regular, system_errors
from tfmusic.notes import NoteSequence
from tfmusic.notes.limits import Limits, ReadError
from tfmusic.notes.midi import midi_to_sequence

__all__ = [
    "SUFFIXES",
    "Limits",
    "ReadError",
    "read_bytes",
    "read_file",
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
    b"\xff\xfe<\0": "musicxml",  # UTF-16
    b"\xfe\xff\0<": "musicxml",
    b"X:": "abc",
    b"%abc": "abc",
}
_GZIP = b"\x1f\x8b"
_DEFAULT_LIMITS = Limits()


def read_bytes(
    data: bytes,
    name: str,
    limits: Limits = _DEFAULT_LIMITS,
    play_repeats: bool = True,
) -> NoteSequence:
    """Reads one piece.

    Args:
        data: The contents of the file, also packed by gzip.
        name: Its name. The ending tells the format; where it is none of `SUFFIXES`,
            the first bytes do. Becomes `filename` of the sequence.
        limits: What the file may hold.
        play_repeats: Whether the repeats of a score are played, or every measure once.

    Returns:
        The piece: see `tfmusic.notes.midi` and `tfmusic.notes.scores`. Of a tunebook,
        the first tune that can be read.

    Raises:
        ReadError: The file cannot be read; nothing else is raised, whatever it holds.
    """
    data = _unpacked(data, name, limits)
    kind = _format_of(data, name)
    if kind == "midi":
        sequence = midi_to_sequence(data, limits)
    elif kind == "musicxml":
        # music21 takes a second to import: only where it is needed.
        from tfmusic.notes.scores.musicxml import musicxml_to_sequence

        sequence = musicxml_to_sequence(data, limits, play_repeats)
    else:
        tunes = read_tunes(data, name, limits, play_repeats)
        sequence = next(tune for tune in tunes if isinstance(tune, NoteSequence))
    sequence.filename = name
    return sequence


def read_tunes(
    data: bytes,
    name: str,
    limits: Limits = _DEFAULT_LIMITS,
    play_repeats: bool = True,
) -> list[NoteSequence | ReadError]:
    """Reads every tune of an ABC tunebook.

    Returns:
        In the book's order, of each tune the music, or why it cannot be read.

    Raises:
        ReadError: It is no ABC, or none of its tunes can be read.
    """
    data = _unpacked(data, name, limits)
    kind = _format_of(data, name)
    if kind != "abc":
        raise ReadError("not_abc", f"expected an ABC tunebook, found {kind}: {name}")
    from tfmusic.notes.scores.tunebooks import abc_to_sequences

    tunes = abc_to_sequences(data, limits, play_repeats)
    for tune in tunes:
        if isinstance(tune, NoteSequence):
            tune.filename = name
    return tunes


def read_file(
    path: str | os.PathLike,
    limits: Limits = _DEFAULT_LIMITS,
    play_repeats: bool = True,
    name: str = "",
) -> NoteSequence:
    """Reads one piece from a file in this process; see `read_bytes`.

    Files that others made are better read by `tfmusic.notes.guarded`.

    Args:
        path: The file.
        limits: What it may hold.
        play_repeats: Whether the repeats of a score are played, or every measure once.
        name: What to call it; its path by default.

    Raises:
        ReadError: The file cannot be read; `missing` if it is not there, or is no file
            but a pipe or a device.
    """
    name = name or os.fspath(path)
    try:
        with open_regular(path) as file:
            data = file.read(limits.max_bytes + 1)
    except system_errors() as error:
        raise ReadError("missing", f"{name}: {first_line(error)}") from error
    if len(data) > limits.max_bytes:
        raise ReadError("too_large", f"{name}: more than {limits.max_bytes} bytes")
    return read_bytes(data, name, limits, play_repeats)


def _unpacked(data: bytes, name: str, limits: Limits) -> bytes:
    """The contents of a file, which gzip may have packed."""
    if data[:2] == _GZIP:
        try:
            with gzip.open(io.BytesIO(data)) as file:
                data = file.read(limits.max_bytes + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise ReadError("damaged_archive", f"{name}: {error}") from error
    if len(data) > limits.max_bytes:
        raise ReadError("too_large", f"{name}: more than {limits.max_bytes} bytes")
    if not data:
        raise ReadError("empty", f"{name}: no bytes")
    return data


def _format_of(data: bytes, name: str) -> str:
    suffix = pathlib.PurePath(name.lower().removesuffix(".gz")).suffix
    for kind, suffixes in _FORMATS.items():
        if suffix in suffixes:
            return kind
    for magic, kind in _MAGIC.items():
        if data.startswith(magic):
            return kind
    raise ReadError("unknown_format", f"{name}: expected one of {', '.join(SUFFIXES)}")
