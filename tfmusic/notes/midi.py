"""MIDI bytes into a NoteSequence, as note-seq reads them but many times faster.

The chunks of the file are walked and checked here, before anything is parsed; the
events of each track are parsed by symusic (C++), in ticks; ticks become seconds by
the tempo map. The result is what `note_seq.midi_to_note_sequence` gives, by way of
pretty_midi, for files in good order. It departs from it on purpose where that loses
or garbles music:

*   A signature or tempo that makes no sense (3/0, 17 sharps, a quarter of no length)
    is passed over; note-seq refuses the whole file.
*   Tempos are those of the first track that has any, and so are metres and keys;
    note-seq passes over all but the first track's.
*   A note sounds with the program of its beginning, not of its end, and a pedal
    pressed between two programs of one channel belongs to one of them, not to both.
*   Bytes above 127 where data belongs are refused, as in note-seq; a file with no
    notes is refused, where note-seq gives an empty sequence.
*   Of two notes struck on one key of which only one is released, the second is lost.
*   The name of a track is read as UTF-8, and is the last where there are several.
*   Notes that end on one tick are ordered by start and pitch, not as in the file.
"""

import dataclasses

import numpy as np
import symusic

from tfmusic.errors import DropError
from tfmusic.notes import NoteSequence, wire


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
    """

    max_bytes: int = 32 * 2**20
    max_tracks: int = 1024
    max_notes: int = 1_000_000
    max_quarters: float = 200_000.0
    max_seconds: float = 24 * 3600.0


def check_limit(what: str, found: float, limits: Limits) -> None:
    """Refuses a piece that has more of something than `limits.max_<what>`.

    Raises:
        ReadError: `too_many_<what>`.
    """
    limit = getattr(limits, f"max_{what}")
    if found > limit:
        detail = f"expected at most {limit:g} {what}, found {found:g}"
        raise ReadError(f"too_many_{what}", detail, found)


def midi_to_sequence(data: bytes, limits: Limits) -> NoteSequence:
    """Reads a standard MIDI file of type 0, 1 or 2, bare or in a RIFF wrapper.

    Raises:
        ReadError: `not_midi`, `bad_division`, `truncated`, `too_many_tracks`,
            `bad_events`, `too_many_notes`, `too_many_quarters`, `too_many_seconds`,
            `no_notes`.
    """
    header, ticks_per_quarter, chunks = _split_chunks(data, limits)
    scores = [_parse_track(header, chunk) for chunk in chunks]
    parts, notes = _pair_notes(scores, ticks_per_quarter, limits)

    sequence = NoteSequence(ticks_per_quarter=ticks_per_quarter)
    sequence.source_info.parser = NoteSequence.SourceInfo.PRETTY_MIDI
    sequence.source_info.encoding_type = NoteSequence.SourceInfo.MIDI
    clock = _Clock.of(_first_with("tempos", scores), ticks_per_quarter)
    wire.extend(sequence, "tempos", time=clock.seconds, qpm=clock.qpm)
    _add_time_signatures(sequence, _first_with("time_signatures", scores), clock)
    _add_key_signatures(sequence, _first_with("key_signatures", scores), clock)
    _add_parts(sequence, parts, notes, clock)
    sequence.total_time = float(clock.to_seconds(notes["end"].max()))
    check_limit("seconds", sequence.total_time, limits)
    return sequence


def _split_chunks(data: bytes, limits: Limits) -> tuple[bytes, int, list[bytes]]:
    """The header for a file of one track, ticks per quarter, the track chunks."""
    if data[:4] == b"RIFF" and data[8:12] == b"RMID":
        data = data[max(data.find(b"MThd"), 0) :]
    if data[:4] != b"MThd":
        raise ReadError("not_midi", f"expected MThd first, found {data[:4]!r}")
    length = int.from_bytes(data[4:8], "big")
    if length < 6 or len(data) < 8 + length:
        raise ReadError("truncated", f"a header of {length} bytes in {len(data)}")
    num_tracks = int.from_bytes(data[10:12], "big")
    division = int.from_bytes(data[12:14], "big")
    if division == 0 or division >= 1 << 15:
        kind = "SMPTE frames" if division else "0"
        raise ReadError("bad_division", f"expected ticks in a quarter, found {kind}")
    check_limit("tracks", num_tracks, limits)

    chunks, position = [], 8 + length
    while len(chunks) < num_tracks:
        kind = data[position : position + 4]
        length = int.from_bytes(data[position + 4 : position + 8], "big")
        end = position + 8 + length
        if end > len(data) or len(data) < position + 8:
            raise ReadError(
                "truncated", f"track {len(chunks)} of {num_tracks} is cut short"
            )
        if kind == b"MTrk":
            chunks.append(data[position:end])
        position = end
    header = b"MThd" + bytes([0, 0, 0, 6, 0, 0, 0, 1]) + division.to_bytes(2, "big")
    return header, division, chunks


def _parse_track(header: bytes, chunk: bytes) -> symusic.Score:
    """The events of one track: alone, so that tracks stay apart as note-seq's do."""
    try:
        return symusic.Score.from_midi(header + chunk)
    except (RuntimeError, ValueError) as error:
        raise ReadError("bad_events", f"{error}") from error


