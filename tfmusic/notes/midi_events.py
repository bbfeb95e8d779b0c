"""The events of a standard MIDI file, as columns.

Where an event begins is known only once the one before it is read, and Python is slow
at reading bytes one by one. So a table is made first, for all bytes of the file at
once: if four notes or controls began here, how long would they be? A loop leaps through
the table, and all the rest is done to all events at once.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from tfmusic.notes import repairs
from tfmusic.notes.limits import Limits, ReadError, check_limit

META = 0xFF
NAME, PORT, TEMPO, METRE, KEY = 0x03, 0x21, 0x51, 0x58, 0x59  # meta events
_END = 0x2F
_TRACK = b"MTrk"
_SYSTEM_DATA = {0xF1: 1, 0xF2: 2, 0xF3: 1}  # data bytes; of others none
_ONE_AFTER_ANOTHER = 2  # the type of files whose tracks are pieces of their own
_END_OF_TRACK = bytes([META, _END, 0])
_LONGEST_LEAP = 20  # over four messages: two bytes of delta time, status, two of data
# Behind the file: no byte of an event that runs over its end is taken for data.
_PADDING = b"\xff" * 16


@dataclasses.dataclass(frozen=True)
class Events:
    """The events of all tracks: one track after the other, each in its own order.

    Attributes:
        data: The file.
        division: Of its header: ticks in a quarter note, or SMPTE frames.
        num_tracks: How many there are.
        track: int64 [n].
        tick: int64 [n], since the beginning of the track.
        status: uint8 [n], where it is left out that of the event before.
        first: uint8 [n], the byte after the status.
        second: uint8 [n], the byte after that.
        place: int64 [n], where the first of them is.
    """

    data: bytes
    division: int
    num_tracks: int
    track: np.ndarray
    tick: np.ndarray
    status: np.ndarray
    first: np.ndarray
    second: np.ndarray
    place: np.ndarray

    def metas(self, kind: int, num_bytes: int) -> tuple[np.ndarray, np.ndarray]:
        """Meta events of a kind that are at least so long, and shorter than 128 bytes.

        Returns:
            Rows, int64 [num_metas], and the first bytes of their contents, uint8
            [num_metas, num_bytes].
        """
        is_kind = (self.status == META) & (self.first == kind)
        rows = np.flatnonzero(
            is_kind & (self.second >= num_bytes) & (self.second < 128)
        )
        codes = np.frombuffer(self.data, np.uint8)
        return rows, codes[self.place[rows, None] + np.arange(2, 2 + num_bytes)]

    def texts(self, kind: int) -> Iterator[tuple[int, bytes]]:
        """Row and contents of each meta event of a kind."""
        for row in np.flatnonzero(
            (self.status == META) & (self.first == kind)
        ).tolist():
            begin, end = _counted_bytes(self.data, int(self.place[row]) + 1)
            yield row, self.data[begin:end]


def read_events(data: bytes, limits: Limits) -> Events:
    """Reads the tracks of a file, bare or in a RIFF wrapper.

    Where the header is wrong about the number of tracks, or a track about its length,
    while the tracks themselves say where they end, they are read to there.

    Raises:
        ReadError: `not_midi`, `truncated`, `bad_events`, `too_many_tracks`,
            `too_many_events`.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"RMID":
        data = data[max(data.find(b"MThd"), 0) :]
    if data[:4] != b"MThd":
        raise ReadError("not_midi", f"expected MThd first, found {data[:4]!r}")
    length = int.from_bytes(data[4:8], "big")
    if length < 6 or len(data) < 8 + length:
        raise ReadError("truncated", f"a header of {length} bytes in {len(data)}")
    expected = int.from_bytes(data[10:12], "big")
    if int.from_bytes(data[8:10], "big") == _ONE_AFTER_ANOTHER:
        repairs.count("files of type 2, their tracks played at once")

    scanner = _Scanner(data)
    position, num_tracks = 8 + length, 0
    while (begin := _next_track(data, position)) is not None:
        num_tracks += 1
        check_limit("tracks", num_tracks, limits)
        position = scanner.read_track(begin)
    rest = data[position : position + 4]
    if num_tracks < expected and rest and _TRACK.startswith(rest):
        raise ReadError("truncated", f"track {num_tracks} of {expected} is cut short")
    if num_tracks != expected:
        repairs.count("files with a wrong number of tracks")
    return scanner.events(int.from_bytes(data[12:14], "big"), limits)


