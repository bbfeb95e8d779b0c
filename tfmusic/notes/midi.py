"""MIDI bytes into a NoteSequence, as note-seq reads them but many times faster.

The chunks of the file are walked and checked here, before anything is parsed; the
events of each track are parsed by symusic (C++), in ticks; ticks become seconds by
the tempo map. The result is what `note_seq.midi_to_note_sequence` gives, by way of
pretty_midi, for files in good order. It departs from it on purpose where that loses
or garbles music:

*   A signature or tempo that makes no sense (3/0, 17 sharps, a quarter of no length)
    is passed over; note-seq refuses the whole file.
*   A note sounds with the program of its beginning, not of its end, and a pedal
    pressed between two programs of one channel belongs to one of them, not to both.
*   Bytes above 127 where data belongs are refused, as in note-seq; a file with no
    notes is refused, where note-seq gives an empty sequence.
*   Of two notes struck on one key of which only one is released, the second is lost.
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


def midi_to_sequence(data: bytes, limits: Limits) -> NoteSequence:
    """Reads a standard MIDI file of type 0, 1 or 2, bare or in a RIFF wrapper.

    Raises:
        ReadError: `not_midi`, `bad_division`, `truncated`, `too_many_tracks`,
            `bad_events`, `too_many_notes`, `too_long`, `no_notes`.
    """
    header, ticks_per_quarter, chunks = _split_chunks(data, limits)
    scores = [_parse_track(header, chunk) for chunk in chunks]
    parts = [part for score in scores for part in _parts(score)]
    if not parts:
        raise ReadError("no_notes", f"none in {len(chunks)} tracks")
    _check_size(parts, ticks_per_quarter, limits)

    sequence = NoteSequence(ticks_per_quarter=ticks_per_quarter)
    sequence.source_info.parser = NoteSequence.SourceInfo.PRETTY_MIDI
    sequence.source_info.encoding_type = NoteSequence.SourceInfo.MIDI
    clock = _Clock.of(scores[0], ticks_per_quarter)
    wire.extend(sequence, "tempos", time=clock.seconds, qpm=clock.qpm)
    _add_signatures(sequence, scores[0], clock)
    for instrument, part in enumerate(parts):
        _add_part(sequence, instrument, part, clock)
    sequence.total_time = float(clock.to_seconds(max(p.ends.max() for p in parts)))
    if sequence.total_time > limits.max_seconds:
        raise ReadError("too_long", f"{sequence.total_time:.0f} s of music")
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
    if num_tracks > limits.max_tracks:
        raise ReadError("too_many_tracks", f"{num_tracks}")

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


@dataclasses.dataclass(frozen=True)
class _Part:
    """One program on one channel of one track; arrays over its notes, in ticks."""

    track: symusic.core.TrackTick
    starts: np.ndarray
    ends: np.ndarray
    pitches: np.ndarray
    velocities: np.ndarray


def _parts(score: symusic.Score) -> list[_Part]:
    """The parts of a track that have notes, in the order in which they first end one.

    symusic lets a note-off end the oldest note of its key, pretty_midi all of them:
    so a note lasts to the first end on its key that comes after its start.
    """
    parts = []
    for track in score.tracks:
        notes = track.notes.numpy()
        kept = notes["duration"] != 0
        if not kept.any():
            continue
        starts = notes["time"][kept].astype(np.int64)
        pitches = notes["pitch"][kept].astype(np.int64)
        key = pitches << 40
        key_ends = np.sort(key + starts + notes["duration"][kept])
        ends = key_ends[np.searchsorted(key_ends, key + starts, "right")] - key
        order = np.lexsort((pitches, starts, ends))
        velocities = notes["velocity"][kept]
        parts.append(
            _Part(track, *(a[order] for a in (starts, ends, pitches, velocities)))
        )
    return sorted(parts, key=lambda part: part.ends[0])


def _check_size(parts: list[_Part], ticks_per_quarter: int, limits: Limits) -> None:
    num_notes = sum(len(part.starts) for part in parts)
    if num_notes > limits.max_notes:
        raise ReadError("too_many_notes", f"{num_notes}")
    # symusic counts ticks in 32 bits: what is longer comes round to below zero.
    quarters = max(part.ends.max() for part in parts) / ticks_per_quarter
    if min(part.starts.min() for part in parts) < 0 or quarters > limits.max_quarters:
        raise ReadError("too_long", f"more than {limits.max_quarters:g} quarter notes")


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


def _add_signatures(sequence: NoteSequence, score: symusic.Score, clock: _Clock):
    for signature in score.time_signatures:
        if signature.numerator > 0 and signature.denominator > 0:
            sequence.time_signatures.add(
                time=clock.to_seconds(signature.time),
                numerator=signature.numerator,
                denominator=signature.denominator,
            )
    for signature in score.key_signatures:
        if -7 <= signature.key <= 7 and signature.tonality in (0, 1):
            tonic = 7 * signature.key + (9 if signature.tonality else 0)
            sequence.key_signatures.add(
                time=clock.to_seconds(signature.time),
                key=tonic % 12,
                mode=signature.tonality,
            )


def _add_part(sequence: NoteSequence, instrument: int, part: _Part, clock: _Clock):
    track = part.track
    if track.name:
        sequence.instrument_infos.add(instrument=instrument, name=track.name)
    shared = {
        "instrument": instrument,
        "program": track.program,
        "is_drum": track.is_drum,
    }
    wire.extend(
        sequence,
        "notes",
        pitch=part.pitches,
        velocity=part.velocities,
        start_time=clock.to_seconds(part.starts),
        end_time=clock.to_seconds(part.ends),
        **shared,
    )
    if track.pitch_bends:
        bends = track.pitch_bends.numpy()
        times = clock.to_seconds(bends["time"])
        wire.extend(sequence, "pitch_bends", time=times, bend=bends["value"], **shared)
    if track.controls:
        controls = track.controls.numpy()
        wire.extend(
            sequence,
            "control_changes",
            time=clock.to_seconds(controls["time"]),
            control_number=controls["number"],
            control_value=controls["value"],
            **shared,
        )
