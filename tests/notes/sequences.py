"""Sequences from tuples, and what makes two of them the same music."""

import warnings

from note_seq import midi_io

from tfmusic.notes import NoteSequence

FIELDS = (
    "notes",
    "tempos",
    "time_signatures",
    "key_signatures",
    "control_changes",
    "pitch_bends",
    "instrument_infos",
)


def make_sequence(*notes, qpm=120.0, instrument=0, **fields) -> NoteSequence:
    """A sequence of (pitch, velocity, start, end[, instrument]) at one tempo."""
    sequence = NoteSequence(ticks_per_quarter=220, **fields)
    sequence.tempos.add(time=0, qpm=qpm)
    for pitch, velocity, start, end, *which in notes:
        sequence.notes.add(
            pitch=pitch,
            velocity=velocity,
            start_time=start,
            end_time=end,
            instrument=which[0] if which else instrument,
        )
        sequence.total_time = max(sequence.total_time, end)
    return sequence


def tuples(sequence: NoteSequence) -> list[tuple]:
    """(pitch, velocity, start, end) of every note, times to the microsecond."""
    return [
        (n.pitch, n.velocity, round(n.start_time, 6), round(n.end_time, 6))
        for n in sequence.notes
    ]


def read_by_note_seq(data: bytes) -> NoteSequence:
    with warnings.catch_warnings():
        # pretty_midi warns of tempos outside the first track.
        warnings.simplefilter("ignore")
        return midi_io.midi_to_note_sequence(data)


def differences(ours: NoteSequence, theirs: NoteSequence) -> set[str]:
    """Names of the fields that differ, in whatever order; times within 0.1 ms."""
    found = set()
    for field in FIELDS:
        rows = [sorted(map(_row, getattr(s, field))) for s in (ours, theirs)]
        if len(rows[0]) != len(rows[1]) or not all(map(_near, *rows)):
            found.add(field)
    for field in ("ticks_per_quarter", "source_info"):
        if getattr(ours, field) != getattr(theirs, field):
            found.add(field)
    if abs(ours.total_time - theirs.total_time) > 1e-4:
        found.add("total_time")
    return found


def _row(message) -> tuple:
    values = (getattr(message, field.name) for field in message.DESCRIPTOR.fields)
    return tuple(round(v, 9) if isinstance(v, float) else v for v in values)


def _near(a: tuple, b: tuple) -> bool:
    return len(a) == len(b) and all(
        abs(x - y) < 1e-4 if isinstance(x, float) else x == y
        for x, y in zip(a, b, strict=True)
    )