def _first_with(events: str, scores: list[symusic.Score]) -> symusic.Score:
    """The first track that has any of them; the first one where none has."""
    return next((score for score in scores if len(getattr(score, events))), scores[0])


def _pair_notes(
    scores: list[symusic.Score], ticks_per_quarter: int, limits: Limits
) -> tuple[list, dict[str, np.ndarray]]:
    """The parts that have notes, and the notes themselves, in ticks.

    A part is one program on one channel of one track. symusic lets a note-off end the
    oldest note of its key, pretty_midi all of them: so a note lasts to the first end
    on its key that comes after its start, and notes without length are none.

    Returns:
        The parts, track by track and in the order in which they first end a note; and
        columns int64 [num_notes] `part`, `start`, `end`, `pitch` and `velocity`.
    """
    parts = [(i, part) for i, score in enumerate(scores) for part in score.tracks]
    columns, counts = _gather([part.notes for _, part in parts])
    kept = columns["duration"] != 0 if parts else np.zeros(0, bool)
    if not kept.any():
        raise ReadError("no_notes", f"none in {len(scores)} tracks")
    start, pitch, velocity = (
        columns[name][kept].astype(np.int64) for name in ("time", "pitch", "velocity")
    )
    part = np.repeat(np.arange(len(parts)), counts)[kept]
    end = start + columns["duration"][kept]
    _check_size(start, end, ticks_per_quarter, limits)

    key = (part << 8 | pitch) << 40
    key_ends = np.sort(key + end)
    end = key_ends[np.searchsorted(key_ends, key + start, "right")] - key

    never = np.iinfo(np.int64).max
    first_end = np.full(len(parts), never)
    np.minimum.at(first_end, part, end)
    order = np.lexsort((first_end, [i for i, _ in parts]))
    order = order[first_end[order] < never]
    number = np.zeros(len(parts), np.int64)
    number[order] = np.arange(len(order))
    part = number[part]
    by_end = np.lexsort((pitch, start, end, part))
    notes = {
        "part": part[by_end],
        "start": start[by_end],
        "end": end[by_end],
        "pitch": pitch[by_end],
        "velocity": velocity[by_end],
    }
    return [parts[i][1] for i in order.tolist()], notes


def _check_size(
    start: np.ndarray, end: np.ndarray, ticks_per_quarter: int, limits: Limits
) -> None:
    check_limit("notes", len(start), limits)
    last = int(end.max())
    # symusic counts ticks in 32 bits: what is longer comes round to below zero.
    if min(start.min(), end.min()) < 0:
        last = 2**31
    check_limit("quarters", last / ticks_per_quarter, limits)


