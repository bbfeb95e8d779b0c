"""Seconds and steps: the beat grid of a tempo map, or a fixed frame rate.

There is one rounding rule in the package and it is here: to the nearest step, halves
up. A decoded sequence has one tempo, so what is written steps evenly.
"""

import dataclasses
from fractions import Fraction

import numpy as np

from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence

DEFAULT_QPM = 120.0
# Sixteenths, triplets, and the steps of most other grids are whole ticks.
DEFAULT_TICKS_PER_QUARTER = 480
_MAX_TICKS_PER_QUARTER = 2**15 - 1  # what a MIDI file's header holds
# In steps: far above the rounding error of a tempo map, far below what is audible.
_TINY = 1e-6


def round_steps(steps: np.ndarray) -> np.ndarray:
    """To the nearest whole step, halves (up to rounding error) up; int64."""
    return np.floor(np.asarray(steps, np.float64) + (0.5 + _TINY)).astype(np.int64)


@dataclasses.dataclass(frozen=True)
class TempoMap:
    """Seconds to quarter notes and back, by every tempo change.

    Attributes:
        seconds: float64 [n], where each tempo begins; ascending, the first is 0.
        quarters: float64 [n], the same places in quarter notes.
        qpm: float64 [n], quarter notes per minute from there on.
    """

    seconds: np.ndarray
    quarters: np.ndarray
    qpm: np.ndarray

    @classmethod
    def of(cls, sequence: NoteSequence) -> "TempoMap":
        """The tempo map of a sequence.

        The tempos may stand in any order; of several at one time the last counts,
        those that are not above zero are passed over, and 120 qpm holds where there
        is none yet, as in MIDI.
        """
        tempos = {0.0: DEFAULT_QPM}
        for tempo in sorted(sequence.tempos, key=lambda tempo: tempo.time):
            if tempo.qpm > 0:
                tempos[max(tempo.time, 0.0)] = tempo.qpm
        seconds = np.fromiter(tempos.keys(), np.float64, len(tempos))
        qpm = np.fromiter(tempos.values(), np.float64, len(tempos))
        lengths = np.diff(seconds) * qpm[:-1] / 60
        return cls(seconds, np.concatenate([[0.0], np.cumsum(lengths)]), qpm)

    def to_quarters(self, seconds: np.ndarray) -> np.ndarray:
        """Quarter notes from the beginning; the first tempo also holds before 0."""
        seconds = np.asarray(seconds, np.float64)
        i = np.maximum(np.searchsorted(self.seconds, seconds, "right") - 1, 0)
        return self.quarters[i] + (seconds - self.seconds[i]) * (self.qpm[i] / 60)

    def to_seconds(self, quarters: np.ndarray) -> np.ndarray:
        """Seconds from the beginning; undoes `to_quarters`."""
        quarters = np.asarray(quarters, np.float64)
        i = np.maximum(np.searchsorted(self.quarters, quarters, "right") - 1, 0)
        return self.seconds[i] + (quarters - self.quarters[i]) * (60 / self.qpm[i])


@dataclasses.dataclass(frozen=True)
class BeatGrid:
    """Equal steps of a quarter note: they follow the tempo map of the sequence.

    Attributes:
        steps_per_quarter: 4 for sixteenths.
        qpm: The one tempo of a decoded sequence.
    """

    steps_per_quarter: int
    qpm: float = DEFAULT_QPM

    def to_steps(self, sequence: NoteSequence, seconds: np.ndarray) -> np.ndarray:
        """The nearest steps to times in a sequence; int64, of the same shape."""
        quarters = TempoMap.of(sequence).to_quarters(seconds)
        return round_steps(quarters * self.steps_per_quarter)

    def to_seconds(self, steps: np.ndarray) -> np.ndarray:
        """The times of steps in a decoded sequence; float64, of the same shape."""
        return np.asarray(steps, np.float64) * 60 / (self.qpm * self.steps_per_quarter)

    def new_sequence(self) -> NoteSequence:
        """An empty decoded sequence, at its one tempo."""
        return _new_sequence(self.qpm, Fraction(1, self.steps_per_quarter))

    def _bar_lines(self, tempo_map: TempoMap, quarters: np.ndarray) -> np.ndarray:
        del tempo_map
        return round_steps(quarters * self.steps_per_quarter)

    def _quarters(self, tempo_map: TempoMap, steps: int) -> float:
        del tempo_map
        return steps / self.steps_per_quarter