def _next_track(data: bytes, position: int) -> int | None:
    """Where the first event of the next track is, other chunks being passed over."""
    while position + 8 <= len(data):
        kind = data[position : position + 4]
        if kind == _TRACK:
            return position + 8
        if kind == b"MThd":  # another file behind this one
            return None
        end = position + 8 + int.from_bytes(data[position + 4 : position + 8], "big")
        if not kind.isalpha() or end > len(data):
            end = data.find(_TRACK, position)
            if end < 0:
                return None
        position = end
    return None


class _Scanner:
    """Steps from event to event, track by track."""

    def __init__(self, data: bytes):
        self._size = len(data)
        self._data = data + _PADDING
        self._codes = np.frombuffer(self._data, np.uint8)
        self._sizes = self._measure()
        self._steps = bytearray(self._sizes)
        self._leaps = bytearray(_four_in_a_row(self._sizes))
        self._tracks = []  # where the first event of each is
        # By track, int64 arrays of where events begin: the first of four that were
        # passed in one leap, or the complement where it was one alone.
        self._places = []

    def _measure(self) -> np.ndarray:
        """For each byte, the length of the event that begins there; uint8 [n + 1].

        Of channel messages with two bytes of data, with or without a status byte, and
        of short meta events; with a delta time of one or two bytes. Elsewhere 0.
        """
        codes = self._codes
        is_data = codes < 0x80
        are_data = is_data[:-1] & is_data[1:]
        is_status = (codes >= 0x80) & (codes < 0xF0) & (codes & 0xE0 != 0xC0)
        with_status = is_status[:-2] & are_data[1:]
        message = np.maximum(are_data[:-1] * np.uint8(2), with_status * np.uint8(3))
        metas = np.flatnonzero(codes[: self._size] == META)
        length = codes[metas + 2].astype(np.int64)
        fits = (length < 128) & (metas + 3 + length <= self._size)
        fits &= codes[metas + 1] != _END
        message[metas[fits]] = 3 + length[fits]
        # The last byte of a delta time is data; there may be one that is not before it.
        short = (message[1:] + (message[1:] > 0)) * is_data[:-3]
        long = (short[1:] + (short[1:] > 0)) * ~is_data[:-4]
        return (short[:-1] + long)[: self._size + 1]

    def read_track(self, begin: int) -> int:
        """Finds the events of a track; gives where the track ends.

        Args:
            begin: Of its first event.

        Raises:
            ReadError: `truncated`, `bad_events`.
        """
        data, track = self._data, len(self._tracks)
        self._tracks.append(begin)
        declared = begin + int.from_bytes(data[begin - 4 : begin], "big")
        border = declared
        is_right = declared == self._size or data.startswith(_TRACK, declared)
        if not is_right:
            border = data.find(_TRACK, begin)
            border = border if border >= 0 else self._size
        self._places.append(np.fromiter(self._walk(begin, border), np.int64))
        end, is_complete = self._stopped
        if end > border:
            raise ReadError("bad_events", f"track {track}: an event runs over its end")
        if is_right and not (is_complete and data.startswith(_TRACK, end)):
            return border
        if not is_complete and border == self._size:
            raise ReadError("truncated", f"track {track} is cut short")
        if end != declared:
            repairs.count("tracks of a wrong length")
        return end

    def _walk(self, position: int, border: int) -> Iterator[int]:
        """Gives where events begin, up to the end of the track or to a border.

        Notes in `_stopped` where it came to, and whether the track ended by itself.
        """
        steps, leaps = self._steps, self._leaps
        steps[border] = 0
        if not self._data.endswith(_END_OF_TRACK, 0, border):  # else none leaps over it
            near = max(border - _LONGEST_LEAP, 0)
            leaps[near : border + 1] = bytes(border + 1 - near)
        num_data, is_end = 2, False
        while position != border and not is_end:
            if num_data == 2:
                while size := leaps[position]:
                    yield position
                    position += size
                while size := steps[position]:
                    yield ~position
                    position += size
            if position != border:
                yield ~position
                position, num_data, is_end = self._step(position, num_data)
        self._stopped = position, is_end

    def _step(self, position: int, num_data: int) -> tuple[int, int, bool]:
        """Passes an event of any kind.

        Args:
            position: Of its delta time.
            num_data: How many bytes of data there are after running status.

        Returns:
            Where the next event is, the new `num_data`, and whether the track ends.
        """
        data = self._data
        last = position  # byte of the delta time
        while data[last] > 127 and last < position + 3:
            last += 1
        status = data[last + 1]
        is_event = data[last] < 0x80
        if status in (0xF0, 0xF7, META):
            begin, end = _counted_bytes(data, last + 2 + (status == META))
            is_event &= begin > 0
        elif status >= 0xF0:
            end = last + 2 + _SYSTEM_DATA.get(status, 0)
        else:
            if status >= 0x80:
                num_data = 1 if status & 0xE0 == 0xC0 else 2
            begin = last + 1 + (status >= 0x80)
            end = begin + num_data
            is_event &= max(data[begin:end]) < 0x80
        if last + 1 >= self._size or end > self._size:
            raise ReadError("truncated", f"an event at byte {position} is cut short")
        if not is_event:
            raise ReadError("bad_events", f"no event at byte {position}")
        return end, num_data, status == META and data[last + 2] == _END

    def events(self, division: int, limits: Limits) -> Events:
        """All that were found.

        Raises:
            ReadError: `bad_events`, `too_many_events`.
        """
        codes = self._codes
        place = np.concatenate([np.zeros(0, np.int64), *self._places])
        # A note has two.
        limit = 2 * (limits.max_notes + limits.max_controls)
        if (found := 4 * np.sum(place >= 0) + np.sum(place < 0)) > limit:
            detail = f"expected at most {limit} events, found {found}"
            raise ReadError("too_many_events", detail, float(found))
        are_events = np.zeros(self._size, bool)
        are_events[~place[place < 0]] = True
        place = place[place >= 0]
        for _ in range(4):
            are_events[place] = True
            place += self._sizes[place]
        place = np.flatnonzero(are_events)
        begins = np.searchsorted(place, [*self._tracks, self._size])
        byte = codes[place]
        delta = (byte & 127).astype(np.int64)
        goes_on = byte > 127
        while goes_on.any():
            place += goes_on
            byte = codes[place]
            delta = (delta << 7 * goes_on) + (byte & 127) * goes_on
            goes_on &= byte > 127
        place += 1
        byte = codes[place]
        place += byte > 127
        track = np.repeat(np.arange(len(begins) - 1), np.diff(begins))
        tick = np.zeros(len(delta) + 1, np.int64)
        np.cumsum(delta, out=tick[1:])
        return Events(
            data=self._data,
            division=division,
            num_tracks=len(self._tracks),
            track=track,
            tick=tick[1:] - tick[begins][track],
            status=_fill_in(byte, begins),
            first=codes[place],
            second=codes[place + 1],
            place=place,
        )


