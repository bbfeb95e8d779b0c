"""Gaps in music of `BarEvents`, as pitches and voices that are open at each step.

What stays is given note by note. An instrument that stays has no new notes. Where it
plays what others play too, such as one hand of a piano, these stay on their side of it:
below its lowest note that sounds, or above its highest, and where it rests, of the note
before.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfmusic.errors import UserError, choose
from tfmusic.notes import NoteSequence, wire
from tfmusic.notes.grid import bar_lines
from tfmusic.notes.keys import Key
from tfmusic.notes.transforms import assign_hands, transpose
from tfmusic.representations import Features
from tfmusic.representations.bar_events import BarEvents
from tfmusic.representations.bar_gaps import encode_given
from tfmusic.representations.bar_lines import MAX_BAR_STEPS, METRE_STEPS, Bars
from tfmusic.representations.bar_notes import instrument_name, rounded
from tfmusic.representations.bar_tokens import DRUMS, NUM_VOICES, PIANO
from tfmusic.representations.note_table import NoteTable
from tfmusic.serving.frame_gaps import is_outer
from tfmusic.serving.primers import Primer, is_melody

# So many are written at a time.
MOST_BARS = 256
_HANDS = ("right", "left")
_MELODY, _DRUMS = "melody", "drums"


class BarGap(NamedTuple):
    """What is to be written of a piece; see `gaps.Gap`."""

    inputs: Features
    is_open: np.ndarray  # bool [step]
    owners: np.ndarray
    is_kept: np.ndarray
    parts: Mapping[int, Mapping[str, Any]]


class _Kept(NamedTuple):
    """Notes that stay: which, bool `[note]`, and whether others come below them."""

    rows: np.ndarray
    is_above: bool


def read_bars(
    representation: BarEvents,
    primer: Primer,
    bars: tuple[int, int] | None,
    keep: Sequence[str],
    no_voice: int,
) -> BarGap:
    """What is to be written of a piece.

    Args:
        representation: How the model's arrays encode music.
        primer: The piece.
        bars: The first and the last bar to write; None: all.
        keep: Names of what stays.
        no_voice: Stands for no voice.

    Raises:
        UserError: There are no such bars or instruments, or nothing is left to write.
    """
    piece = primer.sequence
    voices, table = _voices(representation, piece)
    known = representation.read(transpose(piece, primer.semitones))[0].bars
    lengths = bar_lines(piece, representation.grid, table.num_steps).lengths
    if bars and (number := np.sum(lengths > MAX_BAR_STEPS)):
        raise UserError(
            f"infill: bars cannot be counted here: {number} of them are longer than "
            f"8/4, which {representation.name} writes as several bars; give no bars, "
            "and keep an instrument"
        )
    first, last = _span(known, bars)
    begin, end = known.starts[first], _end_of(known, last)
    in_gap = (table.starts >= begin) & (table.starts < end)
    kept = [_keep(name, representation, piece, voices, table) for name in keep]
    stays = np.any([np.zeros(len(table), bool), *(k.rows for k in kept)], axis=0)
    if stays.all() and len(keep) > 1:
        raise UserError("keep: expected a voice to write, but all voices are kept")
    pitches = table.pitches + primer.semitones
    is_known = (representation.lowest_pitch <= pitches) & (
        pitches <= representation.highest_pitch
    )
    is_known = np.where(voices == DRUMS, representation.programs, is_known)
    is_kept = ~in_gap | stays | ~is_known
    voices = voices * representation.programs
    is_open = _open_voices(representation, voices, stays & is_known)
    lowest, highest = _bounds(
        representation, (begin, end), table, kept, is_open[voices] & is_known
    )
    moved = primer.semitones
    inputs = encode_given(
        representation, transpose(piece, moved), is_kept, _key_number(primer)
    )
    lowest = np.maximum(lowest + moved, representation.lowest_pitch)
    highest = np.minimum(highest + moved, representation.highest_pitch)
    if not (lowest <= highest).any():
        raise UserError(
            "keep: expected room for new notes, but what is kept reaches to the end of "
            "the model's keyboard"
        )
    inputs |= {
        "lowest_open": lowest,
        "highest_open": highest,
        "open_voices": is_open,
    }
    owners = np.where(is_known & ~stays, voices, no_voice)
    parts = {
        voice: _part(representation, voice, keep if stays.all() else ())
        for voice in np.flatnonzero(is_open).tolist()
    }
    return BarGap(inputs, lowest <= highest, owners, is_kept, parts)


def _voices(
    representation: BarEvents, piece: NoteSequence
) -> tuple[np.ndarray, NoteTable]:
    """The program of each note, or `DRUMS`, and the notes on the grid."""
    columns = wire.columns(piece, "notes", "program", "is_drum")
    voices = np.where(columns["is_drum"], DRUMS, np.clip(columns["program"], 0, 127))
    table = NoteTable.of(piece, representation.grid)
    return voices, rounded(table, representation.note_steps)


def _span(known: Bars, bars: tuple[int, int] | None) -> tuple[int, int]:
    """The numbers of the first and the last bar to write, from 0 on."""
    begin = 0 if known.upbeat else 1
    last = begin + len(known) - 1
    wanted = bars or (begin, last)
    if not begin <= wanted[0] <= wanted[1] <= last:
        raise UserError(
            f"infill: expected bars from {begin} to {last}, which the piece has, "
            f"got {wanted[0]}-{wanted[1]}"
        )
    number = wanted[1] - wanted[0] + 1
    if number > MOST_BARS:
        raise UserError(
            f"infill: expected at most {MOST_BARS} bars to write at a time, got "
            f"{number}; give some, such as --infill=bars:{wanted[0]}-"
            f"{wanted[0] + MOST_BARS - 1}"
        )
    return wanted[0] - begin, wanted[1] - begin


def _keep(
    name: str,
    representation: BarEvents,
    piece: NoteSequence,
    voices: np.ndarray,
    table: NoteTable,
) -> _Kept:
    """The notes of what is called so: an instrument, a hand, the melody or the drums.

    A melody alone is whatever is kept.
    """
    named = _named(piece)
    pitched = voices != DRUMS
    names = representation.keep_names
    name = choose("voice to keep", " ".join(name.lower().split()), {*named, *names})
    if name in named:
        rows = named[name]
    elif name == _DRUMS:
        rows = ~pitched
    elif is_melody(piece, pitched):
        rows = pitched
    elif name == _MELODY:
        rows = pitched & is_outer(piece, pitched, 1)
    else:
        rows = np.zeros(len(pitched), bool)
        hands = assign_hands(_pitched(piece)) if not pitched.all() else None
        rows[pitched] = (assign_hands(piece) if hands is None else hands) == (
            _HANDS.index(name)
        )
        if not (pitched & ~rows).any():  # one hand alone
            rows = pitched
    if not rows.any():
        raise UserError(f"keep: {name} has no notes in the piece")
    others = table.pitches[pitched & ~rows]
    mean = others.mean() if len(others) else -1.0
    is_above = table.pitches[rows].mean() >= mean
    return _Kept(rows, is_above if name not in _HANDS else name == "right")


def _pitched(piece: NoteSequence) -> NoteSequence:
    result = NoteSequence()
    result.CopyFrom(piece)
    del result.notes[:]
    result.notes.extend(note for note in piece.notes if not note.is_drum)
    return result


def _named(piece: NoteSequence) -> dict[str, np.ndarray]:
    """The notes of each instrument that has a name, bool `[note]` each."""
    found: dict[str, np.ndarray] = {}
    for infos, field in (
        (piece.instrument_infos, "instrument"),
        (piece.part_infos, "part"),
    ):
        of_note = wire.columns(piece, "notes", field)[field]
        for info in infos:
            name, rows = (
                " ".join(info.name.lower().split()),
                of_note == getattr(info, field),
            )
            if name and rows.any():
                found[name] = found.get(name, np.zeros(len(rows), bool)) | rows
        if found:
            return found
    return found


def _open_voices(
    representation: BarEvents, voices: np.ndarray, stays: np.ndarray
) -> np.ndarray:
    """Which voices new notes may have, bool `[voice]`: those of what does not stay."""
    is_open = np.zeros(NUM_VOICES, bool)
    if not representation.programs:
        is_open[PIANO] = True
        return is_open
    is_open[voices[~stays]] = True
    if not is_open.any():  # nothing but what stays
        is_open[:] = True
        is_open[DRUMS] = not (voices[stays] == DRUMS).any()
    return is_open


def _end_of(known: Bars, number: int) -> int:
    """The step at which a bar ends; the last one is as long as its metre."""
    if number < len(known) - 1:
        return int(known.starts[number] + known.spans[number])
    upbeat = known.upbeat if number == 0 else 0
    return int(known.starts[number] + METRE_STEPS[known.metres[number]] - upbeat)


def _bounds(
    representation: BarEvents,
    span: tuple[int, int],
    table: NoteTable,
    kept: Sequence[_Kept],
    is_shared: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest pitch that may be written at each step.

    Nothing may where the first is above the second.
    """
    first, last = span
    steps = np.arange(last)
    lowest = np.full(last, representation.lowest_pitch)
    highest = np.full(last, representation.highest_pitch)
    for voice in kept:
        rows = voice.rows & is_shared
        if not rows.any():
            continue
        sign = 1 if voice.is_above else -1
        edge = sign * _edge(table.take(rows), last, sign)
        if voice.is_above:
            highest = np.minimum(highest, edge - 1)
        else:
            lowest = np.maximum(lowest, edge + 1)
    return np.where(steps >= first, lowest, 128), np.where(steps >= first, highest, -1)


