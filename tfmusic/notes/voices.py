"""Which notes of a staff are chords, and which need voices of their own."""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from tfmusic.notes.measures import Grid, Measure

MAX_VOICES = 4  # what notation programs know


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