@dataclasses.dataclass(frozen=True)
class FrameGrid:
    """Equal steps of real time, whatever the tempo.

    Attributes:
        steps_per_second: The frame rate.
    """

    steps_per_second: float

    def to_steps(self, sequence: NoteSequence, seconds: np.ndarray) -> np.ndarray:
        """The nearest steps to times in a sequence; int64, of the same shape."""
        del sequence
        return round_steps(np.asarray(seconds, np.float64) * self.steps_per_second)

    def to_seconds(self, steps: np.ndarray) -> np.ndarray:
        """The times of steps in a decoded sequence; float64, of the same shape."""
        return np.asarray(steps, np.float64) / self.steps_per_second

    def new_sequence(self) -> NoteSequence:
        """An empty decoded sequence; its tempo, 120 qpm, means nothing."""
        rate = Fraction(self.steps_per_second).limit_denominator(1000)
        return _new_sequence(DEFAULT_QPM, Fraction(DEFAULT_QPM) / 60 / rate)

    def _bar_lines(self, tempo_map: TempoMap, quarters: np.ndarray) -> np.ndarray:
        return round_steps(tempo_map.to_seconds(quarters) * self.steps_per_second)

    def _quarters(self, tempo_map: TempoMap, steps: int) -> float:
        return float(tempo_map.to_quarters(steps / self.steps_per_second))


Grid = BeatGrid | FrameGrid


def make_grid(
    steps_per_quarter: int = 0, steps_per_second: float = 0, qpm: float = DEFAULT_QPM
) -> Grid:
    """The grid that a configuration asks for.

    Args:
        steps_per_quarter: Steps in a quarter note, or 0 for a grid in real time.
        steps_per_second: Steps in a second, or 0 for a grid in beats.
        qpm: The tempo of decoded sequences, for a grid in beats.

    Raises:
        UserError: Not exactly one of the first two is above zero, or qpm is not.
    """
    if min(steps_per_quarter, steps_per_second) < 0 or (
        (steps_per_quarter > 0) == (steps_per_second > 0)
    ):
        raise UserError(
            "expected steps_per_quarter or steps_per_second, one of them above 0 and "
            f"the other 0, not {steps_per_quarter} and {steps_per_second}"
        )
    if qpm <= 0:
        raise UserError(f"qpm: expected quarter notes per minute above 0, not {qpm}")
    if steps_per_second > 0:
        return FrameGrid(steps_per_second)
    return BeatGrid(steps_per_quarter, qpm)


