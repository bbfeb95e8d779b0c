"""A performance as one event after another, with its dynamics (Performance RNN)."""

import collections
import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.notes.transforms import sustained_ends
from tfmusic.representations.base import Features
from tfmusic.representations.chords import PITCH_NAMES
from tfmusic.representations.note_table import NoteTable
from tfmusic.representations.token_grammar import FOREVER, NOTHING, TokenGrammar
from tfmusic.representations.tokens import INSTRUMENTS, TokenRepresentation
from tfmusic.representations.variation import Variation, move, stack
from tfmusic.representations.vocabulary import END, NUM_SPECIAL

NUM_PITCHES = 128
NUM_VELOCITIES = 127
# What a token is; anything else is 0.
NOTE_ON, NOTE_OFF, SHIFT, VELOCITY = 1, 2, 3, 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class PerformanceEvents(TokenRepresentation):
    """Keys that go down and up, and the time and the change of loudness between.

    The encoding of Oore et al., "This Time with Feeling: Learning Expressive Musical
    Performance", 2018, with the tokens of note-seq's `PerformanceOneHotEncoding` in
    the same order, after the special ones: "on60" and "off60" for every pitch,
    "shift12" in steps, "velocity9" for every bin of velocities. Nothing is fitted.

    At every step where something happens the keys that go up come first, those that
    were struck earlier before those struck later; then the keys that are struck, each
    after a change of velocity where its bin differs from that of the note before. In
    front stand shifts, all but the last of them of the longest kind.

    It is what note-seq's `Performance` gives of a sequence whose times lie on the
    grid already. From a sequence as it was played note-seq orders notes within a step
    by their exact starts, here the lower come first: the difference cannot be heard,
    and the exact starts are gone when music is decoded. Besides, halves of a step are
    rounded up even where a rounding error puts them below (see `tfmusic.notes.grid`),
    and a key plays one note at a time: one that is struck again while it sounds ends,
    as it does under note-seq's pedal.

    Beyond what no kind holds (but for dynamics), it cannot express: two notes at once
    of one pitch (the longer stays: loss `unisons`, or the older ends: `cut_notes`),
    velocities within a bin (the lowest of a bin comes back), the pedal apart from the
    notes that it holds, who plays which note, and silence after the last note.

    Decoding takes any tokens: a key that goes down ends its own earlier note; one that
    goes up without being down is passed over, as is a note that ends where it starts;
    keys still down at the end go up there; before any velocity, notes have `velocity`.

    Attributes:
        steps_per_second: Steps of the grid in real time.
        steps_per_quarter: For a grid that follows the beat, with `steps_per_second` 0.
        max_shift_steps: The longest shift.
        num_velocity_bins: Bins of equal size, 1..127; 0 for no dynamics. Not all need
            be in use: 100 bins have 2 velocities each, which makes 64.
        apply_sustain: Whether notes last as long as the sustain pedal holds them.
    """

    name: ClassVar[str] = "performance_events"

    steps_per_quarter: int = 0
    steps_per_second: float = 100.0
    max_shift_steps: int = 100
    num_velocity_bins: int = 32
    apply_sustain: bool = True

    def __post_init__(self):
        super().__post_init__()
        self.check(self.max_shift_steps >= 1, "max_shift_steps", "1 or more")
        self.check(
            0 <= self.num_velocity_bins <= NUM_VELOCITIES,
            "num_velocity_bins",
            f"0..{NUM_VELOCITIES}",
        )

    @property
    def has_dynamics(self) -> bool:
        """Whether decoded notes have velocities of their own."""
        return self.num_velocity_bins > 0

    def always_known(self) -> tuple[str, ...]:
        """All tokens but the special ones, in the order of their ids."""
        pitches = range(self.lowest_pitch, self.highest_pitch + 1)
        return (
            *(f"on{pitch}" for pitch in pitches),
            *(f"off{pitch}" for pitch in pitches),
            *(f"shift{steps}" for steps in range(1, self.max_shift_steps + 1)),
            *(f"velocity{i}" for i in range(1, self.num_velocity_bins + 1)),
        )

    def token_pitches(self) -> np.ndarray:
        """The pitch that each "on" token makes sound: bool [vocabulary size, 128]."""
        kinds, values = self._meaning
        rows = np.flatnonzero(kinds == NOTE_ON)
        pitches = np.zeros((len(kinds), NUM_PITCHES), bool)
        pitches[rows, values[rows]] = True
        return pitches

    def token_labels(self) -> list[str]:
        """Each token for people to read, keys by name, as in "C4 on"."""
        kinds, values = self._meaning
        ways = {NOTE_ON: "on", NOTE_OFF: "off"}
        return [
            f"{PITCH_NAMES[value]} {ways[kind]}" if kind in ways else token
            for token, kind, value in zip(
                self.vocabulary.tokens, kinds, values, strict=True
            )
        ]

    def token_grammar(self) -> TokenGrammar:
        """Keys go up only if they are down, and down only if they are up.

        Within a step they go up before others go down, the lower first, and velocity
        changes only before a key goes down. At the end all keys are up.
        """
        longest_shift, end = VELOCITY + 1, VELOCITY + 2
        kinds, values = self._meaning
        is_on, is_off, is_shift = (kinds == k for k in (NOTE_ON, NOTE_OFF, SHIFT))
        steps = np.where(is_shift, values, 0)
        sets_level = (kinds == VELOCITY)[:, np.newaxis]
        kinds = np.where(steps == self.max_shift_steps, longest_shift, kinds)
        if self.num_velocity_bins:
            kinds[self._first_id(VELOCITY) + self._num_used_bins :] = NOTHING
        kinds[END] = end
        keys = np.zeros((len(kinds), NUM_PITCHES), bool)
        keys[np.arange(len(kinds)), values] = True
        pitches = keys & is_on[:, np.newaxis]
        needs_silent = pitches.copy()
        needs_silent[END] = True
        strike = (NOTE_ON, VELOCITY)
        shifts = (SHIFT, longest_shift)
        follows = {
            NOTHING: (*shifts, *strike),
            NOTE_ON: (*strike, *shifts),
            NOTE_OFF: (NOTE_OFF, *strike, *shifts, end),
            # All shifts but the last of several are of the longest kind.
            longest_shift: (NOTE_OFF, *strike, *shifts),
            SHIFT: (NOTE_OFF, *strike),
            VELOCITY: (NOTE_ON,),
        }
        return TokenGrammar.of(
            kinds,
            follows,
            pitches=pitches,
            needs_silent=needs_silent,
            ends=keys & is_off[:, np.newaxis],
            lengths=np.where(is_on, FOREVER, 0),
            steps=steps,
            order=np.where(is_on, values + 1, 0),
            sets_level=sets_level,
            needs_level=is_on[:, np.newaxis] & bool(self.num_velocity_bins),
        )

    def transposed_ids(self, semitones: int) -> np.ndarray:
        """Other keys, int64 [vocabulary size]; time and velocity stay."""
        row = np.arange(len(self.vocabulary))
        for kind in (NOTE_ON, NOTE_OFF):
            row = self._moved(row, kind, self.num_keys, semitones)
        return row

    def stretches(self, factors: Sequence[float]) -> Variation:
        """Shifts for shifts, each to the nearest step but at least one.

        The longest one, which others may follow, has no counterpart: a piece with
        rests of that length stays as it is.
        """
        rows = []
        steps = np.arange(1, self.max_shift_steps + 1)
        for factor in factors:
            row = np.arange(len(self.vocabulary))
            if factor != 1:
                longer = np.maximum(np.floor(steps * factor + 0.5), 1)
                fits = (steps < self.max_shift_steps) & (longer <= self.max_shift_steps)
                ids = self._first_id(SHIFT) - 1 + np.where(fits, longer, 0)
                row[self._first_id(SHIFT) - 1 + steps] = np.where(fits, ids, -1)
            rows.append(row)
        return Variation("tokens", stack(rows))

    def velocity_shifts(self, shifts: Sequence[int]) -> Variation:
        """Bins for bins, each shift being the nearest number of whole bins.

        Raises:
            UserError: There are no velocities.
        """
        if not self.num_velocity_bins:
            return super().velocity_shifts(shifts)
        row = np.arange(len(self.vocabulary))
        rows = [
            self._moved(
                row, VELOCITY, self._num_used_bins, round(shift / self._bin_size)
            )
            for shift in shifts
        ]
        return Variation("tokens", stack(rows))

    def _moved(
        self, row: np.ndarray, kind: int, num_values: int, steps: int
    ) -> np.ndarray:
        """A row of ids in which the tokens of a kind are some values higher."""
        first = self._first_id(kind)
        moved = move(np.arange(num_values), steps, num_values)
        row = row.copy()
        row[first : first + num_values] = np.where(moved < 0, -1, first + moved)
        return row

    def note_ends(self, sequence: NoteSequence) -> np.ndarray | None:
        """When notes end, by the pedal if it counts; seconds [num_notes]."""
        return sustained_ends(sequence) if self.apply_sustain else None

    def encode_with_losses(
        self, sequence: NoteSequence
    ) -> tuple[Features, collections.Counter]:
        """Encodes a piece as `{"tokens": int32 [num_tokens]}`."""
        notes, losses = self._known_notes(sequence)
        notes = notes.take(np.lexsort((notes.pitches, notes.starts)))
        # In order of start and pitch, so are both those that begin and those that end.
        ends = np.argsort(notes.ends, kind="stable")
        steps = np.concatenate([notes.ends[ends], notes.starts])
        ids = np.concatenate(
            [
                self._first_id(NOTE_OFF) + notes.pitches[ends] - self.lowest_pitch,
                self._first_id(NOTE_ON) + notes.pitches - self.lowest_pitch,
            ]
        )
        bins = np.zeros(len(steps), np.int64)  # 0: no velocity before this event
        if self.num_velocity_bins:
            bins[len(ends) :] = self._bins(notes.velocities)
            changes = np.diff(bins[len(ends) :], prepend=0) != 0
            bins[len(ends) :] *= changes
        order = np.argsort(steps, kind="stable")
        tokens = self._write(steps[order], ids[order], bins[order])
        return {"tokens": tokens}, losses

    def decode(self, features: Features) -> NoteSequence:
        """Plays tokens, encoded or generated, as the class says."""
        kinds, values = self._meaning
        ids = self.musical_ids(features["tokens"])
        kinds, values = kinds[ids], values[ids]
        clock = np.cumsum(np.where(kinds == SHIFT, values, 0))
        places = np.maximum.accumulate(
            np.where(kinds == VELOCITY, np.arange(len(ids)), -1)
        )
        # Place -1, no velocity yet, finds the default, which stands last.
        velocities = np.append(values, self.velocity)[places]

        keys = np.flatnonzero((kinds == NOTE_ON) | (kinds == NOTE_OFF))
        keys = keys[np.argsort(values[keys], kind="stable")]
        pitches, steps = values[keys], clock[keys]
        # A note lasts until its key is next touched.
        ends = np.full(len(keys), clock[-1] if len(clock) else 0)
        same_key = pitches[1:] == pitches[:-1]
        ends[:-1][same_key] = steps[1:][same_key]
        notes = NoteTable(
            voices=np.zeros(len(keys), np.int64),
            pitches=pitches,
            starts=steps,
            ends=ends,
            velocities=velocities[keys],
        )
        notes = notes.take((kinds[keys] == NOTE_ON) & (ends > steps))
        return notes.to_sequence(self.grid, INSTRUMENTS)

    def canonicalize(self, sequence: NoteSequence) -> NoteSequence:
        """The piece as it comes back from encoding."""
        notes, _ = self._known_notes(sequence)
        velocities = self.velocity
        if self.num_velocity_bins:
            velocities = self._velocities(self._bins(notes.velocities))
        return notes.with_columns(velocities=velocities).to_sequence(
            self.grid, INSTRUMENTS
        )

    def _known_notes(
        self, sequence: NoteSequence
    ) -> tuple[NoteTable, collections.Counter]:
        notes, losses = self.read_notes(sequence)
        notes, more = notes.one_at_a_time()
        return notes, losses + more

    def _write(
        self, steps: np.ndarray, ids: np.ndarray, bins: np.ndarray
    ) -> np.ndarray:
        """Tokens of events, int32 [num_tokens].

        Args:
            steps: When, int64 [num_events]; ascending.
            ids: Their own tokens, int64 [num_events].
            bins: Of the velocity to change to before, int64 [num_events], or 0.
        """
        shifts = np.diff(steps, prepend=0)
        changes = bins > 0
        num_shifts = -(-shifts // self.max_shift_steps)
        ends = np.cumsum(num_shifts + changes + 1)  # of each event's tokens
        first_shift = self._first_id(SHIFT)
        longest = first_shift + self.max_shift_steps - 1
        tokens = np.full(ends[-1], longest, np.int32)
        tokens[ends - 1] = ids
        tokens[(ends - 2)[changes]] = (self._first_id(VELOCITY) + bins - 1)[changes]
        last_shifts = first_shift + (shifts - 1) % self.max_shift_steps
        some = num_shifts > 0
        tokens[(ends - 2 - changes)[some]] = last_shifts[some]
        return tokens

    def _bins(self, velocities: np.ndarray) -> np.ndarray:
        """Bins of velocities, 1..num_velocity_bins."""
        return (np.clip(velocities, 1, NUM_VELOCITIES) - 1) // self._bin_size + 1

    def _velocities(self, bins: np.ndarray) -> np.ndarray:
        """The lowest velocity of each bin; of bins not in use, the highest of all."""
        return np.minimum((bins - 1) * self._bin_size + 1, NUM_VELOCITIES)

    @property
    def _bin_size(self) -> int:
        return -(-NUM_VELOCITIES // self.num_velocity_bins)

    @property
    def _num_used_bins(self) -> int:
        """How many bins some velocity falls into."""
        return int(self._bins(np.array(NUM_VELOCITIES)))

    def _first_id(self, kind: int) -> int:
        """The id of the first token of a kind."""
        num_before = {
            NOTE_ON: 0,
            NOTE_OFF: self.num_keys,
            SHIFT: 2 * self.num_keys,
            VELOCITY: 2 * self.num_keys + self.max_shift_steps,
        }
        return NUM_SPECIAL + num_before[kind]

    @cached_property
    def _meaning(self) -> tuple[np.ndarray, np.ndarray]:
        """Kind, and pitch, steps or velocity, of every id; int64 [size] each."""
        pitches = np.arange(self.lowest_pitch, self.highest_pitch + 1)
        bins = np.arange(1, self.num_velocity_bins + 1)
        values = {
            0: np.zeros(NUM_SPECIAL, np.int64),
            NOTE_ON: pitches,
            NOTE_OFF: pitches,
            SHIFT: np.arange(1, self.max_shift_steps + 1),
            VELOCITY: self._velocities(bins) if len(bins) else bins,
        }
        sizes = [len(column) for column in values.values()]
        return np.repeat(list(values), sizes), np.concatenate(list(values.values()))
