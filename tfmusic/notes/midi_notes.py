"""The notes of a MIDI file: which note-off ends which note, with which program.

See `tfmusic.notes.midi` for the rules.
"""

import numpy as np

from tfmusic.notes import repairs
from tfmusic.notes.limits import Limits, ReadError, check_limit
from tfmusic.notes.midi_events import Events

NEVER = np.iinfo(np.int64).max
_NOTE_OFF, _NOTE_ON, _PROGRAM = 0x80, 0x90, 0xC0  # statuses
_DRUM_CHANNEL = 9
_SHORTEST = 8  # of a quarter note: what a note without length is given


def read_notes(
    events: Events, channels: np.ndarray, ticks_per_quarter: int, limits: Limits
) -> dict[str, np.ndarray]:
    """The notes in the order of the file.

    Returns:
        Columns int64 [num_notes]: `track`, `channel`, `pitch`, `velocity`, `program`,
        and in ticks `start` and `end`.
    """
    is_on = (events.status & 0xF0 == _NOTE_ON) & (events.second > 0)
    rows = np.flatnonzero(is_on)
    if not len(rows):
        raise ReadError("no_notes", f"none in {events.num_tracks} tracks")
    check_limit("notes", len(rows), limits)
    start = events.tick[rows]
    check_limit("quarters", start.max() / ticks_per_quarter, limits)
    end = _ends(events, channels, is_on, ticks_per_quarter)[rows]
    check_limit("quarters", end.max() / ticks_per_quarter, limits)
    return {
        "track": events.track[rows],
        "channel": channels[rows],
        "pitch": events.first[rows].astype(np.int64),
        "velocity": events.second[rows].astype(np.int64),
        "program": _programs(events, channels, rows),
        "start": start,
        "end": end,
    }


