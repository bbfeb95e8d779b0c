"""Music as the page draws and plays it, and back. No TensorFlow."""

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import TempoMap
from tfmusic.notes.limits import Limits, ReadError
from tfmusic.notes.measures import (
    QUARTER,
    Measure,
    each_measure,
    fraction_on_grid,
)
from tfmusic.notes.reading import read_bytes
from tfmusic.notes.transforms import apply_sustain

# A page draws that much without delay; files that hold more are for other programs.
LIMITS = Limits(max_notes=50_000, max_seconds=3 * 3600.0, max_controls=200_000)
_LOWEST_FRACTION = 0.9  # of notes on the grid, below which there is no beat
_MOST_BARS = 5_000
_LARGEST = 1e6  # of the numbers of a note


def read_upload(task: tuple[bytes, str]) -> NoteSequence:
    """A file that a visitor sends; runs in a process that may be stopped.

    Args:
        task: Its contents and its name.

    Raises:
        ReadError: It cannot be read, or holds no notes.
    """
    data, name = task
    sequence = read_bytes(data, name, LIMITS)
    if not sequence.notes:
        raise ReadError("no_notes", f"{name}: holds no notes")
    return sequence


def to_page(sequence: NoteSequence, has_beat: bool | None = None) -> dict[str, Any]:
    """What the page knows of a piece.

    Args:
        sequence: The piece.
        has_beat: Whether bars mean anything; None finds out from the notes.

    Returns:
        `notes`, each [pitch, start, end, velocity, track] in order of start; `tracks`
        with name, program and drums; `bars` with number, start, end and beats,
        nothing without a beat; `qpm` at the beginning; `seconds`. All times are
        seconds.
    """
    heard = apply_sustain(sequence)
    tracks = _tracks(heard)
    numbers = {key: number for number, key in enumerate(tracks)}
    notes = sorted(
        [
            note.pitch,
            round(note.start_time, 5),
            round(note.end_time, 5),
            note.velocity or 80,
            numbers[_key(note)],
        ]
        for note in heard.notes
    )
    notes.sort(key=lambda note: note[1])
    tempo_map = TempoMap.of(heard)
    if has_beat is None:
        has_beat = follows_beat(heard, tempo_map)
    seconds = max([heard.total_time, *(note[2] for note in notes)])
    return {
        "notes": notes,
        "tracks": list(tracks.values()),
        "bars": _bars(heard, tempo_map, seconds) if has_beat else [],
        "qpm": round(float(tempo_map.qpm[0]), 2),
        "seconds": round(seconds, 5),
    }


def follows_beat(sequence: NoteSequence, tempo_map: TempoMap) -> bool:
    """Whether the notes of a piece begin on the beats of its tempos."""
    starts = tempo_map.to_quarters([note.start_time for note in sequence.notes])
    return bool(len(starts)) and fraction_on_grid(starts) >= _LOWEST_FRACTION


def edited(base: NoteSequence, notes: Any) -> NoteSequence:
    """A piece with other notes, in the tempos and metres and by the tracks of another.

    Args:
        base: The other.
        notes: As `to_page` gives them, in any order; not to be trusted.

    Raises:
        UserError: They are no notes.
    """
    tracks = list(_tracks(apply_sustain(base))) or [(0, 0, False)]
    if not isinstance(notes, list) or not 1 <= len(notes) <= LIMITS.max_notes:
        raise UserError(
            f"notes: expected 1 to {LIMITS.max_notes} notes, found "
            f"{len(notes) if isinstance(notes, list) else 'no list of them'}"
        )
    result = NoteSequence()
    result.CopyFrom(base)
    for field in ("notes", "control_changes", "pitch_bends"):
        result.ClearField(field)
    for values in notes:
        pitch, start, end, velocity, track = _check_note(values, len(tracks))
        instrument, program, is_drum = tracks[track]
        result.notes.add(
            pitch=pitch,
            start_time=start,
            end_time=end,
            velocity=velocity,
            instrument=instrument,
            program=program,
            is_drum=is_drum,
        )
    result.notes.sort(key=lambda note: (note.start_time, note.pitch))
    result.total_time = max(note.end_time for note in result.notes)
    return result


