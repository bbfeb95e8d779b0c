"""Music files that others made, read in a process that may be stopped.

A file of a few bytes can ask for hours of work, or for all memory. So commands and
`tfmusic.read_music` read like the job that writes datasets: in a child process with a
clock and a memory limit (`tfmusic.sandbox`). It starts when it is first needed, and
stays for the next file.
"""

import atexit
import collections
import os
import threading

from absl import logging

from tfmusic.errors import DropError, UserError
from tfmusic.notes import NoteSequence, repairs
from tfmusic.notes.limits import Limits, ReadError
from tfmusic.notes.reading import read_file
from tfmusic.sandbox import Sandbox

_SECONDS = 120.0
_MEGABYTES = 2048
_DEFAULT_LIMITS = Limits()


def read_guarded(
    path: str | os.PathLike,
    limits: Limits = _DEFAULT_LIMITS,
    play_repeats: bool = True,
) -> NoteSequence:
    """Reads one piece from a file; see `tfmusic.notes.reading.read_file`.

    Raises:
        ReadError: The file cannot be read; `timeout`, `out_of_memory` or `crashed` if
            reading it takes too long, too much, or fails.
    """
    # Paths are relative to where this process is now, not where it was.
    task = os.path.abspath(path), os.fspath(path), limits, play_repeats
    with _lock:
        try:
            sequence, found = _sandbox()(task)
        except ReadError:
            raise
        except DropError as error:
            raise ReadError(error.reason, f"{path}: {error.detail}") from error
    for what, number in found.items():
        repairs.count(what, number)
    return sequence


def read_input(path: str, flag: str) -> NoteSequence:
    """Reads the file that a command line's flag names; warns of what it changed.

    Raises:
        UserError: The file cannot be read.
    """
    try:
        with repairs.counted() as found:
            sequence = read_guarded(path)
    except ReadError as error:
        raise UserError(
            f"--{flag}={path}: expected a readable MIDI, MusicXML or ABC file; {error}"
        ) from error
    if found:
        counts = ", ".join(f"{number} {what}" for what, number in found.items())
        logging.warning("--%s=%s: changed in reading: %s", flag, path, counts)
    return sequence


def _read(task: tuple) -> tuple[NoteSequence, collections.Counter]:
    """Runs in the child: the piece, and what was repaired in reading it."""
    path, name, limits, play_repeats = task
    with repairs.counted() as found:
        sequence = read_file(path, limits, play_repeats, name)
    return sequence, found


_lock = threading.Lock()
_of_process: dict[int, Sandbox] = {}  # a process that was forked has none


def _sandbox() -> Sandbox:
    process = os.getpid()
    if process not in _of_process:
        _of_process[process] = Sandbox(_read, _SECONDS, _MEGABYTES)
        atexit.register(_of_process[process].close)
    return _of_process[process]
