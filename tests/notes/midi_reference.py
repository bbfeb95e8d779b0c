"""Another reading of MIDI files, to check the package's by: slow, plain, by mido.

All tracks are played at once, event by event, as a sequencer plays them to a device
that has channels. See `tfmusic.notes.midi` for what is expected of a reader.
"""

import bisect
import collections
import io
from collections.abc import Iterator

import mido

from tfmusic.notes import NoteSequence
from tfmusic.notes.transforms import sustained_ends

_SECONDS = 1e-6  # that times may differ by


class Reference:
    """What a file holds.

    Attributes:
        notes: (start, end, pitch, velocity, program, is_drum) by instrument, that is
            by (track, port, channel, program).
        controls: (seconds, number, value) in time, by (port, channel).
        bends: (seconds, value) in time, likewise.
        tempos: (seconds, qpm) of each that differs from the one before.
        metres: (seconds, numerator, denominator).
        keys: (seconds, key, mode).
        names: By track, as mido has them: the bytes as Latin-1.
    """

    def __init__(self, data: bytes):
        """Plays a file.

        Raises:
            Exception: Whatever mido does with a file that it cannot read.
        """
        file = mido.MidiFile(file=io.BytesIO(data))
        self._ticks_per_quarter = file.ticks_per_beat
        events = sorted(_events(file), key=lambda event: event[0])
        self._maps(events)
        self._programs, self._own_programs = {}, {}
        self._notes, self._open = [], collections.defaultdict(list)
        self.controls = collections.defaultdict(list)
        self.bends = collections.defaultdict(list)
        self.names = {}
        ticks = collections.defaultdict(list)
        for event in events:
            ticks[event[0]].append(event)
        for tick, at_once in ticks.items():
            for _, track, port, message in at_once:
                if message.type == "program_change":
                    change = tick, message.program
                    self._programs[port, message.channel] = change
                    self._own_programs[track, port, message.channel] = change
            for _, track, port, message in at_once:
                self._play(tick, track, port, message)
        lengths = {}
        for tick, track, _, _ in events:
            lengths[track] = max(tick, lengths.get(track, 0))
        self._end_notes(lengths)

    def _play(self, tick: int, track: int, port: int, message) -> None:
        if message.type in ("note_on", "note_off"):
            key = track, port, message.channel, message.note
            if message.type == "note_on" and message.velocity > 0:
                note = [tick, None, message.note, message.velocity]
                program = self._program(track, port, message.channel)
                self._notes.append((key, note, program))
                self._open[key].append(note)
            else:
                self._let_go(self._open[key], tick)
        elif message.type == "control_change":
            self.controls[port, message.channel].append(
                (self.seconds(tick), message.control, message.value)
            )
        elif message.type == "pitchwheel":
            self.bends[port, message.channel].append(
                (self.seconds(tick), message.pitch)
            )
        elif message.type == "track_name":
            self.names[track] = message.name

    def _let_go(self, open_notes: list, tick: int) -> None:
        earlier = [note for note in open_notes if note[0] < tick]
        for note in earlier or open_notes:
            note[1] = tick
        open_notes[:] = [note for note in open_notes if note[1] is None]

    def _program(self, track: int, port: int, channel: int) -> int:
        when, program = self._programs.get((port, channel), (0, 0))
        own_when, own = self._own_programs.get((track, port, channel), (-1, 0))
        return own if own_when == when else program

    def _end_notes(self, lengths: dict[int, int]) -> None:
        starts = collections.defaultdict(set)
        for key, note, _ in self._notes:
            starts[key].add(note[0])
        starts = {key: sorted(ticks) for key, ticks in starts.items()}
        shortest = max(self._ticks_per_quarter // 8, 1)
        self.num_without_length = self.num_without_end = 0
        self.notes = collections.defaultdict(list)
        for key, (start, end, pitch, velocity), program in self._notes:
            track, port, channel, _ = key
            following = starts[key][bisect.bisect(starts[key], start) :]
            restrike = following[0] if following else float("inf")
            self.num_without_length += end == start
            self.num_without_end += end is None
            if end is None and channel != 9:
                end = min(restrike, lengths[track])
            if end is None or end <= start:
                end = min(restrike, start + shortest)
            times = self.seconds(start), self.seconds(end)
            self.notes[track, port, channel, program].append(
                (*times, pitch, velocity, program, channel == 9)
            )
        for notes in self.notes.values():
            notes.sort(key=lambda note: note[1])

    def _maps(self, events: list) -> None:
        tempos, metres, keys = {0: 500_000}, {}, {}
        for tick, _, _, message in events:
            if message.type == "set_tempo" and message.tempo:
                tempos[tick] = message.tempo
            elif message.type == "time_signature" and message.numerator:
                metres[tick] = message.numerator, message.denominator
            elif message.type == "key_signature":
                keys[tick] = _key(message.key)
        self._clock, seconds, before = [], 0.0, (0, 500_000)
        for tick, tempo in tempos.items():
            waited = tick - before[0]
            seconds += mido.tick2second(waited, self._ticks_per_quarter, before[1])
            self._clock.append((tick, seconds, tempo))
            before = tick, tempo
        self.tempos = []
        for _, seconds, tempo in self._clock:
            if not self.tempos or self.tempos[-1][1] != 6e7 / tempo:
                self.tempos.append((seconds, 6e7 / tempo))
        if set(metres.values()) == {(1, 4)}:  # beats without bars
            metres = {min(metres): (4, 4)}
        self.metres = [(self.seconds(tick), *metre) for tick, metre in metres.items()]
        self.keys = [(self.seconds(tick), *key) for tick, key in keys.items()]

    def seconds(self, tick: int) -> float:
        place = bisect.bisect(self._clock, (tick, float("inf"))) - 1
        since, seconds, tempo = self._clock[place]
        return seconds + mido.tick2second(tick - since, self._ticks_per_quarter, tempo)

    def held_ends(self) -> dict[tuple, list[float]]:
        """When the notes of each instrument end if their channel's pedal holds them."""
        every = [note for notes in self.notes.values() for note in notes]
        pedals = {
            channel: [
                (when, value >= 64) for when, number, value in controls if number == 64
            ]
            for channel, controls in self.controls.items()
        }
        channels = {(port, channel) for _, port, channel, _ in self.notes}
        last = max(
            *(note[1] for note in every),
            *(when for c in channels for when, _ in pedals.get(c, [])),
            0,
        )
        return {
            part: _held(notes, [] if part[2] == 9 else pedals.get(part[1:3], []), last)
            for part, notes in self.notes.items()
        }


def _held(notes: list, pedal: list, last: float) -> list[float]:
    """When notes end, given in order of their ends; a pedal; and the last event."""
    # At one time the pedal goes down before it goes up.
    pedal = sorted(pedal, key=lambda event: (event[0], not event[1]))
    times = [when for when, _ in pedal]
    lifts = [when for when, is_down in pedal if not is_down]

    def is_down(when: float) -> bool:
        place = bisect.bisect(times, when)
        return place > 0 and pedal[place - 1][1]

    strikes = collections.defaultdict(list)
    for i, (start, _, pitch, *_) in enumerate(notes):
        if is_down(start):
            strikes[pitch].append((start, i))
    for starts in strikes.values():
        starts.sort()
    result = []
    for i, (start, end, pitch, *_) in enumerate(notes):
        if is_down(end):
            place = bisect.bisect(lifts, end)
            end = lifts[place] if place < len(lifts) else last
        place = bisect.bisect(strikes[pitch], (start, i))
        if place < len(strikes[pitch]):
            end = min(end, strikes[pitch][place][0])
        result.append(end)
    return result


def _events(file: mido.MidiFile) -> Iterator[tuple]:
    for number, track in enumerate(file.tracks):
        tick = port = 0
        for message in track:
            tick += message.time
            if message.type == "midi_port":
                port = message.port
            yield tick, number, port, message


def _key(name: str) -> tuple[int, int]:
    step = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[name[0]]
    accidental = name.count("#") - name[1:].count("b")
    return (step + accidental) % 12, int(name.endswith("m"))


def find_differences(sequence: NoteSequence, reference: Reference) -> list[str]:
    """What a sequence has otherwise than the reference; nothing is as it should be."""
    found = []

    def compare(what: str, ours: list, theirs: list) -> None:
        if len(ours) != len(theirs) or not all(map(_near, ours, theirs)):
            found.append(f"{what}: {len(ours)} instead of {len(theirs)}, or others")

    compare("tempos", [(t.time, t.qpm) for t in sequence.tempos], reference.tempos)
    compare(
        "metres",
        [(s.time, s.numerator, s.denominator) for s in sequence.time_signatures],
        reference.metres,
    )
    compare(
        "keys",
        [(k.time, k.key, k.mode) for k in sequence.key_signatures],
        reference.keys,
    )
    ends = reference.held_ends()
    ours = collections.defaultdict(list)
    for note, held in zip(
        sequence.notes, sustained_ends(sequence).tolist(), strict=True
    ):
        row = note.start_time, note.end_time, note.pitch, note.velocity
        ours[note.instrument].append((*row, note.program, note.is_drum, held))
    theirs = {
        part: sorted((*note, end) for note, end in zip(notes, ends[part], strict=True))
        for part, notes in reference.notes.items()
    }
    # Instruments are numbered track by track, in the order in which they end a note.
    order = sorted(theirs, key=lambda p: (p[0], min(n[1] for n in theirs[p]), p))
    compare(
        "instruments", [(i,) for i in sorted(ours)], [(i,) for i, _ in enumerate(order)]
    )
    for instrument, part in enumerate(order):
        what = f"instrument {instrument}"
        compare(f"notes of {what}", sorted(ours[instrument]), theirs[part])
        compare(
            f"controls of {what}",
            [
                (c.time, c.control_number, c.control_value)
                for c in sequence.control_changes
                if c.instrument == instrument
            ],
            reference.controls[part[1:3]],
        )
        compare(
            f"pitch bends of {what}",
            [
                (b.time, b.bend)
                for b in sequence.pitch_bends
                if b.instrument == instrument
            ],
            reference.bends[part[1:3]],
        )
    return found


def _near(row: tuple, other: tuple) -> bool:
    return all(abs(a - b) < _SECONDS for a, b in zip(row, other, strict=True))
