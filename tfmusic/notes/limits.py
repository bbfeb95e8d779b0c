"""What a file may hold, and the error that says why it cannot be read."""

import dataclasses

import numpy as np

from tfmusic.errors import DropError


class ReadError(DropError):
    """A file cannot be read; `reason` is a slug, for counting."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a file may hold; larger ones are broken, or an attack, more than music.

    Attributes:
        max_bytes: Of any file, and of what a compressed score unpacks to.
        max_tracks: Track chunks in a MIDI file.
        max_notes: Notes in a piece.
        max_quarters: Length of a piece in quarter notes.
        max_seconds: Length of a piece in seconds, by its tempos.
        max_pause_seconds: Longest time in which no note begins or ends. One damaged
            delta time makes hours of silence, or of one note; of 2,600 real files the
            one that waits longest does so for 52 s.
        max_controls: Controls and pitch bends of all instruments of a piece; of a
            score, its marks.
    """

    max_bytes: int = 32 * 2**20
    max_tracks: int = 1024
    max_notes: int = 1_000_000
    max_quarters: float = 200_000.0
    max_seconds: float = 24 * 3600.0
    max_pause_seconds: float = 300.0
    max_controls: int = 2_000_000


def check_limit(what: str, found: float, limits: Limits) -> None:
    """Refuses a piece that has more of something than `limits.max_<what>`.

    Raises:
        ReadError: `too_many_<what>`.
    """
    limit = getattr(limits, f"max_{what}")
    if found > limit:
        detail = f"expected at most {limit:g} {what}, found {found:g}"
        raise ReadError(f"too_many_{what}", detail, found)


def check_pauses(starts: np.ndarray, ends: np.ndarray, limits: Limits) -> None:
    """Refuses a piece in which nothing happens for longer than music would wait.

    Args:
        starts: Of its notes, in seconds.
        ends: Likewise.
        limits: What it may hold.

    Raises:
        ReadError: `too_long_pause`.
    """
    times = np.unique(np.concatenate([[0.0], starts, ends]))
    pauses = np.diff(times)
    longest = int(np.argmax(pauses)) if len(pauses) else 0
    if len(pauses) and pauses[longest] > limits.max_pause_seconds:
        found = float(pauses[longest])
        raise ReadError(
            "too_long_pause",
            f"expected at most {limits.max_pause_seconds:g} s in which no note begins "
            f"or ends, found {found:.0f} s from {times[longest]:.0f} s on; damaged "
            "files have such pauses",
            found,
        )