def _edge(notes: NoteTable, length: int, sign: int) -> np.ndarray:
    """The lowest pitch, times `sign`, that sounds at each step, or did before."""
    nothing = 1000
    edge = np.full(max(length, int(notes.ends.max())), nothing)
    for pitch, start, end in zip(notes.pitches, notes.starts, notes.ends, strict=True):
        part = edge[start:end]
        np.minimum(part, sign * pitch, out=part)
    sounds = np.flatnonzero(edge < nothing)
    before = np.searchsorted(sounds, np.arange(length), "right") - 1
    return edge[sounds[np.maximum(before, 0)]]


def _key_number(primer: Primer) -> int:
    """The key that was said, see `home_key.SPECS`; 0: none was."""
    key: Key | None = primer.key
    if key is None:
        return 0
    return 1 + 12 * (key.mode == "minor") + (key.tonic + primer.semitones) % 12


def _part(
    representation: BarEvents, voice: int, keep: Sequence[str]
) -> Mapping[str, Any]:
    """An instrument for new notes of a voice that no instrument of the piece has."""
    if voice == DRUMS:
        return {"name": instrument_name(voice), "program": 0, "is_drum": True}
    if representation.programs:
        return {"name": instrument_name(voice), "program": voice}
    hands = {name.strip().lower() for name in keep} & set(_HANDS)
    other = "Right hand" if "left" in hands else "Left hand"
    return {"name": other if hands else "Piano"}
