"""Notes and chords as one token after another, with or without their rhythm."""

import collections
import dataclasses
from functools import cached_property
from typing import ClassVar

import numpy as np

from tfmusic.errors import choose
from tfmusic.notes import NoteSequence
from tfmusic.representations.base import Features
from tfmusic.representations.chords import (
    CLASS_OCTAVE,
    NUM_PITCHES,
    PITCH_NAMES,
    KnownChords,
    as_pitch_classes,
    chord_name,
    pitch_class_name,
    pitches_of,
    pitches_of_name,
    struck_together,
    transposed,
    unique_chords,
)
from tfmusic.representations.note_table import NoteTable
from tfmusic.representations.rhythm import (
    CHORD,
    DURATION,
    SHIFT,
    read_rhythm,
    write_rhythm,
)
from tfmusic.representations.token_grammar import NOTHING, TokenGrammar
from tfmusic.representations.tokens import (
    INSTRUMENTS,
    TokenRepresentation,
    count_chords,
)
from tfmusic.representations.vocabulary import END, NUM_SPECIAL

MODES = ("notes", "reference")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoteChordTokens(TokenRepresentation):
    """Chords as tokens, in one of two modes.

    Mode "notes": at each step where notes are struck, those of equal length are one
    chord, "C4.E4.G4", followed by their length in steps, "d8"; longer ones come
    first. Between such steps stand shifts in steps, "s2", as many as it takes. All
    single notes, lengths and shifts are always in the vocabulary; a chord that is not
    is spelled by several smaller ones (`KnownChords.spell`), so nothing is unknown.

    Mode "reference" is the encoding of Skúli Sigurgeirsson's Classical-Piano-Composer
    (2017) and of experiment 1 of Carrascosa et al. (UPC, 2019): of the first
    instrument alone, a single note is its name, "E4", and notes struck together are
    their pitch classes in normal order, "4.9", without rhythm. Decoded, there is an
    event every half quarter, each lasting a quarter or until its pitch is struck
    again; pitch classes lie above middle C. Differences: pitches are named with
    sharps, an octave is the chord of one class, "0", and comes back as an octave, and
    an unknown chord becomes the nearest known one where the original had no answer.

    Beyond what no kind holds, mode "notes" cannot express: two notes at once of one
    pitch (the longer stays: loss `unisons`, or the older ends: `cut_notes`), notes
    longer than `max_duration_steps` (`clamped_durations`), who plays which note, and
    silence after the last note. Mode "reference" holds neither rhythm, rests, octaves
    of chords, nor chords outside its vocabulary (`substituted_chords`).

    Attributes:
        mode: "notes" or "reference".
        max_duration_steps: The longest length.
        max_shift_steps: The longest shift; longer ones take several tokens.
        reference_step_quarters: From one event to the next in mode "reference".
        min_count: Chords that occur less often are left out.
        max_vocabulary: Tokens to keep at most, all told; 0 for all.
        fit_semitones: The vocabulary is fitted on the pieces moved by up to so many
            semitones up and down, so that training windows can be moved as far.
        tokens: The fitted vocabulary; empty before `fit`.
    """

    name: ClassVar[str] = "note_chord_tokens"
    fitted_fields: ClassVar[tuple[str, ...]] = ("tokens",)

    mode: str = "notes"
    max_duration_steps: int = 64
    max_shift_steps: int = 32
    reference_step_quarters: float = 0.5
    min_count: int = 2
    max_vocabulary: int = 0
    fit_semitones: int = 0
    tokens: tuple[str, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        choose(f"representation {self.name}: mode", self.mode, MODES)
        for setting in ("max_duration_steps", "max_shift_steps"):
            self.check(getattr(self, setting) >= 1, setting, "1 or more")
        if self._is_reference:
            # The mode implies it, and what encodes alike has the same settings.
            object.__setattr__(self, "first_instrument_only", True)
            self._check_reference()

    def _check_reference(self) -> None:
        self.check(
            self.steps_per_quarter > 0,
            "steps_per_quarter",
            "1 or more in mode 'reference', which counts in quarters",
        )
        step = self.reference_step_quarters * self.steps_per_quarter
        self.check(
            step >= 1 and step == int(step),
            "reference_step_quarters",
            f"a multiple of a step, 1/{self.steps_per_quarter} quarter",
        )
        top = CLASS_OCTAVE + 23
        reason = f"that pitches {CLASS_OCTAVE}..{top} hold decoded chords"
        self.check(self.lowest_pitch <= CLASS_OCTAVE, "lowest_pitch", reason)
        self.check(self.highest_pitch >= top, "highest_pitch", reason)

    @property
    def step_seconds(self) -> float | None:
        """How long a token of mode "reference" lasts; None in mode "notes"."""
        if not self._is_reference:
            return None
        return self.reference_step_quarters * 60 / self.qpm

    def splice(self, notes: NoteTable, features: Features) -> tuple[float, int]:
        """In mode "reference", which has no rhythm, the end of the piece."""
        if not self._is_reference:
            return super().splice(notes, features)
        return len(features["tokens"]) * self.step_seconds, notes.num_steps

    def always_known(self) -> tuple[str, ...]:
        """Single notes, and lengths and shifts or chords of one pitch class."""
        names = PITCH_NAMES[self.lowest_pitch : self.highest_pitch + 1]
        if self._is_reference:
            return (*names, *map(str, range(12)))
        return (*names, *self._duration_names, *self._shift_names)

    def token_pitches(self) -> np.ndarray:
        """Which pitches each token makes sound: bool [vocabulary size, 128].

        Lengths and shifts have none.
        """
        return self._token_pitches.copy()

    def token_grammar(self) -> TokenGrammar | None:
        """Every chord has a length, the longest first, and none cuts another short.

        In mode "reference" any token may follow any other.
        """
        if self._is_reference:
            return None
        longest_shift, end = SHIFT + 1, SHIFT + 2
        kinds, steps = self._rhythm.copy()
        kinds[(kinds == SHIFT) & (steps == self.max_shift_steps)] = longest_shift
        kinds[END] = end
        follows = {
            NOTHING: (CHORD, SHIFT, longest_shift),
            CHORD: (DURATION,),
            DURATION: (CHORD, SHIFT, longest_shift, end),
            # All shifts but the last of several are of the longest kind.
            longest_shift: (CHORD, SHIFT, longest_shift),
            SHIFT: (CHORD,),
        }
        lengths = np.where(kinds == DURATION, steps, 0)
        order = np.where(lengths > 0, self.max_duration_steps + 1 - lengths, 0)
        pitches = self._token_pitches
        return TokenGrammar.of(
            kinds,
            follows,
            lengths_follow=True,
            pitches=pitches,
            needs_silent=pitches,
            lengths=lengths,
            steps=steps - lengths,
            order=order,
        )

    def transposed_ids(self, semitones: int) -> np.ndarray:
        """The chord's transposed one, int64 [vocabulary size]; rhythm stays."""
        pitches = self._token_pitches
        chords, whole = transposed(pitches, semitones)
        if self._is_reference:
            chords = _as_played(chords)
        ids = np.where(whole, self._known.find(chords), -1)
        return np.where(pitches.any(axis=1), ids, np.arange(len(ids)))

    def transposed_token(self, token: str, semitones: int) -> str:
        """The chord's transposed one, or nothing if that is out of range."""
        pitches = [pitch + semitones for pitch in pitches_of_name(token)]
        return self._name(pitches) if self.within_range(pitches) else ""

    def count(self, sequence: NoteSequence) -> collections.Counter:
        """How often each chord occurs."""
        if self._is_reference:
            chords = self._events(sequence)
        else:
            chords = self._chords(self._notes(sequence)[0])[0]
        unique, places = unique_chords(chords)
        names = [self._name(pitches_of(chord)) for chord in unique]
        return count_chords(names, np.bincount(places))

    def encode_with_losses(
        self, sequence: NoteSequence
    ) -> tuple[Features, collections.Counter]:
        """Encodes a piece as `{"tokens": int32 [num_tokens]}`.

        Raises:
            EncodeError: There are no notes.
            UserError: The vocabulary is not fitted.
        """
        known = self._known  # before reading: an unfitted one is the user's mistake
        if self._is_reference:
            return self._encode_events(sequence)
        notes, losses = self._notes(sequence)
        chords, durations, shifts = self._chords(notes)
        unique, places = unique_chords(chords)
        ids = known.find(unique)
        spellings = [[i] for i in ids.tolist()]
        unknown = np.flatnonzero(ids < 0)
        smaller = known.spell(unique[unknown])
        for i, spelling in zip(unknown.tolist(), smaller, strict=True):
            spellings[i] = spelling
        duration_ids = self.vocabulary.ids_of(self._duration_names)
        shift_ids = self.vocabulary.ids_of(self._shift_names)
        tokens = write_rhythm(
            spellings, places, durations, shifts, duration_ids, shift_ids
        )
        return {"tokens": tokens}, losses

    def decode(self, features: Features) -> NoteSequence:
        """Turns tokens into music, in any order.

        A chord without a length after it lasts as long as the last one that was
        named, and a quarter (half a second on a grid in real time) before the first.
        A length that follows no chord is taken note of and no more. `PAD`, `START`
        and numbers that are no ids are skipped; the music ends before `END`.
        """
        ids = self.musical_ids(features["tokens"])
        if self._is_reference:
            return self._play_events(self._token_pitches[ids])
        kinds, steps = self._rhythm[:, ids]
        starts, durations = read_rhythm(kinds, steps, self._default_duration)
        chords = kinds == CHORD
        return self._to_sequence(
            self._token_pitches[ids[chords]], starts[chords], durations[chords]
        )

    def canonicalize(self, sequence: NoteSequence) -> NoteSequence:
        """The piece as it comes back from encoding.

        Raises:
            UserError: The vocabulary is not fitted, in mode "reference".
        """
        if self._is_reference:
            ids = self._event_ids(self._events(sequence))
            return self._play_events(self._token_pitches[ids])
        notes = self._notes(sequence)[0].with_columns(velocities=self.velocity)
        return notes.to_sequence(self.grid, INSTRUMENTS)

    # Mode "notes".

    def _notes(self, sequence: NoteSequence) -> tuple[NoteTable, collections.Counter]:
        notes, losses = self.read_notes(sequence)
        notes, cut = notes.one_at_a_time()
        limits = notes.starts + self.max_duration_steps
        clamped = np.sum(notes.ends > limits).item()
        notes = notes.with_columns(ends=np.minimum(notes.ends, limits))
        return notes, losses + cut + collections.Counter(clamped_durations=clamped)

    def _chords(self, notes: NoteTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Groups notes by start and length.

        Returns:
            Chords, bool [num_chords, 128], in order of start, the longer first; their
            lengths in steps; and steps since the chord before. int64 [num_chords]
            both.
        """
        durations = notes.ends - notes.starts
        order = np.lexsort((-durations, notes.starts))
        notes, durations = notes.take(order), durations[order]
        new = np.ones(len(notes), bool)
        new[1:] = (np.diff(notes.starts) != 0) | (np.diff(durations) != 0)
        chords = struck_together(notes, np.cumsum(new) - 1)
        return chords, durations[new], np.diff(notes.starts[new], prepend=0)

    @property
    def _duration_names(self) -> list[str]:
        return [f"d{steps}" for steps in range(1, self.max_duration_steps + 1)]

    @property
    def _shift_names(self) -> list[str]:
        return [f"s{steps}" for steps in range(1, self.max_shift_steps + 1)]

    @property
    def _default_duration(self) -> int:
        quarter = self.steps_per_quarter or round(self.steps_per_second / 2)
        return min(max(quarter, 1), self.max_duration_steps)

    @cached_property
    def _rhythm(self) -> np.ndarray:
        """What each token is and its steps; int64 [2, vocabulary size]."""
        rhythm = np.zeros((2, len(self.vocabulary)), np.int64)
        for i, token in enumerate(self.vocabulary.tokens[NUM_SPECIAL:], NUM_SPECIAL):
            kind = {"d": DURATION, "s": SHIFT}.get(token[0], CHORD)
            rhythm[:, i] = kind, 0 if kind == CHORD else int(token[1:])
        return rhythm

    # Mode "reference".

    def _encode_events(
        self, sequence: NoteSequence
    ) -> tuple[Features, collections.Counter]:
        struck = self._events(sequence)
        losses = self.read_notes(sequence)[1]
        unknown = np.sum(self._known.find(struck) < 0).item()
        losses += collections.Counter(substituted_chords=unknown)
        return {"tokens": self._event_ids(struck)}, losses

    def _events(self, sequence: NoteSequence) -> np.ndarray:
        """What is struck at each onset, as it is played: bool [num_events, 128]."""
        notes = self.read_notes(sequence)[0]
        _, groups = np.unique(notes.starts, return_inverse=True)
        return _as_played(struck_together(notes, groups))

    def _event_ids(self, events: np.ndarray) -> np.ndarray:
        known = self._known
        unique, places = unique_chords(events)
        ids = known.find(unique)
        unknown = ids < 0
        ids[unknown] = known.nearest(unique[unknown])
        return ids[places]

    def _play_events(self, events: np.ndarray) -> NoteSequence:
        step = int(self.reference_step_quarters * self.steps_per_quarter)
        starts = np.arange(len(events)) * step
        durations = np.full(len(events), self.steps_per_quarter)
        return self._to_sequence(events, starts, durations)

    # Both modes.

    @property
    def _is_reference(self) -> bool:
        return self.mode == "reference"

    def _name(self, pitches: list[int]) -> str:
        if self._is_reference and len(pitches) > 1:
            return pitch_class_name(pitches)
        return chord_name(pitches)

    def _to_sequence(
        self, chords: np.ndarray, starts: np.ndarray, durations: np.ndarray
    ) -> NoteSequence:
        """Music from chords, bool [num_chords, 128], and where they lie, in steps."""
        rows, pitches = np.nonzero(chords)
        notes = NoteTable(
            voices=np.zeros(len(rows), np.int64),
            pitches=pitches,
            starts=starts[rows],
            ends=(starts + durations)[rows],
            velocities=np.full(len(rows), self.velocity),
        )
        return notes.one_at_a_time()[0].to_sequence(self.grid, INSTRUMENTS)

    @cached_property
    def _token_pitches(self) -> np.ndarray:
        pitches = np.zeros((len(self.vocabulary), NUM_PITCHES), bool)
        for i, token in enumerate(self.vocabulary.tokens[NUM_SPECIAL:], NUM_SPECIAL):
            if token[0] not in "ds":
                pitches[i, pitches_of_name(token)] = True
        return pitches

    @cached_property
    def _known(self) -> KnownChords:
        ids = np.flatnonzero(self._token_pitches.any(axis=1))
        return KnownChords(ids, self._token_pitches[ids])


def _as_played(chords: np.ndarray) -> np.ndarray:
    """Bool [num_chords, 128]; single notes stay, chords keep their pitch classes."""
    several = chords.sum(axis=1) > 1
    chords = chords.copy()
    chords[several] = as_pitch_classes(chords[several])
    return chords
