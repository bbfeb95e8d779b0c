"""The measures of a piece, and the grid of places in them where notes may stand.

Times are whole numbers of units, 48 to a quarter note, so that thirty-seconds (6) and
sixteenth triplets (8) are exact. A beat, here, is a quarter counted from the bar line.
"""

import collections
import dataclasses
import itertools
import re
from collections.abc import Iterator, Sequence

import numpy as np

from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import TempoMap

QUARTER = 48
HALF_BEAT = QUARTER // 2
BINARY, TERNARY = 6, 8  # thirty-seconds, sixteenth triplets
_TOLERANCE = 1.0  # units: what is nearer to the grid is meant to be on it


@dataclasses.dataclass(frozen=True)
class Measure:
    """A measure.

    Attributes:
        start: In units.
        length: In units; less than the metre wants in an upbeat, or where the next
            metre cuts it short.
        metre: Numerator and denominator.
        is_upbeat: Whether it is an incomplete first one.
    """

    start: int
    length: int
    metre: tuple[int, int]
    is_upbeat: bool = False

    @property
    def end(self) -> int:
        """Where the next one starts."""
        return self.start + self.length

    @property
    def full_length(self) -> int:
        """What the metre wants."""
        return _bar_length(self.metre)

    def beats(self) -> list[tuple[int, int]]:
        """Start and end of each quarter; the last may be shorter."""
        starts = range(self.start, self.end, QUARTER)
        return [(start, min(start + QUARTER, self.end)) for start in starts]

    @property
    def pulse(self) -> int:
        """The beat of the metre: a dotted one in 3/8, 6/8, 9/8."""
        numerator, denominator = self.metre
        beat = 4 * QUARTER // denominator
        return 3 * beat if numerator % 3 == 0 and denominator >= 8 else beat


def fraction_on_grid(quarters: np.ndarray) -> float:
    """How many of the times lie on thirty-seconds or sixteenth triplets, 0..1."""
    units = np.asarray(quarters, np.float64) * QUARTER
    distances = [np.abs(units - n * np.round(units / n)) for n in (BINARY, TERNARY)]
    return float(np.mean(np.min(distances, axis=0) <= _TOLERANCE))


def measures_of(sequence: NoteSequence, tempo_map: TempoMap, end: int) -> list[Measure]:
    """The measures of a piece; see `each_measure`."""
    return list(each_measure(sequence, tempo_map, end))


def each_measure(
    sequence: NoteSequence, tempo_map: TempoMap, end: int
) -> Iterator[Measure]:
    """Gives the measures of a piece one after the other.

    Every time signature begins one; 4/4 holds where there is none. Where the second
    signature (or the first, if it does not stand at the beginning) comes before a full
    measure of its own, what is before it is an upbeat.

    Args:
        sequence: Its time signatures count.
        tempo_map: That of the sequence.
        end: Where the music ends, in units.
    """
    metres = {0: (4, 4)}
    for signature in sorted(sequence.time_signatures, key=lambda s: s.time):
        numerator, denominator = signature.numerator, signature.denominator
        if numerator > 0 and denominator in (1, 2, 4, 8, 16, 32, 64):
            quarters = float(tempo_map.to_quarters(max(signature.time, 0.0)))
            place = round(quarters * QUARTER / BINARY) * BINARY
            metres[place] = numerator, denominator
    places = sorted(metres)
    if len(places) > 1 and places[1] < _bar_length(metres[places[1]]):
        yield Measure(0, places[1], metres[places[1]], is_upbeat=True)
        del places[0]
    for place, limit in itertools.pairwise([*places, None]):
        length = _bar_length(metres[place])
        stop = max(end, place + 1) if limit is None else limit
        for start in range(place, stop, length):
            size = length if limit is None else min(length, limit - start)
            yield Measure(start, size, metres[place])


def parse_metre(text: str) -> tuple[int, int]:
    """Reads a metre such as "3/4": its numerator and denominator.

    Raises:
        UserError: It is none.
    """
    found = re.fullmatch(r"(\d{1,2}) ?/ ?(1|2|4|8|16|32)", str(text).strip())
    if not found or not int(found[1]):
        raise UserError(f"metre: expected such as 4/4, 3/4 or 6/8, got {text!r:.60}")
    return int(found[1]), int(found[2])


