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
    one of the last track holds, those that make no sense are passed over (3/0, 17
    sharps, a quarter of no length), and a tempo that is already there is none.
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

import numpy as np

from tfmusic.notes import NoteSequence, repairs, wire
from tfmusic.notes.limits import Limits, ReadError, check_limit
from tfmusic.notes.midi_events import (
    KEY,
    METRE,
    NAME,
    PORT,
    TEMPO,
    Events,
    read_events,
)
from tfmusic.notes.names import decode_names

_NOTE_OFF, _NOTE_ON, _CONTROL, _PROGRAM, _BEND = 0x80, 0x90, 0xB0, 0xC0, 0xE0
_DRUM_CHANNEL = 9
_SHORTEST = 8  # of a quarter note: what a note without length is given
_NEVER = np.iinfo(np.int64).max
_LARGEST_POWER = 7  # of two: no metre is counted in shorter beats than 1/128
_DEFAULT_QPM = 120
_SMPTE_FRAMES = {24: 24, 25: 25, 29: 30 / 1.001, 30: 30}  # in a second


def midi_to_sequence(data: bytes, limits: Limits) -> NoteSequence:
    """Reads a standard MIDI file of type 0, 1 or 2, bare or in a RIFF wrapper.

    Raises:
        ReadError: `not_midi`, `bad_division`, `truncated`, `too_many_tracks`,
            `bad_events`, `too_many_notes`, `too_many_quarters`, `too_many_seconds`,
            `too_many_controls`, `no_notes`.
    """
    events = read_events(data, limits)
    tempos = _tempos(events)
    clock = _Clock.of(events.division, tempos)
    channels = _channels(events)
    notes = _notes(events, channels, clock.ticks_per_quarter, limits)
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
    _add_notes(sequence, notes, clock)
    _add_controls(sequence, events, channels, parts, clock, limits)
    sequence.total_time = float(clock.to_seconds(notes["end"].max()))
    check_limit("seconds", sequence.total_time, limits)
    return sequence


def _channels(events: Events) -> np.ndarray:
    """The channel of each event, counted on from port to port; int64 [n]."""
    channels = (events.status & 15).astype(np.int64)
    ports = list(events.metas(PORT, 1))
    if ports:
        rows = np.array([row for row, _ in ports])
        numbers = np.array([contents[0] for _, contents in ports])
        latest = np.searchsorted(rows, np.arange(len(channels)), "right") - 1
        holds = (latest >= 0) & (events.track[rows[latest]] == events.track)
        channels += np.where(holds, numbers[latest] << 4, 0)
    return channels


