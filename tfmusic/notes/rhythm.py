"""Music as written rhythm: on a grid, in measures and voices, as tied symbols.

Times are whole numbers of units, 48 to a quarter note, so that thirty-seconds (6) and
sixteenth triplets (8) are exact. A beat, here, is a quarter counted from the bar line;
only within a half of it can thirty-seconds and triplets not be written one after the
other, so notes of both kinds there go to different voices.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import TempoMap

QUARTER = 48
_HALF = QUARTER // 2
_BINARY, _TERNARY = 6, 8  # thirty-seconds, sixteenth triplets
MAX_VOICES = 4
_TOLERANCE = 1.0  # units: what is nearer to the grid is meant to be on it
# Note values that are written without a tie: length to (name, dots).
_NAMES = {
    12 * 32: "breve",
    12 * 16: "whole",
    12 * 8: "half",
    12 * 4: "quarter",
    12 * 2: "eighth",
    12: "16th",
    6: "32nd",
    3: "64th",
}
_VALUES = {length: (name, 0) for length, name in _NAMES.items()}
_VALUES |= {3 * n // 2: (_NAMES[n], 1) for n in _NAMES if n % 2 == 0}


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


class Tone(NamedTuple):
    """A note of a chord.

    Attributes:
        pitch: Its MIDI number.
        start: In units; before that of the chord if a tie leads to it.
        end: In units; after that of the chord if a tie leads on.
    """

    pitch: int
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class Chord:
    """What one voice holds for some time.

    Attributes:
        start: In units.
        end: In units.
        tones: By pitch.
        velocity: Of the loudest.
        needs: Of its start and end, how the half of a beat that they are within has to
            be divided: (start of the half, 2 or 3).
    """

    start: int
    end: int
    tones: tuple[Tone, ...]
    velocity: int
    needs: frozenset[tuple[int, int]] = frozenset()

    @property
    def height(self) -> float:
        """The mean pitch."""
        return sum(tone.pitch for tone in self.tones) / len(self.tones)


@dataclasses.dataclass(frozen=True)
class Symbol:
    """A note, chord or rest as it is written.

    Attributes:
        start: In units.
        length: In units, as it sounds.
        value: Name of the note value, such as `"quarter"`; empty for a rest that fills
            a whole measure.
        dots: Of the note value.
        tuplet: Name of the value of which three stand for two, or nothing.
        tuplet_ends: `"start"`, `"stop"` or nothing: whether it is the first or last of
            its tuplet.
        chord: What it is a part of, or None for a rest.
    """

    start: int
    length: int
    value: str
    dots: int
    tuplet: str
    tuplet_ends: str
    chord: Chord | None

    def tie(self, tone: Tone) -> str:
        """The tie of a note of the chord: `"start"`, `"continue"`, `"stop"` or none."""
        goes_on = self.start + self.length < tone.end
        if self.start > tone.start:
            return "continue" if goes_on else "stop"
        return "start" if goes_on else ""


def fraction_on_grid(quarters: np.ndarray) -> float:
    """How many of the times lie on thirty-seconds or sixteenth triplets, 0..1."""
    units = np.asarray(quarters, np.float64) * QUARTER
    distances = [np.abs(units - n * np.round(units / n)) for n in (_BINARY, _TERNARY)]
    return float(np.mean(np.min(distances, axis=0) <= _TOLERANCE))


def measures(sequence: NoteSequence, tempo_map: TempoMap, end: int) -> list[Measure]:
    """The measures of a piece.

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
            place = round(quarters * QUARTER / _BINARY) * _BINARY
            metres[place] = numerator, denominator
    places = sorted(metres)
    result = []
    if len(places) > 1 and places[1] < _bar_length(metres[places[1]]):
        result.append(Measure(0, places[1], metres[places[1]], is_upbeat=True))
        del places[0]
    for place, limit in itertools.pairwise([*places, None]):
        length = _bar_length(metres[place])
        stop = max(end, place + 1) if limit is None else limit
        for start in range(place, stop, length):
            size = length if limit is None else min(length, limit - start)
            result.append(Measure(start, size, metres[place]))
    return result


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
        new_starts, _ = self._nearest(starts, _BINARY, _TERNARY)
        new_ends, distances = self._nearest(ends, _BINARY, _TERNARY)
        sixteenths, _ = self._nearest(ends, 2 * _BINARY, 0)
        triplets, _ = self._nearest(ends, 0, 2 * _TERNARY)
        in_triplet = self._offsets(new_starts)[1] % _BINARY != 0
        coarse = np.where(in_triplet, triplets, sixteenths)
        new_ends = np.where(distances <= _TOLERANCE, new_ends, coarse)
        shortest = np.where(in_triplet, _TERNARY, _BINARY)
        after = self._nearest((new_starts + shortest).astype(float), _BINARY, _TERNARY)
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
        inside = offset % _HALF
        kinds = np.where(inside % _BINARY, 3, 2) * (inside > 0)
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
        for unit, fits in ((binary, True), (ternary, length % _HALF == 0)):
            if unit:
                found = np.minimum(np.round(offset / unit).astype(int) * unit, length)
                nearer = np.abs(found - offset) < np.abs(best - offset)
                best = np.where(nearer & fits, found, best)
        # What lies before the first or after the last beat is brought there.
        best = np.maximum(best, 0)
        return self._starts[beat] + best, np.abs(best - offset)


