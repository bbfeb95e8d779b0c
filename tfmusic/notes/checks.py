"""Whether the numbers of a NoteSequence are those of music."""

import math

import numpy as np

from tfmusic.notes import NoteSequence, wire
from tfmusic.notes.grid import TempoMap
from tfmusic.notes.limits import Limits, ReadError, check_limit

_TIMED = (
    "control_changes",
    "key_signatures",
    "pitch_bends",
    "text_annotations",
    "time_signatures",
)


def check_possible(sequence: NoteSequence, limits: Limits) -> float:
    """Refuses numbers that nobody can play: NaN, infinity, absurd times.

    Args:
        sequence: What others made.
        limits: What it may hold.

    Returns:
        Where it ends, in seconds: with its last note, or later.

    Raises:
        ReadError: `impossible_notes`, `impossible_tempos`, `impossible_times`, or one
            of the limits.
    """
    check_limit("notes", len(sequence.notes), limits)
    notes = wire.columns(sequence, "notes", "start_time", "end_time", "pitch")
    starts, ends, pitches = notes.values()
    # Of NaN nothing is true.
    possible = (starts >= 0) & (ends >= starts) & (pitches >= 0) & (pitches <= 127)
    possible &= np.isfinite(ends)
    if not possible.all():
        raise ReadError(
            "impossible_notes",
            f"expected pitches 0..127 and times that go on, found {np.sum(~possible)} "
            "notes of others",
        )
    tempos = wire.columns(sequence, "tempos", "time", "qpm")
    qpm = tempos["qpm"]
    if not (np.isfinite(qpm) & (qpm >= 0) & np.isfinite(tempos["time"])).all():
        raise ReadError(
            "impossible_tempos", "expected tempos above 0 at times that are numbers"
        )
    fields = [wire.columns(sequence, field, "time")["time"] for field in _TIMED]
    times = np.concatenate([*fields, tempos["time"], [sequence.total_time]])
    if not np.isfinite(times).all():
        raise ReadError(
            "impossible_times", "expected times that are numbers, found NaN or infinity"
        )
    last = max(ends.max(initial=0.0), sequence.total_time)
    check_limit("seconds", max(last, np.abs(times).max()), limits)
    quarters = float(TempoMap.of(sequence).to_quarters(last))
    if not math.isfinite(quarters):
        raise ReadError("impossible_tempos", "expected tempos above 0")
    check_limit("quarters", quarters, limits)
    return float(last)