def _notes(
    events: Events, channels: np.ndarray, ticks_per_quarter: int, limits: Limits
) -> dict[str, np.ndarray]:
    """The notes, unordered and in ticks.

    Returns:
        Columns int64 [num_notes]: `track`, `channel`, `pitch`, `velocity`, `program`,
        `start` and `end`.
    """
    kinds = events.status & 0xF0
    rows = np.flatnonzero((kinds == _NOTE_ON) | (kinds == _NOTE_OFF))
    is_on = (kinds[rows] == _NOTE_ON) & (events.second[rows] > 0)
    num_notes = int(is_on.sum())
    if not num_notes:
        raise ReadError("no_notes", f"none in {events.num_tracks} tracks")
    check_limit("notes", num_notes, limits)
    check_limit("quarters", events.tick[rows].max() / ticks_per_quarter, limits)

    voices = events.track[rows] * (channels.max() + 1) + channels[rows]
    key = voices << 7 | events.first[rows]
    order = np.argsort(key, kind="stable")  # by key, and those of a key in time
    rows, is_on = rows[order], is_on[order]
    pairs = _pair(key[order], events.tick[rows], is_on)

    rows = rows[is_on]
    notes = {
        "track": events.track[rows],
        "channel": channels[rows],
        "pitch": events.first[rows].astype(np.int64),
        "velocity": events.second[rows].astype(np.int64),
        "program": _programs(events, channels, rows),
        "start": events.tick[rows],
    }
    last_rows = np.searchsorted(events.track, notes["track"], "right") - 1
    shortest = max(ticks_per_quarter // _SHORTEST, 1)
    notes["end"] = _ends(notes, *pairs, events.tick[last_rows], shortest)
    check_limit("quarters", notes["end"].max() / ticks_per_quarter, limits)
    return notes


def _pair(
    key: np.ndarray, tick: np.ndarray, is_on: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What becomes of each note-on.

    Args:
        key: int [n], of note-ons and note-offs: track, channel and pitch. Those of one
            key stand together, in time.
        tick: int64 [n].
        is_on: bool [n].

    Returns:
        int64 [num_notes] the tick of the next note-off on its key, and of the next
        note-on, both later than the note begins and `_NEVER` where there is none; bool
        [num_notes] whether a note-off ends it on the tick on which it begins.
    """
    # Events of one key on one tick make a group.
    is_new_key = np.append(True, key[1:] != key[:-1])
    is_new = np.append(True, tick[1:] != tick[:-1]) | is_new_key
    group = np.cumsum(is_new) - 1
    begins = np.flatnonzero(is_new)
    ends = np.append(begins[1:], len(key))
    offs = np.append(0, np.cumsum(~is_on))  # how many come before each event
    num_off = offs[ends] - offs[begins]
    num_on = ends - begins - num_off

    of_note = group[is_on]
    next_off = _next_tick(num_off > 0, key[begins], tick[begins])[of_note]
    next_on = _next_tick(num_on > 0, key[begins], tick[begins])[of_note]
    later = offs[ends][of_note] - offs[:-1][is_on]  # note-offs behind it in the group
    is_empty = later > 0
    if is_empty.any():
        # The first note-off of a group ends the notes that are open, where there are
        # any, and none of its own. Some groups leave a note open in any case, some in
        # none, the others if one was open before.
        is_first = is_new_key[begins]
        ends_on = is_on[ends - 1]
        can_leave = ends_on | (num_off == 0) | ((num_off == 1) & (num_on > 0))
        decided = np.where(is_first | (can_leave == ends_on), np.arange(len(begins)), 0)
        leaves = ends_on[np.maximum.accumulate(decided)]
        is_open = np.append(False, leaves[:-1]) & ~is_first
        earlier = offs[:-1][is_on] - offs[begins][of_note]
        is_empty = later > (is_open[of_note] & (earlier == 0))
    return next_off, next_on, is_empty


def _next_tick(has_one: np.ndarray, key: np.ndarray, tick: np.ndarray) -> np.ndarray:
    """For each group, the tick of the next group of its key that has one."""
    num_groups = len(key)
    nearest = np.where(has_one, np.arange(num_groups), num_groups)
    nearest = np.minimum.accumulate(nearest[::-1])[::-1]
    following = np.append(nearest[1:], num_groups)
    is_same = np.append(key, -1)[following] == key
    return np.where(is_same, np.append(tick, _NEVER)[following], _NEVER)


def _ends(
    notes: dict[str, np.ndarray],
    next_off: np.ndarray,
    next_on: np.ndarray,
    is_empty: np.ndarray,
    track_end: np.ndarray,
    shortest: int,
) -> np.ndarray:
    """When notes end, in ticks; see the module's docstring."""
    start = notes["start"]
    hangs = (next_off == _NEVER) & ~is_empty
    end = np.where(hangs, np.minimum(next_on, track_end), next_off)
    is_short = is_empty | (hangs & (_is_drum(notes["channel"]) | (end <= start)))
    repairs.count("notes without length", int(is_empty.sum()))
    repairs.count("notes without an end", int(hangs.sum()))
    return np.where(is_short, np.minimum(start + shortest, next_on), end)


def _programs(events: Events, channels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The program that each note sounds with; `rows` are of its note-ons."""
    changes = np.flatnonzero(events.status & 0xF0 == _PROGRAM)
    changes = changes[np.argsort(events.tick[changes], kind="stable")]
    ticks = events.tick[changes]
    program = np.append(events.first[changes], 0).astype(np.int64)
    voices = events.track * (channels.max() + 1) + channels

    def latest(owners: np.ndarray) -> np.ndarray:
        """The last change up to each note by the same owner, -1 if there is none."""
        size = len(changes) + 1
        rank = np.searchsorted(ticks, ticks, "right")
        place = owners[changes] * size + rank
        order = np.argsort(place, kind="stable")
        found = np.searchsorted(
            place[order],
            owners[rows] * size + np.searchsorted(ticks, events.tick[rows], "right"),
            "right",
        )
        found = np.append(order, -1)[found - 1]
        is_own = owners[changes[found]] == owners[rows]
        return np.where(is_own, found, -1)

    if not len(changes):
        return np.zeros(len(rows), np.int64)
    anyone, own = latest(channels), latest(voices)
    when = np.append(ticks, -1)
    return program[np.where(when[own] == when[anyone], own, anyone)]


def _number_parts(notes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Divides notes into instruments, and puts them in order.

    An instrument is one program on one channel of one track. Those of a track are
    numbered in the order in which they first end a note.

    Args:
        notes: See `_notes`; is put in order, and `part` is added.

    Returns:
        Columns int64 [num_parts]: `track`, `channel` and `program`.
    """
    start, end = notes["start"], notes["end"]
    fields = {name: notes[name] for name in ("track", "channel", "program")}
    code = (fields["track"] << 12 | fields["channel"]) << 7 | fields["program"]
    _, rows, part = np.unique(code, return_index=True, return_inverse=True)
    parts = {name: column[rows] for name, column in fields.items()}
    first_end = np.full(len(rows), _NEVER)
    np.minimum.at(first_end, part, end)
    by_end = np.lexsort((first_end, parts["track"]))
    number = np.argsort(by_end)
    notes["part"] = number[part]

    order = np.lexsort((start << 7 | notes["pitch"], end, notes["part"]))
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


def _tempos(events: Events) -> tuple[np.ndarray, np.ndarray]:
    """Where tempos begin, in ticks, and the microseconds in a quarter note."""
    tempos = {0: 60_000_000 // _DEFAULT_QPM}
    for tick, contents in _in_time(events, TEMPO, 3):
        if microseconds := int.from_bytes(contents[:3], "big"):
            tempos[tick] = microseconds
    ticks = np.fromiter(tempos.keys(), np.int64, len(tempos))
    microseconds = np.fromiter(tempos.values(), np.int64, len(tempos))
    changes = np.append(True, microseconds[1:] != microseconds[:-1])
    return ticks[changes], microseconds[changes]


def _in_time(events: Events, kind: int, num_bytes: int) -> list[tuple[int, bytes]]:
    """Tick and contents of the meta events of a kind, those of all tracks together."""
    found = [(int(events.tick[row]), c) for row, c in events.metas(kind, num_bytes)]
    return sorted(found, key=lambda item: item[0])


def _add_signatures(sequence: NoteSequence, events: Events, clock: _Clock) -> None:
    """Metres and keys."""
    metres, keys = {}, {}
    for tick, (numerator, power, *_) in _in_time(events, METRE, 2):
        if numerator and power <= _LARGEST_POWER:
            metres[tick] = numerator, 1 << power
    for tick, (sharps, mode, *_) in _in_time(events, KEY, 2):
        sharps = (sharps ^ 128) - 128  # a byte with a sign
        if -7 <= sharps <= 7 and mode in (0, 1):
            keys[tick] = (7 * sharps + 9 * mode) % 12, mode
    for field, found, names in (
        ("time_signatures", metres, ("numerator", "denominator")),
        ("key_signatures", keys, ("key", "mode")),
    ):
        if found:
            values = zip(names, np.array(list(found.values())).T, strict=True)
            seconds = clock.to_seconds(np.array(list(found)))
            wire.extend(sequence, field, time=seconds, **dict(values))


def _add_names(
    sequence: NoteSequence, events: Events, parts: dict[str, np.ndarray]
) -> None:
    names = {int(events.track[row]): name for row, name in events.metas(NAME, 1)}
    names = dict(zip(names, decode_names(list(names.values())), strict=True))
    for instrument, track in enumerate(parts["track"].tolist()):
        if name := names.get(track):
            sequence.instrument_infos.add(instrument=instrument, name=name)


def _add_notes(
    sequence: NoteSequence, notes: dict[str, np.ndarray], clock: _Clock
) -> None:
    wire.extend(
        sequence,
        "notes",
        pitch=notes["pitch"],
        velocity=notes["velocity"],
        start_time=clock.to_seconds(notes["start"]),
        end_time=clock.to_seconds(notes["end"]),
        instrument=notes["part"],
        program=notes["program"],
        is_drum=_is_drum(notes["channel"]),
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
        rows = rows[np.lexsort((events.tick[rows], channels[rows]))]
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
            is_drum=_is_drum(parts["channel"][part]),
            **values,
        )


def _is_drum(channels: np.ndarray) -> np.ndarray:
    return channels & 15 == _DRUM_CHANNEL