def make_chords(
    starts: np.ndarray,
    ends: np.ndarray,
    pitches: Sequence[int],
    velocities: Sequence[int],
    grid: Grid,
) -> list[Chord]:
    """Notes that start and end together, by start; a unison makes another chord.

    Args:
        starts: Places on the grid, int64 [n].
        ends: Likewise.
        pitches: Of each note.
        velocities: Of each note.
        grid: Whose places they are.
    """
    groups: dict[tuple[int, int, int], dict[int, int]] = {}
    needs: dict[tuple[int, int], frozenset] = {}
    rows = zip(starts.tolist(), ends.tolist(), pitches, velocities, strict=True)
    bounds = zip(grid.needs(starts), grid.needs(ends), strict=True)
    for (start, end, pitch, velocity), both in zip(rows, bounds, strict=True):
        copy = 0
        while pitch in groups.setdefault((start, end, copy), {}):
            copy += 1
        groups[start, end, copy][pitch] = velocity
        needs[start, end] = frozenset((half, kind) for half, kind in both if kind)
    chords = []
    for (start, end, _), found in groups.items():
        tones = tuple(Tone(pitch, start, end) for pitch in sorted(found))
        loudest = max(found.values())
        chords.append(Chord(start, end, tones, loudest, needs[start, end]))
    return sorted(chords, key=lambda chord: (chord.start, -chord.tones[-1].pitch))


class _Voice:
    """Chords one after the other.

    Attributes:
        chords: In order.
    """

    def __init__(self):
        self.chords: list[Chord] = []
        self._needs: dict[int, int] = {}

    def can_take(self, chord: Chord) -> bool:
        """Whether a chord can follow."""
        ended = not self.chords or self.chords[-1].end <= chord.start
        return ended and not self.clashes(chord)

    def clashes(self, chord: Chord) -> bool:
        """Whether it needs another division of a half of a beat."""
        return any(self._needs.get(half, kind) != kind for half, kind in chord.needs)

    def take(self, chord: Chord) -> None:
        """Adds a chord."""
        self.chords.append(chord)
        self._needs.update(chord.needs)


def split_voices(chords: Sequence[Chord]) -> list[list[Chord]]:
    """As few voices as hold chords that sound together, the higher ones first.

    Notation programs know four voices. What would need more of them shares the last:
    there, chords are cut where another one starts or ends, and tied.

    Args:
        chords: From `make_chords`.

    Returns:
        The chords of each voice, in order.
    """
    voices: list[list[Chord]] = []
    for group in _overlapping(chords):
        found: list[_Voice] = []
        for chord in group:
            free = [voice for voice in found if voice.can_take(chord)]
            if not free:
                found.append(_Voice())
                free = found[-1:]
            min(free, key=lambda voice: _leap(voice.chords, chord)).take(chord)
        found.sort(key=lambda voice: -np.mean([c.height for c in voice.chords]))
        parts = [voice.chords for voice in found]
        if len(parts) > MAX_VOICES:
            kept = parts[: MAX_VOICES - 1]
            parts = [*kept, _merge(sum(parts[MAX_VOICES - 1 :], []))]
        for i, part in enumerate(parts):
            if i == len(voices):
                voices.append([])
            voices[i] += part
    return voices


