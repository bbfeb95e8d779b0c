"""The notes of a piece as columns on a grid: what every encoding works on."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tfmusic.notes import NoteSequence, wire
from tfmusic.notes.grid import Grid, quantize_spans


@dataclasses.dataclass(frozen=True)
class NoteTable:
    """Notes on a grid, one row each.

    Attributes:
        voices: int64 [num_notes], what keeps notes of one pitch apart: the number of
            the instrument as it was read, or the hand, or 0 for all.
        pitches: int64 [num_notes], MIDI numbers.
        starts: int64 [num_notes], first step.
        ends: int64 [num_notes], last step, exclusive; above `starts`.
        velocities: int64 [num_notes], 1..127.
        min_steps: How long the piece lasts, should its last note end before.
    """

    voices: np.ndarray
    pitches: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    velocities: np.ndarray
    min_steps: int = 0

    @classmethod
    def of(
        cls, sequence: NoteSequence, grid: Grid, ends: np.ndarray | None = None
    ) -> "NoteTable":
        """All notes of a sequence, in its order; the voices are its instruments.

        Args:
            sequence: A piece.
            grid: What to round to.
            ends: Seconds [num_notes] in place of those that are written.
        """
        columns = wire.columns(
            sequence,
            "notes",
            *("instrument", "pitch", "velocity", "start_time", "end_time"),
        )
        if ends is None:
            ends = columns["end_time"]
        starts, ends = quantize_spans(sequence, grid, columns["start_time"], ends)
        return cls(
            voices=columns["instrument"],
            pitches=columns["pitch"],
            starts=starts,
            ends=ends,
            velocities=columns["velocity"],
        )

    def __len__(self) -> int:
        return len(self.pitches)

    @property
    def num_steps(self) -> int:
        """Steps until the last note, and the silence after it, have ended."""
        return int(self.ends.max(initial=self.min_steps))

    def take(self, rows: np.ndarray) -> "NoteTable":
        """The rows of an index or mask [num_notes]."""
        return NoteTable(
            self.voices[rows],
            self.pitches[rows],
            self.starts[rows],
            self.ends[rows],
            self.velocities[rows],
            self.min_steps,
        )

    def with_columns(self, **columns: np.ndarray | int) -> "NoteTable":
        """The same notes with other columns; a number fills its whole column."""
        full = {
            name: np.broadcast_to(np.asarray(column, np.int64), len(self))
            for name, column in columns.items()
        }
        return dataclasses.replace(self, **full)

    def one_at_a_time(self) -> tuple["NoteTable", Counter]:
        """Lets every key of every voice play one note at a time.

        Of notes struck together on one key the longest stays, and a note ends where
        its key is struck again.

        Returns:
            The notes in order of voice, pitch and start, and how many were dropped
            (`unisons`) or shortened (`cut_notes`).
        """
        table = self.take(
            np.lexsort((-self.ends, self.starts, self.pitches, self.voices))
        )
        same_key = table._same_key_as_next()
        # The first row of each key and start is the longest.
        repeats = same_key & (table.starts[1:] == table.starts[:-1])
        table = table.take(np.concatenate([[True], ~repeats])[: len(table)])
        ends = table.ends.copy()
        same_key = table._same_key_as_next()
        ends[:-1][same_key] = np.minimum(ends[:-1], table.starts[1:])[same_key]
        losses = Counter(
            unisons=len(self) - len(table), cut_notes=np.sum(ends < table.ends).item()
        )
        return table.with_columns(ends=ends), losses

    def merged(self) -> tuple["NoteTable", Counter]:
        """Joins notes of one key and voice that overlap or touch.

        Returns:
            The notes in order of voice, pitch and start, and how many of them were
            joined to an earlier one (`merged_restrikes`).
        """
        table = self.take(np.lexsort((self.starts, self.pitches, self.voices)))
        if not len(table):
            return table, Counter()
        new_key = np.concatenate([[True], ~table._same_key_as_next()])
        # One running maximum over all keys: each key counts from above the last one.
        floor = np.cumsum(new_key) * (table.num_steps + 1)
        reach = np.maximum.accumulate(floor + table.ends)
        first = new_key.copy()
        first[1:] |= (floor + table.starts)[1:] > reach[:-1]
        rows = np.flatnonzero(first)
        ends = np.maximum.reduceat(table.ends, rows)
        losses = Counter(merged_restrikes=len(table) - len(rows))
        return table.take(rows).with_columns(ends=ends), losses

    def to_sequence(self, grid: Grid, instruments: Sequence[str]) -> NoteSequence:
        """The notes as a sequence, in order of start, pitch and voice.

        Args:
            grid: Turns steps into seconds and gives the tempo.
            instruments: The name of each voice; all are pianos.
        """
        sequence = grid.new_sequence()
        for number, name in enumerate(instruments):
            sequence.instrument_infos.add(instrument=number, name=name)
        table = self.take(np.lexsort((self.voices, self.pitches, self.starts)))
        wire.extend(
            sequence,
            "notes",
            instrument=table.voices,
            pitch=table.pitches,
            velocity=table.velocities,
            start_time=grid.to_seconds(table.starts),
            end_time=grid.to_seconds(table.ends),
        )
        sequence.total_time = float(grid.to_seconds(self.num_steps))
        return sequence

    def _same_key_as_next(self) -> np.ndarray:
        """Bool [num_notes - 1]; of notes in order of voice and pitch."""
        return (self.voices[1:] == self.voices[:-1]) & (
            self.pitches[1:] == self.pitches[:-1]
        )


def ranges(counts: np.ndarray) -> np.ndarray:
    """0, 1, .. count - 1 for each count in turn: int64 [sum of counts]."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
