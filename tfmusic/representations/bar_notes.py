"""What `BarEvents` reads of a piece besides its bars: notes, key, tag."""

import collections
from collections.abc import Sequence

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.notes.keys import Key, key_of, written_key
from tfmusic.representations.bar_lines import STEPS_PER_QUARTER
from tfmusic.representations.bar_tokens import (
    DENSITIES,
    DRUM_STEPS,
    DRUMS,
    LENGTHS,
    PIANO,
)
from tfmusic.representations.note_table import NoteTable

_MODES = (
    NoteSequence.KeySignature.MINOR,
    NoteSequence.KeySignature.DORIAN,
    NoteSequence.KeySignature.PHRYGIAN,
    NoteSequence.KeySignature.LOCRIAN,
)
_MODES = ("major", "minor")


def one_at_a_time(notes: NoteTable) -> tuple[NoteTable, collections.Counter]:
    """As `NoteTable.one_at_a_time`; drums are as short as they are written."""
    is_drum = notes.voices == DRUMS
    ends = np.where(is_drum, notes.starts + DRUM_STEPS, notes.ends)
    notes, losses = notes.with_columns(ends=ends).one_at_a_time()
    is_short = (notes.voices == DRUMS) & (notes.ends < notes.starts + DRUM_STEPS)
    losses["cut_notes"] -= np.sum(is_short).item()
    return notes, losses


def tag_of(sequence: NoteSequence) -> str:
    """The first genre that a piece is said to be of; empty without any."""
    genres = sequence.sequence_metadata.genre
    return genres[0].strip().lower() if genres else ""


def _key_of(sequence: NoteSequence, notes: NoteTable) -> Key | None:
    """The key that a piece is written in, or that its notes seem to be in."""
    if key := written_key(sequence):
        return key
    pitched = notes.take(notes.voices != DRUMS)
    if not len(pitched):
        return None
    lengths = pitched.ends - pitched.starts
    return key_of(np.bincount(pitched.pitches % 12, lengths, minlength=12))


def instrument_name(voice: int) -> str:
    """The name of a voice in decoded music."""
    names = {PIANO: "Piano", DRUMS: "Drums"}
    return names.get(voice, f"Program {voice}")


def condition_values(
    sequence: NoteSequence, notes: NoteTable, num_bars: int, tags: tuple[str, ...]
) -> tuple[int, ...]:
    """The values of a piece's tag, key, density and length; 0 where it has none."""
    tag, key = tag_of(sequence), _key_of(sequence, notes)
    density = len(notes) * STEPS_PER_QUARTER / notes.num_steps
    return (
        tags.index(tag) + 1 if tag in tags else 0,
        1 + 12 * _MODES.index(key.mode) + key.tonic if key else 0,
        np.searchsorted(DENSITIES, density, "right").item(),
        np.searchsorted(LENGTHS, num_bars, "right").item(),
    )


def add_conditions(
    sequence: NoteSequence, values: Sequence[int], tags: tuple[str, ...]
) -> None:
    """Writes a piece's tag and key into it."""
    tag, key, *_ = values
    if 0 < tag <= len(tags):
        sequence.sequence_metadata.genre.append(tags[tag - 1])
    if key:
        mode, tonic = divmod(key - 1, 12)
        mode = NoteSequence.KeySignature.Mode.Value(_MODES[mode].upper())
        sequence.key_signatures.add(key=tonic, mode=mode)