def _merge(chords: Sequence[Chord]) -> list[Chord]:
    """Chords that sound together as one voice."""
    bounds = sorted({place for chord in chords for place in (chord.start, chord.end)})
    result = []
    for start, end in itertools.pairwise(bounds):
        own = [c for c in chords if c.start <= start and end <= c.end]
        if own:
            tones = sorted(tone for chord in own for tone in chord.tones)
            loudest = max(chord.velocity for chord in own)
            result.append(Chord(start, end, tuple(tones), loudest))
    return result


def _leap(chords: Sequence[Chord], chord: Chord) -> float:
    return abs(chords[-1].height - chord.height) if chords else 0.0


def _overlapping(chords: Sequence[Chord]) -> Iterable[list[Chord]]:
    """Groups of chords that need voices: nothing sounds, or clashes, between two."""
    group, end = _Voice(), 0
    for chord in chords:
        if group.chords and chord.start >= end and not group.clashes(chord):
            yield group.chords
            group = _Voice()
        group.take(chord)
        end = max(end, chord.end)
    if group.chords:
        yield group.chords


def by_measure(
    voice: Sequence[Chord], measures: Sequence[Measure]
) -> list[list[Chord]]:
    """The chords of a voice that sound in each measure."""
    starts = np.array([chord.start for chord in voice])
    ends = np.array([chord.end for chord in voice])
    first = np.searchsorted(ends, [measure.start for measure in measures], "right")
    last = np.searchsorted(starts, [measure.end for measure in measures], "left")
    return [list(voice[i:j]) for i, j in zip(first, last, strict=True)]


@dataclasses.dataclass(frozen=True)
class _Piece:
    """What of a chord (or of silence) lies from one place to another."""

    start: int
    end: int
    chord: Chord | None

    def cut(self, place: int) -> tuple["_Piece", "_Piece"]:
        return (
            dataclasses.replace(self, end=place),
            dataclasses.replace(self, start=place),
        )


def write_measure(chords: Sequence[Chord], measure: Measure) -> list[Symbol]:
    """The symbols of one voice in one measure, rests included.

    Args:
        chords: Of the voice that sound in the measure, in order.
        measure: Which one.
    """
    pieces = list(_fill(chords, measure))
    is_full = measure.length == _bar_length(measure.metre)
    if is_full and len(pieces) == 1 and pieces[0].chord is None:
        return [Symbol(measure.start, measure.length, "", 0, "", "", None)]
    tuplets = _tuplets(pieces, measure)
    for start, end, _ in tuplets:
        for place in (start, end):
            pieces = [
                part
                for piece in pieces
                for part in (
                    piece.cut(place) if piece.start < place < piece.end else [piece]
                )
            ]
    symbols = []
    inside = {start: (end, name) for start, end, name in tuplets}
    stop, name = measure.start, ""
    for piece in pieces:
        if piece.start in inside:
            stop, name = inside[piece.start]
        if piece.start < stop:
            symbols += _in_tuplet(piece, name, stop)
        else:
            symbols += _plain(piece, measure)
    return symbols


def _fill(chords: Sequence[Chord], measure: Measure) -> Iterable[_Piece]:
    """Pieces from bar line to bar line."""
    place = measure.start
    for chord in chords:
        start = max(chord.start, measure.start)
        end = min(chord.end, measure.end)
        if start < end:
            if place < start:
                yield _Piece(place, start, None)
            yield _Piece(start, end, chord)
            place = end
    if place < measure.end:
        yield _Piece(place, measure.end, None)