@dataclasses.dataclass(frozen=True)
class _Clock:
    """Ticks to seconds.

    Attributes:
        ticks: int64 [n], where each tempo begins; ascending, the first is 0.
        seconds: float64 [n], the same places in seconds.
        seconds_per_tick: float64 [n].
        qpm: float64 [n], quarter notes per minute.
    """

    ticks: np.ndarray
    seconds: np.ndarray
    seconds_per_tick: np.ndarray
    qpm: np.ndarray

    @classmethod
    def of(cls, score: symusic.Score, ticks_per_quarter: int) -> "_Clock":
        tempos = score.tempos.numpy()
        kept = (tempos["mspq"] > 0) & (tempos["time"] >= 0)
        ticks, microseconds = tempos["time"][kept], tempos["mspq"][kept]
        # Of the tempos at tick 0 the last holds; 120 qpm where there is none.
        first = np.searchsorted(ticks, 0, "right")
        initial = microseconds[first - 1] if first else 500_000
        ticks = np.concatenate([[0], ticks[first:]]).astype(np.int64)
        microseconds = np.concatenate([[initial], microseconds[first:]])
        changes = np.concatenate([[True], microseconds[1:] != microseconds[:-1]])
        ticks, qpm = ticks[changes], 6e7 / microseconds[changes]
        seconds_per_tick = 60.0 / (qpm * ticks_per_quarter)
        lengths = np.diff(ticks) * seconds_per_tick[:-1]
        seconds = np.concatenate([[0.0], np.cumsum(lengths)])
        return cls(ticks, seconds, seconds_per_tick, qpm)

    def to_seconds(self, ticks: np.ndarray) -> np.ndarray:
        i = np.searchsorted(self.ticks, ticks, "right") - 1
        return self.seconds[i] + (ticks - self.ticks[i]) * self.seconds_per_tick[i]


def _add_time_signatures(
    sequence: NoteSequence, score: symusic.Score, clock: _Clock
) -> None:
    for signature in score.time_signatures:
        if signature.numerator > 0 and signature.denominator > 0:
            sequence.time_signatures.add(
                time=clock.to_seconds(signature.time),
                numerator=signature.numerator,
                denominator=signature.denominator,
            )


def _add_key_signatures(
    sequence: NoteSequence, score: symusic.Score, clock: _Clock
) -> None:
    for signature in score.key_signatures:
        if -7 <= signature.key <= 7 and signature.tonality in (0, 1):
            tonic = 7 * signature.key + (9 if signature.tonality else 0)
            sequence.key_signatures.add(
                time=clock.to_seconds(signature.time),
                key=tonic % 12,
                mode=signature.tonality,
            )


def _add_parts(
    sequence: NoteSequence, parts: list, notes: dict[str, np.ndarray], clock: _Clock
) -> None:
    """Names, notes, pitch bends and controls; a part's number is its instrument."""
    programs = np.array([part.program for part in parts])
    drums = np.array([part.is_drum for part in parts])

    def origin(part: np.ndarray) -> dict[str, np.ndarray]:
        return {"instrument": part, "program": programs[part], "is_drum": drums[part]}

    for instrument, part in enumerate(parts):
        if part.name:
            sequence.instrument_infos.add(instrument=instrument, name=part.name)
    wire.extend(
        sequence,
        "notes",
        pitch=notes["pitch"],
        velocity=notes["velocity"],
        start_time=clock.to_seconds(notes["start"]),
        end_time=clock.to_seconds(notes["end"]),
        **origin(notes["part"]),
    )
    bends, counts = _gather([part.pitch_bends for part in parts])
    if sum(counts):
        wire.extend(
            sequence,
            "pitch_bends",
            time=clock.to_seconds(bends["time"]),
            bend=bends["value"],
            **origin(np.repeat(np.arange(len(parts)), counts)),
        )
    controls, counts = _gather([part.controls for part in parts])
    if sum(counts):
        wire.extend(
            sequence,
            "control_changes",
            time=clock.to_seconds(controls["time"]),
            control_number=controls["number"],
            control_value=controls["value"],
            **origin(np.repeat(np.arange(len(parts)), counts)),
        )


def _gather(lists: list) -> tuple[dict[str, np.ndarray], list[int]]:
    """The columns of lists of events, one list after the other, and their lengths."""
    tables = [events.numpy() for events in lists]
    columns = {
        name: np.concatenate([table[name] for table in tables])
        for name in (tables[0] if tables else ())
    }
    return columns, [len(events) for events in lists]
