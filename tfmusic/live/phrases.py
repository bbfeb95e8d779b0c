"""Notes as they are played, gathered to a phrase. No ports, no clock, no TensorFlow."""

import dataclasses
import math

from tfmusic.notes import NoteSequence

# A phrase is over when nothing sounds for that part of a bar.
SILENT_BARS = 0.5


@dataclasses.dataclass(frozen=True)
class Event:
    """A key that is pressed or let go.

    Attributes:
        at: When, in seconds of `time.monotonic`.
        pitch: 0..127.
        velocity: 1..127; 0 lets go.
    """

    at: float
    pitch: int
    velocity: int


@dataclasses.dataclass(frozen=True)
class Metre:
    """The time that phrases and answers keep.

    Attributes:
        qpm: Quarter notes a minute.
        numerator: Of the metre.
        denominator: Of the metre.
    """

    qpm: float
    numerator: int = 4
    denominator: int = 4

    @classmethod
    def of(cls, sequence: NoteSequence) -> "Metre":
        """That of a phrase."""
        signature = sequence.time_signatures[0]
        return cls(sequence.tempos[0].qpm, signature.numerator, signature.denominator)

    @property
    def beat_seconds(self) -> float:
        """The length of a beat, as the denominator has it."""
        return 60 / self.qpm * 4 / self.denominator

    @property
    def bar_seconds(self) -> float:
        """The length of a bar."""
        return self.numerator * self.beat_seconds

    def next_beat(self, seconds: float) -> float:
        """The first beat that is not before a moment; a bar begins at 0."""
        return math.ceil(seconds / self.beat_seconds - 1e-6) * self.beat_seconds


class Phrase:
    """What has been played since the first note, which is the first beat of a bar."""

    def __init__(self, metre: Metre, num_bars: int):
        """Begins without notes.

        Args:
            metre: The time that is kept.
            num_bars: How many bars a phrase has at most.
        """
        self._metre = metre
        self._num_bars = num_bars
        self._notes: list[list[float]] = []  # pitch, velocity, start, end
        self._held: dict[int, list[float]] = {}
        self.begin = 0.0

    def add(self, event: Event) -> None:
        """Takes what is played next."""
        if not self._notes:
            if not event.velocity:
                return  # of a key that was pressed before
            self.begin = event.at
        at = event.at - self.begin
        if held := self._held.pop(event.pitch, None):
            held[3] = at
        if event.velocity:
            note = [event.pitch, event.velocity, at, math.inf]
            self._notes.append(note)
            self._held[event.pitch] = note

    @property
    def end(self) -> float:
        """When the phrase is over if nothing else is played; infinite before it begins.

        In seconds of `time.monotonic`.
        """
        if not self._notes:
            return math.inf
        longest = self._num_bars * self._metre.bar_seconds
        last = max(note[3] for note in self._notes)
        silent = last + SILENT_BARS * self._metre.bar_seconds
        return self.begin + min(longest, silent)

    def to_sequence(self) -> NoteSequence:
        """The phrase in whole bars, to be continued from the next bar on."""
        metre = self._metre
        longest = self._num_bars * metre.bar_seconds
        last = min(max(note[3] for note in self._notes), longest)
        num_bars = max(math.ceil(last / metre.bar_seconds - 1e-3), 1)
        sequence = NoteSequence(filename="what was played", ticks_per_quarter=480)
        sequence.tempos.add(qpm=metre.qpm)
        sequence.time_signatures.add(
            numerator=metre.numerator, denominator=metre.denominator
        )
        sequence.total_time = num_bars * metre.bar_seconds
        for pitch, velocity, start, end in self._notes:
            if start < sequence.total_time:
                sequence.notes.add(
                    pitch=pitch,
                    velocity=velocity,
                    start_time=start,
                    end_time=min(end, sequence.total_time),
                )
        return sequence