def bars_end(sequence: NoteSequence, num_bars: float) -> float:
    """Where so many bars of a piece end, in quarter notes.

    Counted as musicians do: an upbeat is no bar, and the last bar is shorter by it.
    Beyond the piece's end its last metre goes on.
    """
    full = [m.length for m in _all_measures(sequence) if not m.is_upbeat]
    whole = int(num_bars)
    full += full[-1:] * (whole + 1 - len(full))
    return (sum(full[:whole]) + (num_bars - whole) * full[whole]) / QUARTER


def metres_of(sequence: NoteSequence) -> set[tuple[int, int]]:
    """The metres of a piece; that of an upbeat's own short bar is none."""
    return {measure.metre for measure in _all_measures(sequence)}


def bars_in_words(sequence: NoteSequence) -> str:
    """How many bars a piece has, as `bars_end` counts, such as "8 bars of 2/4"."""
    found = _all_measures(sequence)
    full = [measure for measure in found if not measure.is_upbeat] or found
    metres = collections.Counter(measure.metre for measure in full).most_common()
    names = ["{}/{}".format(*metre) for metre, _ in metres[:2]]
    if len(metres) > 2:
        names.append("other metres")
    bars = f"{len(full):,d} bar{'s' if len(full) > 1 else ''}"
    return f"{bars} of {' and '.join(names)}"


def _all_measures(sequence: NoteSequence) -> list[Measure]:
    tempo_map = TempoMap.of(sequence)
    end = round(float(tempo_map.to_quarters(sequence.total_time)) * QUARTER)
    return list(each_measure(sequence, tempo_map, end))


def _bar_length(metre: tuple[int, int]) -> int:
    return 4 * QUARTER * metre[0] // metre[1]


class Grid:
    """The places where notes may start and end: those of the beats of measures."""

    def __init__(self, measures: Sequence[Measure]):
        beats = np.array([beat for measure in measures for beat in measure.beats()])
        self._starts, self._ends = beats[:, 0], beats[:, 1]

    def snap(self, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, ...]:
        """The nearest places to spans of time; none is empty.

        An end that is not meant to be on the grid (a note let go a little early) goes
        to the nearest sixteenth, or eighth of a triplet where it starts in one.

        Args:
            starts: Units, float [n].
            ends: Units, float [n].

        Returns:
            Units, int64 [n] each.
        """
        new_starts, _ = self._nearest(starts, BINARY, TERNARY)
        new_ends, distances = self._nearest(ends, BINARY, TERNARY)
        sixteenths, _ = self._nearest(ends, 2 * BINARY, 0)
        triplets, _ = self._nearest(ends, 0, 2 * TERNARY)
        in_triplet = self._offsets(new_starts)[1] % BINARY != 0
        coarse = np.where(in_triplet, triplets, sixteenths)
        new_ends = np.where(distances <= _TOLERANCE, new_ends, coarse)
        shortest = np.where(in_triplet, TERNARY, BINARY)
        after = self._nearest((new_starts + shortest).astype(float), BINARY, TERNARY)
        new_ends = np.where(new_ends > new_starts, new_ends, after[0])
        return new_starts, np.maximum(new_ends, new_starts + 1)

    def needs(self, places: np.ndarray) -> list[tuple[int, int]]:
        """Which half of a beat each place is within, and how it has to be divided.

        Args:
            places: Units, int64 [n].

        Returns:
            The start of the half, and 2 or 3; or 0 for the beginning of a half, which
            goes with either.
        """
        beat, offset = self._offsets(places)
        inside = offset % HALF_BEAT
        kinds = np.where(inside % BINARY, 3, 2) * (inside > 0)
        halves = self._starts[beat] + offset - inside
        return list(zip(halves.tolist(), kinds.tolist(), strict=True))

    def _offsets(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The beat of each place, and how far into it."""
        beat = np.searchsorted(self._starts, places, "right") - 1
        beat = np.clip(beat, 0, len(self._starts) - 1)
        return beat, places - self._starts[beat]

    def _nearest(
        self, places: np.ndarray, binary: int, ternary: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest multiples of either within the beat, and how far they are."""
        beat, offset = self._offsets(places)
        length = self._ends[beat] - self._starts[beat]
        best = np.where(offset * 2 > length, length, 0)
        for unit, fits in ((binary, True), (ternary, length % HALF_BEAT == 0)):
            if unit:
                found = np.minimum(np.round(offset / unit).astype(int) * unit, length)
                nearer = np.abs(found - offset) < np.abs(best - offset)
                best = np.where(nearer & fits, found, best)
        # What lies before the first or after the last beat is brought there.
        best = np.maximum(best, 0)
        return self._starts[beat] + best, np.abs(best - offset)
