"""The bars of a piece in metres of a fixed list, with their tempos, and back."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import BeatGrid, TempoMap, bar_lines

STEPS_PER_QUARTER = 12
STEPS_PER_WHOLE = 4 * STEPS_PER_QUARTER
# From so many bars on a metre is learned well enough to be asked for.
_ENOUGH_BARS = 64
# Numerator and denominator. Of metres of one length the first is the plain one.
METRES = (
    *((n, 4) for n in range(1, 9)),
    *((2, 2), (3, 2), (4, 2)),
    *((n, 8) for n in (*range(1, 13), 15)),
    *((3, 16), (6, 16), (9, 16), (12, 16)),
)
METRE_STEPS = np.array([STEPS_PER_WHOLE * n // d for n, d in METRES])
MAX_BAR_STEPS = int(METRE_STEPS.max())
COMMON = METRES.index((4, 4))
# Quarter notes a minute, 26 to 280: nine to a doubling; 60, 120 and 240 are among them.
TEMPOS = 120 * 2 ** (np.arange(-20, 12) / 9)


@dataclasses.dataclass(frozen=True)
class Bars:
    """Bars one after another; the first one may have begun before the music does.

    Attributes:
        metres: int64 [num_bars], numbers of `METRES`.
        spans: int64 [num_bars], steps from where each bar, or the music, begins to the
            next bar line; less than the metre wants where the next bar comes early.
        upbeat: At which step of the first bar the music begins; 0: at its bar line.
        tempos: int64 [num_bars], numbers of `TEMPOS`; -1: none is known.
    """

    metres: np.ndarray
    spans: np.ndarray
    upbeat: int
    tempos: np.ndarray

    def __len__(self) -> int:
        return len(self.metres)

    @property
    def starts(self) -> np.ndarray:
        """The step of the music at which each bar, as far as it is there, begins."""
        return np.cumsum(self.spans) - self.spans

    @property
    def lines(self) -> np.ndarray:
        """The step of each bar line; of an upbeat's bar below 0."""
        lines = self.starts
        lines[:1] -= self.upbeat
        return lines

    @property
    def is_cut(self) -> np.ndarray:
        """Whether the next bar comes early, bool [num_bars]."""
        return self.starts + self.spans < self.lines + METRE_STEPS[self.metres]

    def tempo_map(self, default_qpm: float) -> TempoMap:
        """The tempo of each bar, from its line on."""
        if not len(self):
            return TempoMap(np.zeros(1), np.zeros(1), np.array([default_qpm]))
        new = np.ones(len(self), bool)
        new[1:] = np.diff(self.tempos) != 0
        quarters = self.starts[new] / STEPS_PER_QUARTER
        qpm = np.append(TEMPOS, default_qpm)[self.tempos[new]]
        seconds = np.cumsum(np.diff(quarters, prepend=0) * 60 / np.roll(qpm, 1))
        return TempoMap(seconds, quarters, qpm)

    def add_signatures(self, sequence: NoteSequence, tempo_map: TempoMap) -> None:
        """Writes a time signature wherever the metre changes or a bar comes early.

        The first stands at the first bar line within the music; what is before it is
        an upbeat.
        """
        lines, metres, is_cut = self.lines, self.metres.copy(), self.is_cut
        if self.upbeat and len(self) == 1:
            lines = self.spans
        elif self.upbeat and metres[0] == metres[1] and not is_cut[0]:
            lines, metres, is_cut = lines[1:], metres[1:], is_cut[1:]
        elif self.upbeat:  # to a bar of another metre: a bar by itself
            lines[0], metres[0] = 0, _metre_of(self.spans[0])
            is_cut[0] = METRE_STEPS[metres[0]] > self.spans[0]
        new = np.ones(len(lines), bool)
        new[1:] = (np.diff(metres) != 0) | is_cut[: len(lines) - 1]
        times = tempo_map.to_seconds(lines[new] / STEPS_PER_QUARTER)
        for time, metre in zip(times.tolist(), metres[new].tolist(), strict=True):
            numerator, denominator = METRES[metre]
            sequence.time_signatures.add(
                time=time, numerator=numerator, denominator=denominator
            )


def read_bars(
    sequence: NoteSequence, grid: BeatGrid, last_step: int
) -> tuple[Bars, int]:
    """The bars of a piece up to a step.

    A bar of a metre that is not listed is spelled: by the longest one as often as it
    fits, and by one of what is left, cut short where none is as long.

    Args:
        sequence: The piece.
        grid: One of `STEPS_PER_QUARTER`.
        last_step: Where the last note begins.

    Returns:
        The bars, and how many of the piece's own were spelled.
    """
    found = bar_lines(sequence, grid, last_step + 1)
    ends = np.append(found.steps[1:], found.steps[-1] + found.lengths[-1])
    kept = (ends > found.steps) & (found.steps <= last_step) & (ends > 0)
    rows = zip(
        *(found.steps[kept].tolist(), ends[kept].tolist()),
        *(found.lengths[kept].tolist(), found.metres[kept].tolist()),
        strict=True,
    )
    metres, spans, upbeat, num_spelled = [], [], 0, 0
    for start, end, length, metre in rows:
        number = METRES.index(tuple(metre)) if tuple(metre) in METRES else -1
        fits = number >= 0 and METRE_STEPS[number] == length >= end - start
        if fits and start < 0:
            upbeat = -start
        if fits:
            metres.append(number)
            spans.append(end - max(start, 0))
            continue
        num_spelled += 1
        for span in _parts(end - max(start, 0)):
            metres.append(_metre_of(span))
            spans.append(span)
    starts = np.cumsum([0, *spans])[:-1]
    metres, spans = (np.array(x)[starts <= last_step] for x in (metres, spans))
    spans[-1] = METRE_STEPS[metres[-1]] - (upbeat if len(spans) == 1 else 0)
    quarters = np.cumsum(np.append(0, spans)) / STEPS_PER_QUARTER
    seconds = np.diff(TempoMap.of(sequence).to_seconds(quarters))
    tempos = nearest_tempos(60 * np.diff(quarters) / seconds)
    return Bars(metres, spans, upbeat, tempos), num_spelled


def well_known(num_bars: Sequence[int]) -> np.ndarray:
    """The numbers of the metres that so much music has that they can be learned.

    Args:
        num_bars: How many bars of each of `METRES` there are; none: it is not known.

    Returns:
        int64; the commonest where no metre has enough bars.
    """
    counts = np.array(num_bars if any(num_bars) else [_ENOUGH_BARS] * len(METRES))
    return np.flatnonzero(counts >= min(_ENOUGH_BARS, counts.max()))


def nearest_tempos(qpm: np.ndarray) -> np.ndarray:
    """The numbers of the tempos nearest to some, as ratios; int64."""
    ratio = np.log(TEMPOS[1] / TEMPOS[0])
    numbers = np.floor(np.log(np.asarray(qpm) / TEMPOS[0]) / ratio + 0.5)
    return np.clip(numbers, 0, len(TEMPOS) - 1).astype(np.int64)


def _parts(steps: int) -> list[int]:
    """A bar's steps as those of several, the longest first."""
    return [
        min(MAX_BAR_STEPS, steps - start) for start in range(0, steps, MAX_BAR_STEPS)
    ]


def _metre_of(steps: int) -> int:
    """The metre of so many steps, or the shortest that is longer."""
    longer = METRE_STEPS[steps <= METRE_STEPS].min()
    return int(np.flatnonzero(longer == METRE_STEPS)[0])
