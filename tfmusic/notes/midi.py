"""MIDI bytes into a NoteSequence, as a synthesizer would hear them.

A sequencer plays all tracks of a file at once, and what it plays to has channels, not
tracks. So the state of a channel holds for its notes in whatever track they are:

*   An instrument of the sequence is one program on one channel of one track. All
    controls and pitch bends of the channel are given to each instrument on it, from
    whatever track they come: a pedal on a track of its own holds both hands.
*   A note sounds with the program that its channel has when the note begins. Where
    several tracks set it on one tick, each keeps the one that it set itself.
*   Tracks with different ports (meta event 33) have different channels.
*   Tempos, metres and keys of all tracks make one map each. Of several on one tick the
    one of the last track holds, those that make no sense are passed over and counted
    (3/0, 17 sharps, a quarter of no length), and a tempo that is there is none.
*   A note-off ends all notes on its key that began before it, in its own track.

What a file lacks is repaired, and counted (`tfmusic.notes.repairs`):

*   A note without length (a drum hit, often) lasts for a thirty-second, or until its
    key is struck again.
*   A note that no note-off ends lasts until its key is struck again, or else to the end
    of its track; a drum, as if it had no length.
*   A wrong number of tracks, and tracks of a wrong length: see `midi_events`.

Bytes above 127 where data belongs are refused, and so are files that are cut short and
files without notes. In files timed by SMPTE frames, tempos do not change the time.
Names of tracks are read as `tfmusic.notes.names` has it, the last where there are
several. Notes are ordered by instrument, end, start and pitch.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from tfmusic.notes import NoteSequence, repairs, wire
from tfmusic.notes.limits import Limits, ReadError, check_limit, check_pauses
from tfmusic.notes.midi_events import (
    KEY,
    METRE,
    NAME,
    PORT,
    TEMPO,
    Events,
    read_events,
)
from tfmusic.notes.midi_notes import NEVER, is_drum, read_notes, sort
from tfmusic.notes.names import decode_names

_CONTROL, _BEND = 0xB0, 0xE0  # statuses
_LARGEST_POWER = 7  # of two: no metre is counted in shorter beats than 1/128
_MOST_SHARPS = 7  # or flats, of a key
_DEFAULT_QPM = 120
_SMPTE_FRAMES = {24: 24, 25: 25, 29: 30 / 1.001, 30: 30}  # in a second


def midi_to_sequence(data: bytes, limits: Limits) -> NoteSequence:
    """Reads a standard MIDI file of type 0, 1 or 2, bare or in a RIFF wrapper.

    Raises:
        ReadError: `not_midi`, `bad_division`, `truncated`, `too_many_tracks`,
            `bad_events`, `too_many_events`, `too_many_notes`, `too_many_quarters`,
            `too_many_seconds`, `too_long_pause`, `too_many_controls`, `no_notes`.
    """
    events = read_events(data, limits)
    tempos = _tempos(events)
    clock = _Clock.of(events.division, tempos)
    channels = _channels(events)
    notes = read_notes(events, channels, clock.ticks_per_quarter, limits)
    parts = _number_parts(notes)

    sequence = NoteSequence(ticks_per_quarter=clock.ticks_per_quarter)
    sequence.source_info.parser = NoteSequence.SourceInfo.PRETTY_MIDI
    sequence.source_info.encoding_type = NoteSequence.SourceInfo.MIDI
    ticks, microseconds = tempos
    wire.extend(
        sequence, "tempos", time=clock.to_seconds(ticks), qpm=6e7 / microseconds
    )
    _add_signatures(sequence, events, clock)
    _add_names(sequence, events, parts)
    _add_notes(sequence, notes, clock, limits)
    _add_controls(sequence, events, channels, parts, clock, limits)
    sequence.total_time = float(clock.to_seconds(notes["end"].max()))
    return sequence


def _channels(events: Events) -> np.ndarray:
    """The channel of each event, counted on from port to port; int64 [n]."""
    channels = (events.status & 15).astype(np.int64)
    rows, contents = events.metas(PORT, 1)
    if len(rows):
        latest = np.searchsorted(rows, np.arange(len(channels)), "right") - 1
        holds = (latest >= 0) & (events.track[rows[latest]] == events.track)
        channels += np.where(holds, contents[latest, 0].astype(np.int64) << 4, 0)
    return channels


def _number_parts(notes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Divides notes into instruments, and puts them in order.

    An instrument is one program on one channel of one track. Those of a track are
    numbered in the order in which they first end a note.

    Args:
        notes: See `read_notes`; is put in order, and `part` is added.

    Returns:
        Columns int64 [num_parts]: `track`, `channel` and `program`.
    """
    start, end = notes["start"], notes["end"]
    codes = (notes["track"] << 12 | notes["channel"]) << 7 | notes["program"]
    codes, part = np.unique(codes, return_inverse=True)
    parts = {
        "track": codes >> 19,
        "channel": codes >> 7 & 0xFFF,
        "program": codes & 127,
    }
    first_end = np.full(len(codes), NEVER)
    np.minimum.at(first_end, part, end)
    by_end = np.lexsort((first_end, parts["track"]))
    number = np.argsort(by_end)
    notes["part"] = number[part]

    order = np.argsort(start << 7 | notes["pitch"], kind="stable")
    order = order[np.argsort(end[order], kind="stable")]
    order = order[sort(notes["part"][order])]
    for name, column in notes.items():
        notes[name] = column[order]
    return {name: column[by_end] for name, column in parts.items()}