def _tuplets(pieces: Sequence[_Piece], measure: Measure) -> list[tuple[int, int, str]]:
    """Start, end and value of each: three of that value stand for two.

    Triplets of quarters take two beats, those of eighths one, those of sixteenths half
    of one.
    """
    bounds = sorted({piece.start for piece in pieces} - {measure.start})
    found, beats = [], measure.beats()
    within = [
        [bound - start for bound in bounds if start < bound < end]
        for start, end in beats
    ]
    for i, (start, end) in enumerate(beats):
        if found and start < found[-1][1]:
            continue
        own = within[i]
        if not any(place % _BINARY for place in own):
            continue
        following = []
        if i + 1 < len(beats) and beats[i + 1][1] - end == QUARTER:
            following = within[i + 1]
        is_whole = end - start == QUARTER
        if own == [32] and following == [16] and end not in bounds:
            found.append((start, end + QUARTER, "quarter"))
        elif is_whole and _HALF not in own and not any(p % _TERNARY for p in own):
            found.append((start, end, "eighth"))
        else:
            for half in (0, _HALF):
                inner = [p - half for p in own if half < p < half + _HALF]
                if any(place % _BINARY for place in inner):
                    found.append((start + half, start + half + _HALF, "16th"))
    return found


def _in_tuplet(piece: _Piece, name: str, stop: int) -> Iterable[Symbol]:
    """Symbols of a piece in a tuplet that ends at a place."""
    unit = next(n for n, value in _NAMES.items() if value == name)  # as it is written
    total = 2 * unit  # as it sounds
    while True:
        offset = piece.start - (stop - total)
        if (piece.end - piece.start) * 3 // 2 in _VALUES:
            part, rest = piece, None
        else:
            # The cut is where one of the three begins: late, or else soon.
            step = total // 3
            end = piece.end - (stop - total)
            number = (end - 1) // step if offset % step == 0 else offset // step + 1
            part, rest = piece.cut(stop - total + number * step)
        value, dots = _VALUES[(part.end - part.start) * 3 // 2]
        ends = "start" if offset == 0 else "stop" if part.end == stop else ""
        length = part.end - part.start
        yield Symbol(part.start, length, value, dots, name, ends, part.chord)
        if rest is None:
            return
        piece = rest


def _plain(piece: _Piece, measure: Measure) -> Iterable[Symbol]:
    """Symbols of a piece outside tuplets, cut so that the beats can be seen."""
    # An upbeat is counted from its end.
    shift = -measure.length % measure.pulse if measure.is_upbeat else 0
    start = piece.start - measure.start + shift
    end = piece.end - measure.start + shift
    is_rest = piece.chord is None
    if _is_legible(start, end, measure, is_rest):
        value, dots = _VALUES[end - start]
        yield Symbol(piece.start, end - start, value, dots, "", "", piece.chord)
        return
    pulse = measure.pulse
    while (first := start // pulse + 1) > (last := -(-end // pulse) - 1):
        # No beat is crossed: halves of it, or thirds of a dotted one.
        pulse = pulse // 3 if pulse % 9 == 0 else pulse // 2
    if is_rest:  # at the strongest beat
        place = max(range(first, last + 1), key=lambda beat: beat & -beat)
    else:
        place = last if start % pulse == 0 else first
    for part in piece.cut(piece.start + place * pulse - start):
        yield from _plain(part, measure)


def _is_legible(start: int, end: int, measure: Measure, is_rest: bool) -> bool:
    """Whether one symbol from one place of a measure to another reads well."""
    length, pulse = end - start, measure.pulse
    if length not in _VALUES:
        return False
    if start // pulse == (end - 1) // pulse:  # within a beat
        return not is_rest or length == pulse or _VALUES[length][1] == 0
    if is_rest:
        in_twos = measure.metre[0] % 2 == 0
        return in_twos and start % length == 0 and length % pulse == 0
    if pulse % 9 == 0:  # dotted beats show always
        return start % pulse == end % pulse == 0
    if start % pulse == 0:
        return True
    half = pulse // 2
    return start % half == end % half == 0 and length <= 2 * pulse
