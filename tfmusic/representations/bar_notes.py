"""What `BarEvents` reads of a piece besides its bars: notes, key, tag."""

import collections
import dataclasses
from collections.abc import Mapping

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.notes.keys import key_of, written_key
from tfmusic.representations.bar_lines import STEPS_PER_QUARTER, Bars
from tfmusic.representations.bar_tokens import (
    DENSITIES,
    DRUM_STEPS,
    DRUMS,
    PIANO,
)
from tfmusic.representations.note_table import NoteTable
from tfmusic.representations.tags import number_of


@dataclasses.dataclass(frozen=True)
class Piece:
    """What the arrays of a piece say: notes on the grid, bars, conditions, key."""

    notes: NoteTable
    bars: Bars
    conditions: tuple[int, ...]  # the value of each; 0: any
    key: int  # see `home_key.SPECS`


def one_at_a_time(notes: NoteTable) -> tuple[NoteTable, collections.Counter]:
    """As `NoteTable.one_at_a_time`; drums are as short as they are written."""
    is_drum = notes.voices == DRUMS
    ends = np.where(is_drum, notes.starts + DRUM_STEPS, notes.ends)
    notes, losses = notes.with_columns(ends=ends).one_at_a_time()
    is_short = (notes.voices == DRUMS) & (notes.ends < notes.starts + DRUM_STEPS)
    losses["cut_notes"] -= np.sum(is_short).item()
    return notes, losses


def rounded(notes: NoteTable, steps: int) -> NoteTable:
    """Notes that begin and end at multiples of so many steps."""
    starts, ends = (
        (times + steps // 2) // steps * steps for times in (notes.starts, notes.ends)
    )
    ends = np.maximum(ends, starts + steps)
    return notes if steps == 1 else notes.with_columns(starts=starts, ends=ends)


def by_kind(counts: Mapping[str, int]) -> Mapping[str, Mapping[str, int]]:
    """Counts of "kind value" as those of values, by their kind; others have none."""
    kinds = collections.defaultdict(dict)
    for name, number in counts.items():
        kind, _, value = name.partition(" ")
        kinds[kind][value] = number
    return kinds


def in_order(counts: Mapping[str, int], first: int, length: int) -> tuple[int, ...]:
    """Counts of so many numbers from the first on, 0 where there is none."""
    return tuple(counts.get(str(number), 0) for number in range(first, first + length))


def spread(counts: Mapping[int, int], number: int) -> tuple[int, ...]:
    """So many of the numbers counted, ascending, in equal parts of them all."""
    if not counts:
        return ()
    values = np.sort(np.repeat(list(counts), list(counts.values())))
    places = np.linspace(0, len(values) - 1, number)
    return tuple(values[np.round(places).astype(int)].tolist())


def key_number(sequence: NoteSequence, notes: NoteTable) -> int:
    """The key that a piece is written in, or that its notes seem to be in.

    Returns:
        As `home_key.SPECS` has it; 0 for a piece of drums.
    """
    key = written_key(sequence)
    if not key:
        pitched = notes.take(notes.voices != DRUMS)
        if not len(pitched):
            return 0
        lengths = pitched.ends - pitched.starts
        key = key_of(np.bincount(pitched.pitches % 12, lengths, minlength=12))
    return 1 + 12 * (key.mode == "minor") + key.tonic


def instrument_name(voice: int) -> str:
    """The name of a voice in decoded music."""
    names = {PIANO: "Piano", DRUMS: "Drums"}
    return names.get(voice, f"Program {voice}")


def condition_values(
    sequence: NoteSequence, notes: NoteTable, tags: tuple[str, ...]
) -> tuple[int, ...]:
    """The values of a piece's tag and density; 0 where it has none."""
    density = len(notes) * STEPS_PER_QUARTER / notes.num_steps
    return (
        number_of(sequence, tags),
        np.searchsorted(DENSITIES, density, "right").item(),
    )