@dataclasses.dataclass(frozen=True)
class _Clock:
    """Ticks to seconds.

    Attributes:
        ticks_per_quarter: As the header has it.
        ticks: int64 [n], where each tempo begins; ascending, the first is 0.
        seconds: float64 [n], the same places in seconds.
        seconds_per_tick: float64 [n].
    """

    ticks_per_quarter: int
    ticks: np.ndarray
    seconds: np.ndarray
    seconds_per_tick: np.ndarray

    @classmethod
    def of(cls, division: int, tempos: tuple[np.ndarray, np.ndarray]) -> "_Clock":
        """The clock of a file.

        Args:
            division: See `Events`.
            tempos: See `_tempos`.

        Raises:
            ReadError: `bad_division`.
        """
        frames, ticks_per_frame = 256 - (division >> 8), division & 255
        if division >= 1 << 15 and frames in _SMPTE_FRAMES and ticks_per_frame:
            ticks_per_second = _SMPTE_FRAMES[frames] * ticks_per_frame
            ticks_per_quarter = round(ticks_per_second * 60 / _DEFAULT_QPM)
            zero = np.zeros(1, np.int64)
            return cls(ticks_per_quarter, zero, zero, np.array([1 / ticks_per_second]))
        if not 0 < division < 1 << 15:
            detail = "expected ticks in a quarter or SMPTE frames"
            raise ReadError("bad_division", f"{detail}, found {division:#06x}")
        ticks, microseconds = tempos
        seconds_per_tick = 60.0 / (6e7 / microseconds * division)
        lengths = np.diff(ticks) * seconds_per_tick[:-1]
        seconds = np.append(0.0, np.cumsum(lengths))
        return cls(division, ticks, seconds, seconds_per_tick)

    def to_seconds(self, ticks: np.ndarray) -> np.ndarray:
        i = np.searchsorted(self.ticks, ticks, "right") - 1
        return self.seconds[i] + (ticks - self.ticks[i]) * self.seconds_per_tick[i]

    def timed(self, by_tick: dict[int, tuple]) -> Iterator[tuple[float, tuple]]:
        """Seconds and what is there, of what is at ticks."""
        seconds = self.to_seconds(np.array(list(by_tick), np.int64))
        return zip(seconds.tolist(), by_tick.values(), strict=True)