def _check_note(values: Any, num_tracks: int) -> tuple[int, float, float, int, int]:
    numbers = isinstance(values, list) and len(values) == 5
    # Neither NaN nor what would overflow is within the bounds.
    if numbers and all(
        isinstance(value, int | float) and abs(value) <= _LARGEST for value in values
    ):
        pitch, start, end, velocity, track = values
        if (
            all(int(value) == value for value in (pitch, velocity, track))
            and 0 <= pitch <= 127
            and 0 <= start < end <= LIMITS.max_seconds
            and 1 <= velocity <= 127
            and 0 <= track < num_tracks
        ):
            return int(pitch), float(start), float(end), int(velocity), int(track)
    raise UserError(
        "notes: expected of each pitch 0-127, start before end in seconds, velocity "
        f"1-127 and track 0-{num_tracks - 1}, got {str(values)[:60]}"
    )


def _key(note: NoteSequence.Note) -> tuple[int, int, bool]:
    return note.instrument, note.program, note.is_drum


def _tracks(sequence: NoteSequence) -> dict[tuple[int, int, bool], dict[str, Any]]:
    """Who plays, by instrument, program and drums."""
    names = {info.instrument: info.name for info in sequence.instrument_infos}
    keys = sorted({_key(note) for note in sequence.notes})
    return {
        key: {
            "name": names.get(key[0], "")[:80],
            "program": key[1],
            "drums": key[2],
        }
        for key in keys
    }


def _bars(
    sequence: NoteSequence, tempo_map: TempoMap, seconds: float
) -> list[dict[str, Any]]:
    """The measures, an upbeat being number 0."""
    kept = _measures(sequence, tempo_map, seconds, _MOST_BARS)
    first = 0 if kept and kept[0].is_upbeat else 1
    # All at once: one call for each time would be most of the work.
    places = [[m.start, m.end, *range(m.start, m.end, m.pulse)] for m in kept]
    times = iter(_seconds(tempo_map, [place for bar in places for place in bar]))
    return [
        {
            "number": first + i,
            "start": next(times),
            "end": next(times),
            "beats": list(itertools.islice(times, len(bar) - 2)),
            "metre": "{}/{}".format(*measure.metre),
        }
        for i, (measure, bar) in enumerate(zip(kept, places, strict=True))
    ]


def _measures(
    sequence: NoteSequence, tempo_map: TempoMap, seconds: float, most: int
) -> list[Measure]:
    """The first measures; of a strange tempo and metre there are millions."""
    quarters = float(tempo_map.to_quarters(seconds))
    end = int(np.ceil(quarters * QUARTER - 1e-6))
    return list(itertools.islice(each_measure(sequence, tempo_map, end), most))


def has_more_bars(sequence: NoteSequence, most: int) -> bool:
    """Whether a piece has more measures than so many."""
    end = sequence.total_time
    return len(_measures(sequence, TempoMap.of(sequence), end, most + 1)) > most


def _seconds(tempo_map: TempoMap, units: Sequence[int]) -> list[float]:
    times = tempo_map.to_seconds(np.asarray(units, np.float64) / QUARTER)
    return [round(float(time), 5) for time in times]


def title_of(sequence: NoteSequence) -> str:
    """What a piece is called: by its file, or by its own title."""
    name = os.path.basename(sequence.filename)
    return name or sequence.sequence_metadata.title or "Piece"


def summary(page: Mapping[str, Any]) -> str:
    """A piece in a few words: how many notes, bars or seconds."""
    num_bars = sum(bar["number"] > 0 for bar in page["bars"])  # an upbeat is none
    length = f"{num_bars} bars" if num_bars else f"{page['seconds']:.0f} s"
    return f"{len(page['notes'])} notes, {length}"
