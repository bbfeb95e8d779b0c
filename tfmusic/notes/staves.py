"""Which instruments share a part of a score, and how many staves each part has."""

import dataclasses
import re
from collections.abc import Sequence

import numpy as np
from music21 import instrument

from tfmusic.notes import NoteSequence
from tfmusic.notes.transforms import LEFT, RIGHT, assign_hands

_PIANOS = range(8)
_KEYBOARD = re.compile(r"piano|klavier|keyboard|clavi|cembalo|harpsichord|hand", re.I)
_HAND = re.compile(
    r"[\s(,_-]*\b(right|left|upper|lower|treble|bass|rechts?|links?|droite|gauche|"
    r"destra|sinistra|[rl]\.? ?h)\b.*",
    re.I,
)
# What one staff holds: a line of so many semitones, chords above or below a pitch.
_LINE_SPAN = 30
_LOWEST_OF_UPPER, _HIGHEST_OF_LOWER = 55, 65
_LEGATO_SECONDS = 0.03  # by which notes of a line may overlap
_NOT_IN_XML = re.compile("[^\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]+")


@dataclasses.dataclass
class ScorePart:
    """Notes of one instrument, or of the two that are a pianist's hands.

    Attributes:
        name: Printed before it.
        program: 0..127.
        staves: Which notes of the sequence each holds, by number.
    """

    name: str
    program: int
    staves: list[np.ndarray]


def find_parts(sequence: NoteSequence, rows: np.ndarray) -> list[ScorePart]:
    """The parts of a score, in the order of their first instruments.

    A piano (program 0..7) whose name does not say otherwise has two staves, unless one
    holds its music; two pianos that are a pianist's hands are one part.

    Args:
        sequence: Any sequence.
        rows: Which of its notes are written.
    """
    names = {
        info.instrument: clean_text(info.name) for info in sequence.instrument_infos
    }
    of = np.array([note.instrument for note in sequence.notes])
    members = {i: rows[of[rows] == i] for i in np.unique(of[rows]).tolist()}
    programs = {i: sequence.notes[own[0]].program for i, own in members.items()}
    pianos = [
        i
        for i in members
        if programs[i] in _PIANOS
        and (not names.get(i) or _KEYBOARD.search(names[i]) or _HAND.search(names[i]))
    ]
    hands = _hands(sequence, pianos, members)
    parts = []
    for i, own in members.items():
        name = names.get(i) or _program_name(programs[i])
        if i in hands:
            if i != min(hands):
                continue
            name = _HAND.sub("", names.get(i, "")) or _program_name(programs[i])
            staves = [
                np.concatenate([members[j] for j in hands if hands[j] == hand])
                for hand in (RIGHT, LEFT)
            ]
        elif programs[i] in _PIANOS and (i in pianos or len(members) == 1):
            alone = len(members) == 1 and i in pianos
            staves = _piano_staves(sequence, own, alone)
        else:
            staves = [own]
        parts.append(ScorePart(name, programs[i], staves))
    return parts


def _program_name(program: int) -> str:
    return make_instrument(program).instrumentName


def _hands(
    sequence: NoteSequence, pianos: Sequence[int], members: dict[int, np.ndarray]
) -> dict[int, int]:
    """The hand of each instrument, where two or more are those of a pianist."""
    told = any(
        info.instrument in pianos and _HAND.search(info.name)
        for info in sequence.instrument_infos
    )
    if not told and len(pianos) != 2:
        return {}
    if not told and all(_is_wide(_pitches(sequence, members[i])) for i in pianos):
        return {}  # two pianists
    rows = np.concatenate([members[i] for i in pianos])
    hands = assign_hands(_selected(sequence, rows))
    ends = np.cumsum([len(members[i]) for i in pianos])
    own = [set(h.tolist()) for h in np.split(hands, ends[:-1])]
    if all(len(h) == 1 for h in own) and len(set.union(*own)) == 2:
        return {i: h.pop() for i, h in zip(pianos, own, strict=True)}
    return {}


def _piano_staves(
    sequence: NoteSequence, rows: np.ndarray, alone: bool
) -> list[np.ndarray]:
    """One staff, or two if the music of one instrument needs them."""
    pitches = _pitches(sequence, rows)
    spans = [(sequence.notes[i].start_time, sequence.notes[i].end_time) for i in rows]
    starts, ends = np.array(sorted(spans)).T
    is_line = (starts[1:] >= ends[:-1] - _LEGATO_SECONDS).all()
    if is_line:
        one_is_enough = np.ptp(pitches) <= _LINE_SPAN
    else:
        one_is_enough = not alone and not _is_wide(pitches)
    if one_is_enough:
        return [rows]
    hands = assign_hands(_selected(sequence, rows))
    return [rows[hands == hand] for hand in (RIGHT, LEFT)]


def _pitches(sequence: NoteSequence, rows: np.ndarray) -> np.ndarray:
    return np.array([sequence.notes[i].pitch for i in rows])


def _is_wide(pitches: np.ndarray) -> bool:
    return bool(pitches.min() < _LOWEST_OF_UPPER and pitches.max() > _HIGHEST_OF_LOWER)


def _selected(sequence: NoteSequence, rows: np.ndarray) -> NoteSequence:
    """Some of the notes, with the names of instruments."""
    return NoteSequence(
        notes=[sequence.notes[i] for i in rows],
        instrument_infos=sequence.instrument_infos,
    )


def make_instrument(program: int) -> instrument.Instrument:
    """music21's instrument of a program, which is written as it sounds."""
    result = instrument.instrumentFromMidiProgram(program)
    result.transposition = None
    if result.instrumentName == "StringInstrument":
        result.instrumentName = "Strings"
    return result


def clean_text(name: str) -> str:
    """A name as XML can hold it, in one line."""
    return " ".join(_NOT_IN_XML.sub(" ", name).split())