def _tempos(events: Events) -> tuple[np.ndarray, np.ndarray]:
    """Where tempos begin, in ticks, and the microseconds in a quarter note."""
    rows, contents = events.metas(TEMPO, 3)
    values = contents @ np.array([1 << 16, 1 << 8, 1])
    repairs.count("impossible tempos, left out", int(np.sum(values == 0)))
    rows, values = rows[values > 0], values[values > 0]
    order = np.argsort(events.tick[rows], kind="stable")
    # Before the first tempo there is another; of several on one tick the last holds.
    ticks = np.append(0, events.tick[rows[order]])
    values = np.append(60_000_000 // _DEFAULT_QPM, values[order])
    is_last = np.append(ticks[1:] != ticks[:-1], True)
    ticks, values = ticks[is_last], values[is_last]
    changes = np.append(True, values[1:] != values[:-1])
    return ticks[changes], values[changes]


def _in_time(ticks: np.ndarray, values: np.ndarray) -> list[tuple]:
    """Tick and value of what is in any track; on one tick in the order of tracks."""
    return sorted(zip(ticks.tolist(), values.tolist(), strict=True), key=lambda x: x[0])


# So writes software that knows beats and not bars (two of three files of POP909).
_BEAT_ALONE, _FOUR_BEATS = (1, 4), (4, 4)


def _add_signatures(sequence: NoteSequence, events: Events, clock: _Clock) -> None:
    """Metres and keys."""
    rows, contents = events.metas(METRE, 2)
    makes_sense = (contents[:, 0] > 0) & (contents[:, 1] <= _LARGEST_POWER)
    repairs.count("impossible metres, left out", int(np.sum(~makes_sense)))
    rows, contents = rows[makes_sense], contents[makes_sense]
    metres = {
        tick: (numerator, 1 << power)
        for tick, (numerator, power) in _in_time(events.tick[rows], contents)
    }
    if set(metres.values()) == {_BEAT_ALONE}:
        metres = {min(metres): _FOUR_BEATS}
        repairs.count("metres of 1/4 throughout, read as 4/4")
    for time, (numerator, denominator) in clock.timed(metres):
        sequence.time_signatures.add(
            time=time, numerator=numerator, denominator=denominator
        )
    rows, contents = events.metas(KEY, 2)
    contents = contents.view(np.int8).astype(np.int64)  # flats are below 0
    makes_sense = (np.abs(contents[:, 0]) <= _MOST_SHARPS) & (contents[:, 1] >> 1 == 0)
    repairs.count("impossible keys, left out", int(np.sum(~makes_sense)))
    rows, contents = rows[makes_sense], contents[makes_sense]
    keys = {
        tick: ((7 * sharps + 9 * mode) % 12, mode)
        for tick, (sharps, mode) in _in_time(events.tick[rows], contents)
    }
    for time, (key, mode) in clock.timed(keys):
        sequence.key_signatures.add(time=time, key=key, mode=mode)


def _add_names(
    sequence: NoteSequence, events: Events, parts: dict[str, np.ndarray]
) -> None:
    names = {int(events.track[row]): name for row, name in events.texts(NAME)}
    names = dict(zip(names, decode_names(list(names.values())), strict=True))
    for instrument, track in enumerate(parts["track"].tolist()):
        if name := names.get(track):
            sequence.instrument_infos.add(instrument=instrument, name=name)


def _add_notes(
    sequence: NoteSequence,
    notes: dict[str, np.ndarray],
    clock: _Clock,
    limits: Limits,
) -> None:
    starts, ends = clock.to_seconds(notes["start"]), clock.to_seconds(notes["end"])
    check_limit("seconds", float(ends.max()), limits)
    check_pauses(starts, ends, limits)
    wire.extend(
        sequence,
        "notes",
        pitch=notes["pitch"],
        velocity=notes["velocity"],
        start_time=starts,
        end_time=ends,
        instrument=notes["part"],
        program=notes["program"],
        is_drum=is_drum(notes["channel"]),
    )


def _add_controls(
    sequence: NoteSequence,
    events: Events,
    channels: np.ndarray,
    parts: dict[str, np.ndarray],
    clock: _Clock,
    limits: Limits,
) -> None:
    """Controls and pitch bends, each for every instrument on its channel."""
    for kind, field in ((_CONTROL, "control_changes"), (_BEND, "pitch_bends")):
        rows = np.flatnonzero(events.status & 0xF0 == kind)
        if not len(rows):
            continue
        rows = rows[np.argsort(events.tick[rows], kind="stable")]
        rows = rows[sort(channels[rows])]
        begins, ends = (
            np.searchsorted(channels[rows], parts["channel"], side)
            for side in ("left", "right")
        )
        check_limit("controls", int((ends - begins).sum()), limits)
        slices = map(slice, begins, ends)
        rows = np.concatenate([rows[of_part] for of_part in slices])
        part = np.repeat(np.arange(len(begins)), ends - begins)
        if not len(rows):
            continue
        first = events.first[rows].astype(np.int64)
        second = events.second[rows].astype(np.int64)
        if kind == _CONTROL:
            values = {"control_number": first, "control_value": second}
        else:
            values = {"bend": (second << 7 | first) - 8192}
        wire.extend(
            sequence,
            field,
            time=clock.to_seconds(events.tick[rows]),
            instrument=part,
            program=parts["program"][part],
            is_drum=is_drum(parts["channel"][part]),
            **values,
        )