def _ends(
    events: Events, channels: np.ndarray, is_on: np.ndarray, ticks_per_quarter: int
) -> np.ndarray:
    """Where notes end: int64 [num_events], in ticks, at the events that begin them."""
    kinds = events.status & 0xF0
    rows = np.flatnonzero((kinds == _NOTE_ON) | (kinds == _NOTE_OFF))
    voices = events.track[rows] * (channels.max() + 1) + channels[rows]
    key = voices << 7 | events.first[rows]
    order = sort(key)  # those of a key stay in time
    key, rows = key[order], rows[order]
    is_on = is_on[rows]
    ons = np.flatnonzero(is_on)
    end, is_empty = _pair(key, events.tick[rows], is_on)

    rows = rows[ons]
    if (is_empty | (end == NEVER)).any():
        last_rows = np.searchsorted(events.track, events.track[rows], "right") - 1
        end = _repair(
            key[ons],
            events.tick[rows],
            end,
            is_empty,
            is_drum=is_drum(channels[rows]),
            track_end=events.tick[last_rows],
            shortest=max(ticks_per_quarter // _SHORTEST, 1),
        )
    ends = np.zeros(len(channels), np.int64)
    ends[rows] = end
    return ends


def sort(numbers: np.ndarray) -> np.ndarray:
    """`np.argsort` of small numbers; what is equal stays in order."""
    # Sixteen bits are sorted many times as fast as more.
    return np.argsort(numbers.astype(np.min_scalar_type(numbers.max())), kind="stable")


def _pair(
    key: np.ndarray, tick: np.ndarray, is_on: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which note-off ends which note.

    Args:
        key: int [n], of note-ons and note-offs: track, channel and pitch. Those of one
            key stand together, in time.
        tick: int64 [n].
        is_on: bool [n].

    Returns:
        int64 [num_notes], the tick of the first note-off on its key after the one on
        which the note begins, `NEVER` where there is none; and bool [num_notes],
        whether a note-off ends the note on the very tick on which it begins.
    """
    ons, offs = np.flatnonzero(is_on), np.flatnonzero(~is_on)
    on_key, off_key = key[ons], np.append(key[offs], -1)
    off_tick = np.append(tick[offs], NEVER)
    following = ons - np.arange(len(ons))  # the number of the next note-off
    end = np.where(off_key[following] == on_key, off_tick[following], NEVER)
    is_empty = end == tick[ons]
    if is_empty.any():
        num_later, is_empty = _empty_notes(key, tick, is_on)
        following += num_later
        end = np.where(off_key[following] == on_key, off_tick[following], NEVER)
    return end, is_empty


def _empty_notes(
    key: np.ndarray, tick: np.ndarray, is_on: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which notes end on the tick on which they begin.

    A note-off ends the notes that began before its tick. Only where there are none, it
    ends those that began on its tick.

    Args:
        key: See `_pair`, and so are the others.
        tick: int64 [n].
        is_on: bool [n].

    Returns:
        int64 [num_notes], the number of note-offs behind each note-on that have its key
        and tick, and bool [num_notes].
    """
    # Events of one key on one tick make a group.
    is_new_key = np.append(True, key[1:] != key[:-1])
    is_new = np.append(True, tick[1:] != tick[:-1]) | is_new_key
    group = (np.cumsum(is_new) - 1)[is_on]
    begins = np.flatnonzero(is_new)
    ends = np.append(begins[1:], len(key))
    offs = np.append(0, np.cumsum(~is_on))  # how many come before each event
    num_off = offs[ends] - offs[begins]
    num_on = ends - begins - num_off

    # Whether notes are left open by a group: if its last event is a note-on; or if some
    # were open before it, and it has no note-off, or one for those and a note-on.
    is_first = is_new_key[begins]
    leaves = is_on[ends - 1]
    can_leave = leaves | (num_off == 0) | ((num_off == 1) & (num_on > 0))
    decided = np.where(is_first | (can_leave == leaves), np.arange(len(begins)), 0)
    leaves = leaves[np.maximum.accumulate(decided)]
    is_open = np.append(False, leaves[:-1]) & ~is_first

    num_earlier = offs[:-1][is_on] - offs[begins][group]
    num_later = offs[ends][group] - offs[:-1][is_on]
    return num_later, num_later > (is_open[group] & (num_earlier == 0))


def _repair(
    key: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    is_empty: np.ndarray,
    *,
    is_drum: np.ndarray,
    track_end: np.ndarray,
    shortest: int,
) -> np.ndarray:
    """Ends for notes that have none; see the module's docstring.

    Args:
        key: int [num_notes], see `_pair`; those of one key stand together, in time.
        start: int64 [num_notes].
        end: int64 [num_notes], `NEVER` where no note-off ends the note.
        is_empty: bool [num_notes], whether one does so where it begins.
        is_drum: bool [num_notes].
        track_end: int64 [num_notes], where its track ends.
        shortest: The length of a note without length.
    """
    is_new = np.append(True, (key[1:] != key[:-1]) | (start[1:] != start[:-1]))
    following = np.append(np.flatnonzero(is_new), len(key))[np.cumsum(is_new)]
    is_same = np.append(key, -1)[following] == key
    next_on = np.where(is_same, np.append(start, 0)[following], NEVER)

    hangs = (end == NEVER) & ~is_empty
    end = np.where(hangs, np.minimum(next_on, track_end), end)
    is_short = is_empty | (hangs & (is_drum | (end <= start)))
    repairs.count("notes without length", int(is_empty.sum()))
    repairs.count("notes without an end", int(hangs.sum()))
    return np.where(is_short, np.minimum(start + shortest, next_on), end)


def _programs(events: Events, channels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The program that each note sounds with; `rows` are of its note-ons."""
    changes = np.flatnonzero(events.status & 0xF0 == _PROGRAM)
    if not len(changes):
        return np.zeros(len(rows), np.int64)
    changes = changes[np.argsort(events.tick[changes], kind="stable")]
    ticks = events.tick[changes]
    size = len(ticks) + 1
    change_rank = np.searchsorted(ticks, ticks, "right")
    note_rank = np.searchsorted(ticks, events.tick[rows], "right")

    def latest(change_owner: np.ndarray, note_owner: np.ndarray) -> np.ndarray:
        """The last change up to each note by the same owner, -1 if there is none."""
        place = change_owner * size + change_rank
        order = np.argsort(place, kind="stable")
        wanted = note_owner * size + note_rank
        found = np.searchsorted(place[order], wanted, "right")
        found = np.append(order, -1)[found - 1]
        return np.where(change_owner[found] == note_owner, found, -1)

    program = np.append(events.first[changes].astype(np.int64), 0)
    channel = channels[changes]
    found = latest(channel, channels[rows])
    voice = events.track[changes] * (channels.max() + 1) + channel
    if len(np.unique(voice)) > len(np.unique(channel)):
        note_voice = events.track[rows] * (channels.max() + 1) + channels[rows]
        own = latest(voice, note_voice)
        when = np.append(ticks, -1)
        found = np.where(when[own] == when[found], own, found)
    return program[found]


def is_drum(channels: np.ndarray) -> np.ndarray:
    """Whether channels are those of drums, on whatever port."""
    return channels & 15 == _DRUM_CHANNEL