def _fill_in(status: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """Running status: in the place of data, the status of the message before.

    Args:
        status: uint8 [n], of data the first byte.
        begins: int64 [num_tracks + 1], the first event of each track, and n.

    Raises:
        ReadError: `bad_events`: there is none before in the same track.
    """
    is_data = status < 0x80
    if not is_data.any():
        return status
    messages = np.flatnonzero(~is_data & (status < 0xF0))
    firsts = np.append(messages, len(status))[np.searchsorted(messages, begins)]
    ends = np.minimum(firsts[:-1], begins[1:])
    for begin, end in zip(begins[:-1], ends, strict=True):
        if is_data[begin:end].any():
            raise ReadError("bad_events", "data before the first status of a track")
    result = status.copy()
    rest = slice(messages[0], None)
    latest = np.repeat(status[messages], np.diff(messages, append=len(status)))
    result[rest] = np.where(is_data[rest], latest, status[rest])
    return result


def _four_in_a_row(sizes: np.ndarray) -> np.ndarray:
    """For each byte, the length of four messages; 0 where there are not so many."""
    for lengths in (range(3, 6), range(6, 11)):  # of a message, then of two
        following = np.zeros_like(sizes)
        for length in lengths:
            following[:-length] += sizes[length:] * (sizes[:-length] == length)
        sizes = (sizes + following) * (following > 0)
    return sizes


def _counted_bytes(data: bytes, position: int) -> tuple[int, int]:
    """Where bytes begin and end that follow their number.

    Args:
        data: The file.
        position: Of the number.

    Returns:
        The beginning is 0 where there is no such number.
    """
    number = 0
    for place in range(position, position + 4):
        number = number << 7 | data[place] & 127
        if data[place] < 128:
            return place + 1, place + 1 + number
    return 0, position + 4