def quantize_spans(
    sequence: NoteSequence, grid: Grid, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Spans of time in a sequence on a grid.

    Args:
        sequence: Whose tempos count.
        grid: What to round to.
        starts: Seconds [n].
        ends: Seconds [n].

    Returns:
        First and last (exclusive) steps, int64 [n] each. No span starts before 0 or
        is shorter than one step.
    """
    steps = grid.to_steps(sequence, np.stack([starts, ends]))
    start_steps = np.maximum(steps[0], 0)
    return start_steps, np.maximum(steps[1], start_steps + 1)


def bar_positions(sequence: NoteSequence, grid: Grid, num_steps: int) -> np.ndarray:
    """Where in its bar each step lies: the first of the arrays of `bars`."""
    return bars(sequence, grid, num_steps)[0]


def metres(sequence: NoteSequence, tempo_map: TempoMap) -> list[tuple[float, int, int]]:
    """The time signatures, as where they begin, numerator and denominator.

    4/4 holds where there is none yet, as in MIDI. But what stands before the first one
    and is shorter than its bar is an upbeat: the end of such a bar. So is a first bar
    with a signature of its own that is shorter than the next one's, as in 1/4, 4/4:
    that is how MIDI files write upbeats. Signatures that divide by zero are passed
    over.

    Returns:
        At least one, ascending, in quarter notes; the first begins at 0 or, where there
        is an upbeat, before it.
    """
    found = {}
    for signature in sorted(sequence.time_signatures, key=lambda s: s.time):
        if signature.numerator > 0 and signature.denominator > 0:
            start = float(tempo_map.to_quarters(max(signature.time, 0.0)))
            found[start] = signature.numerator, signature.denominator
    first, second = [*sorted(found), 0.0, 0.0][:2]
    if first == 0 < second:
        begin, following = (4 * n / d for n, d in (found[first], found[second]))
        if abs(second - begin) < _TINY and begin < following - _TINY:
            del found[first]
            first = second
    if first > 0 or not found:
        length = 4 * found[first][0] / found[first][1] if found else 0.0
        if first < length - _TINY:
            found[first - length] = found.pop(first)
        else:
            found[0.0] = 4, 4
    return [(start, *found[start]) for start in sorted(found)]


@dataclasses.dataclass(frozen=True)
class BarLines:
    """The bars of a piece on a grid.

    Attributes:
        steps: int64 [num_bars], where each begins; an upbeat's bar below 0.
        lengths: int64 [num_bars], steps of the whole bar, also where the next bar
            begins before its end.
        metres: int64 [num_bars, 2], numerator and denominator.
    """

    steps: np.ndarray
    lengths: np.ndarray
    metres: np.ndarray


def bar_lines(sequence: NoteSequence, grid: Grid, num_steps: int) -> BarLines:
    """The bars that begin before a step or shortly after it.

    Every time signature begins a bar (`metres` says which there are). Bar lines that
    fall between steps are rounded, so several may fall on one step.
    """
    tempo_map = TempoMap.of(sequence)
    found = metres(sequence, tempo_map)
    limits = [*(start for start, *_ in found[1:])]
    limits.append(grid._quarters(tempo_map, num_steps) + 1)
    lengths = [4 * numerator / denominator for _, numerator, denominator in found]
    lines = [
        # Bar lines just before the next signature are its own, up to rounding error.
        np.arange(start, limit - 1e-6, length)
        for (start, *_), limit, length in zip(found, limits, lengths, strict=True)
    ]
    numbers = np.repeat(np.arange(len(found)), [len(line) for line in lines])
    lines = np.concatenate(lines)
    line_steps = grid._bar_lines(tempo_map, lines)
    line_ends = grid._bar_lines(tempo_map, lines + np.array(lengths)[numbers])
    signatures = np.array([signature for _, *signature in found])
    return BarLines(line_steps, line_ends - line_steps, signatures[numbers])


def bars(
    sequence: NoteSequence, grid: Grid, num_steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Where in its bar each step lies, and how long that bar is.

    Returns:
        Steps since the bar line, the first of a bar being 0, and steps of the whole
        bar (also where the next signature cuts it short, the piece ends, or an upbeat
        is all there is of it); int64 [num_steps] each. For the bars see `bar_lines`.
    """
    lines = bar_lines(sequence, grid, num_steps)
    steps = np.arange(num_steps)
    bar = np.searchsorted(lines.steps, steps, "right") - 1
    return steps - lines.steps[bar], lines.lengths[bar]


def _new_sequence(qpm: float, step: Fraction) -> NoteSequence:
    """An empty sequence at one tempo, whose ticks hold steps of so many quarters."""
    ticks = DEFAULT_TICKS_PER_QUARTER
    if step.denominator <= _MAX_TICKS_PER_QUARTER:
        ticks = -(-ticks // step.denominator) * step.denominator
    sequence = NoteSequence(ticks_per_quarter=ticks)
    sequence.tempos.add(time=0, qpm=qpm)
    return sequence
