"""Every frame's sounding pitches as one token (Yang et al., UW CSE 599G1, 2022)."""

import collections
import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import FrameGrid, Grid
from tfmusic.representations import metre
from tfmusic.representations.base import EncodeError, Features, FeatureSpec
from tfmusic.representations.chords import (
    NUM_PITCHES,
    KnownChords,
    pitches_of,
    transposed,
    unique_chords,
)
from tfmusic.representations.note_table import NoteTable
from tfmusic.representations.rolls import notes_to_roll, roll_to_notes
from tfmusic.representations.token_grammar import NOTHING, TokenGrammar
from tfmusic.representations.tokens import (
    INSTRUMENTS,
    TokenRepresentation,
    count_chords,
)
from tfmusic.representations.vocabulary import END, NUM_SPECIAL

REST = "rest"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChordFrames(TokenRepresentation):
    """One token per step of the grid: the pitches that sound, as in "48.60.64".

    The numbers are MIDI pitches; silence is "rest". A pitch that sounds in frames on
    end is one long note. Unknown chords become the nearest known ones, see
    `KnownChords.nearest`; what shares no pitch with a known one becomes a rest.

    Beyond what no kind holds, it cannot express: re-strikes and where notes of one
    pitch touch or overlap (loss `merged_restrikes`), who plays which note, chords
    outside the vocabulary (`substituted_chords`, counted in frames), silence after
    the last note and, with `trim_silence`, before the first.

    The reference system reads 2 frames a second of the first instrument
    (`steps_per_second=2`, `first_instrument_only`) and plays 8 a second.

    Attributes:
        metre: Whether it also holds where in its bar each frame lies, as arrays
            "bar_position" and "bar_length" (see `metre.SPECS`), on a grid that follows
            the beat.
        trim_silence: Whether pieces begin with their first note.
        decode_steps_per_second: Frames per second of decoded music, where it is to be
            played faster or slower than it was read; 0 for the same. With it, decoded
            music does not encode to the tokens that it came from.
        min_count: Chords in fewer frames of the training pieces are left out.
        max_vocabulary: Tokens to keep at most, all told; 0 for all.
        fit_semitones: The vocabulary is fitted on the pieces moved by up to so many
            semitones up and down, so that training windows can be moved as far.
        tokens: The fitted vocabulary; empty before `fit`.
    """

    name: ClassVar[str] = "chord_frames"
    fitted_fields: ClassVar[tuple[str, ...]] = ("tokens",)

    steps_per_quarter: int = 2
    metre: bool = False
    trim_silence: bool = True
    decode_steps_per_second: float = 0.0
    min_count: int = 1
    max_vocabulary: int = 0
    fit_semitones: int = 0
    tokens: tuple[str, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        self.check(
            self.decode_steps_per_second >= 0, "decode_steps_per_second", "0 or more"
        )
        has_beat = self.steps_per_quarter > 0 and not self.decode_steps_per_second
        self.check(has_beat or not self.metre, "metre", "False without a beat")

    @property
    def feature_specs(self) -> Mapping[str, FeatureSpec]:
        """One row of token ids and, with `metre`, two numbers for each."""
        return {**super().feature_specs, **(metre.SPECS if self.metre else {})}

    def always_known(self) -> tuple[str, ...]:
        """The rest."""
        return (REST,)

    def token_pitches(self) -> np.ndarray:
        """Which pitches each token makes sound: bool [vocabulary size, 128]."""
        return self._token_pitches.copy()

    def silent_tokens(self) -> np.ndarray:
        """The rest alone: bool [vocabulary size]."""
        silent = ~self._token_pitches.any(axis=1)
        silent[:NUM_SPECIAL] = False
        return silent

    def token_grammar(self) -> TokenGrammar:
        """Pieces end with a chord, and begin with one where silence is trimmed."""
        end, chord, rest = 1, 2, 3
        kinds = np.where(self.silent_tokens(), rest, chord)
        kinds[:NUM_SPECIAL] = NOTHING
        kinds[END] = end
        follows = {
            NOTHING: (chord,) if self.trim_silence else (chord, rest),
            chord: (chord, rest, end),
            rest: (chord, rest),
        }
        return TokenGrammar.of(kinds, follows)

    def transposed_ids(self, semitones: int) -> np.ndarray:
        """The chord's transposed one, int64 [vocabulary size]; the rest stays."""
        chords, whole = transposed(self._token_pitches, semitones)
        ids = np.where(whole, self._known.find(chords), -1)
        ids[:NUM_SPECIAL] = np.arange(NUM_SPECIAL)
        return ids

    def transposed_token(self, token: str, semitones: int) -> str:
        """The chord's transposed one, or nothing if that is out of range."""
        if token == REST:
            return token
        pitches = [int(pitch) + semitones for pitch in token.split(".")]
        return ".".join(map(str, pitches)) if self.within_range(pitches) else ""

    def count(self, sequence: NoteSequence) -> collections.Counter:
        """In how many frames each chord sounds."""
        chords, frames = unique_chords(self._frames(sequence)[0])
        return count_chords([_name(chord) for chord in chords], np.bincount(frames))

    def encode_with_losses(
        self, sequence: NoteSequence
    ) -> tuple[Features, collections.Counter]:
        """Encodes a piece as "tokens", int32 [num_frames], and with `metre` its bars.

        Raises:
            EncodeError: No notes, or none of a known chord.
            UserError: The vocabulary is not fitted.
        """
        ids, _, first, losses = self._known_frames(sequence)
        return {"tokens": ids, **self._bars(sequence, first, len(ids))}, losses

    def decode(self, features: Features) -> NoteSequence:
        """Turns tokens into music.

        `PAD`, `START` and numbers that are no ids take no time; the music ends before
        the first `END`.
        """
        frames = self._token_pitches[self.musical_ids(features["tokens"])]
        return self._to_sequence(frames, features)

    def canonicalize(self, sequence: NoteSequence) -> NoteSequence:
        """The piece as it comes back from encoding: of known chords."""
        _, frames, first, _ = self._known_frames(sequence)
        return self._to_sequence(frames, self._bars(sequence, first, len(frames)))

    def _bars(self, sequence: NoteSequence, first: int, num_frames: int) -> Features:
        if not self.metre:
            return {}
        return metre.encode_bars(sequence, self.grid, first, first + num_frames)

    def _frames(
        self, sequence: NoteSequence
    ) -> tuple[np.ndarray, int, collections.Counter]:
        """Sounding pitches, bool [num_steps, 128], before any substitution.

        Returns:
            These, the step of the piece in which they begin, and losses.
        """
        notes, losses = self.read_notes(sequence)
        notes, merged = notes.merged()
        roll, _ = notes_to_roll(notes, 1, 0, NUM_PITCHES)
        frames = roll[:, 0]
        span = self._span(frames)
        return frames[span], span.start, losses + merged

    def _known_frames(
        self, sequence: NoteSequence
    ) -> tuple[np.ndarray, np.ndarray, int, collections.Counter]:
        """Known chords of a piece.

        Returns:
            Ids, int32 [num_steps], their pitches, bool [num_steps, 128], the step of
            the piece in which they begin, and losses.
        """
        known = self._known  # before reading: an unfitted one is the user's mistake
        sounding, first, losses = self._frames(sequence)
        chords, frames = unique_chords(sounding)
        ids = known.find(chords)
        unknown = ids < 0
        losses["substituted_chords"] = np.sum(unknown[frames]).item()
        ids[unknown] = known.nearest(chords[unknown])
        ids = ids[frames]
        sounding = self._token_pitches[ids]
        if not sounding.any():
            raise EncodeError(
                "no_known_chords",
                f"none of {len(chords)} chords shares a pitch with the vocabulary of "
                f"{len(self.vocabulary)} tokens; fit it on pieces like this one",
            )
        # A substitute may be a rest, and rests at the borders are trimmed once more.
        kept = self._span(sounding)
        return ids[kept], sounding[kept], first + kept.start, +losses

    def _span(self, frames: np.ndarray) -> slice:
        """From the first frame that is kept to the last one that sounds."""
        sounding = np.flatnonzero(frames.any(axis=1))
        return slice(sounding[0] if self.trim_silence else 0, sounding[-1] + 1)

    def _to_sequence(self, frames: np.ndarray, features: Features) -> NoteSequence:
        notes = roll_to_notes(frames[:, None], None, 0, self.velocity)
        sequence = notes.to_sequence(self.decode_grid, INSTRUMENTS)
        if self.metre:
            metre.add_signatures(sequence, self.grid, features)
        return sequence

    @property
    def decode_grid(self) -> Grid:
        """The grid of decoded music."""
        rate = self.decode_steps_per_second
        return FrameGrid(rate) if rate else self.grid

    @property
    def step_seconds(self) -> float:
        """How long a frame lasts in decoded music."""
        return float(self.decode_grid.to_seconds(1))

    def splice(self, notes: NoteTable, features: Features) -> tuple[float, int]:
        """The end of the piece."""
        num_frames = len(features["tokens"])
        return float(self.decode_grid.to_seconds(num_frames)), notes.num_steps

    @cached_property
    def _token_pitches(self) -> np.ndarray:
        pitches = np.zeros((len(self.vocabulary), NUM_PITCHES), bool)
        for i, token in enumerate(self.vocabulary.tokens):
            if i >= NUM_SPECIAL and token != REST:
                pitches[i, [int(pitch) for pitch in token.split(".")]] = True
        return pitches

    @cached_property
    def _known(self) -> KnownChords:
        ids = np.arange(NUM_SPECIAL, len(self.vocabulary))
        return KnownChords(ids, self._token_pitches[NUM_SPECIAL:])


def _name(chord: np.ndarray) -> str:
    return ".".join(map(str, pitches_of(chord))) or REST
