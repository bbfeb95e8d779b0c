"""Every frame's sounding pitches as one token (Yang et al., UW CSE 599G1, 2022)."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import FrameGrid, Grid
from tfmusic.representations import home_key, metre, phrases
from tfmusic.representations.base import EncodeError, Features, FeatureSpec
from tfmusic.representations.chords import (
    NUM_PITCHES,
    KnownChords,
    pitches_of,
    transposed,
    unique_chords,
)
from tfmusic.representations.note_table import NoteTable
from tfmusic.representations.rolls import (
    OUTER_VOICES,
    notes_to_roll,
    roll_to_notes,
)
from tfmusic.representations.token_grammar import NOTHING, TokenGrammar
from tfmusic.representations.tokens import (
    INSTRUMENTS,
    TokenRepresentation,
    count_chords,
)
from tfmusic.representations.variation import Joint, Variation, move, stack
from tfmusic.representations.vocabulary import END, NUM_SPECIAL

REST = "rest"
# A chord outside the vocabulary, whose pitches the array "keys" has.
SPELLED = "spelled"
# What stands before the number of a key among the counts of chords.
_HOME = "home key "


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChordFrames(TokenRepresentation):
    """One token per step of the grid: the pitches that sound, as in "48.60.64".

    The numbers are MIDI pitches; silence is "rest". With `keys` an array says besides
    which pitches are struck in each frame, and a chord outside the vocabulary is the
    token "spelled" and its pitches in that array.

    Without `keys` a pitch that sounds in frames on end is one long note, and unknown
    chords become the nearest known ones, see `KnownChords.nearest`; what shares no
    pitch with a known one becomes a rest.

    Beyond what no kind holds, it cannot express: who plays which note, and so two
    notes of one pitch at once (losses `unisons` and `cut_notes`), silence after the
    last note and, with `trim_silence`, before the first. Without `keys`: re-strikes
    and where notes of one pitch touch (`merged_restrikes`), and chords outside the
    vocabulary (`substituted_chords`, counted in frames).

    The reference system reads 2 frames a second of the first instrument
    (`steps_per_second=2`, `first_instrument_only`) and plays 8 a second.

    Attributes:
        metre: Whether it also holds where in its bar each frame lies, as arrays
            "bar_position" and "bar_length" (see `metre.SPECS`), on a grid that follows
            the beat.
        plan: Whether it also holds where in its phrase each frame lies, as arrays
            "phrase_left" and "last_phrase" (see `phrases.SPECS`), likewise, and the key
            of the piece, "plan_key" (see `home_key.SPECS`).
        keys: Whether it also holds which pitches sound and which are struck, as an
            array "keys", bool [time, pitch, channel].
        trim_silence: Whether pieces begin with their first note.
        decode_steps_per_second: Frames per second of decoded music, where it is to be
            played faster or slower than it was read; 0 for the same. With it, decoded
            music does not encode to the tokens that it came from.
        min_count: Chords in fewer frames of the training pieces are left out. With
            `keys`, 2 or more lets training see chords that are spelled.
        max_vocabulary: Tokens to keep at most, all told; 0 for all.
        fit_semitones: The vocabulary is fitted on the pieces moved by up to so many
            semitones up and down, so that training windows can be moved as far.
        tokens: The fitted vocabulary; empty before `fit`.
        home_keys: With `plan`, in how many frames of the training pieces each key is
            the piece's own: C to B major, C to B minor. Empty before `fit`.
    """

    name: ClassVar[str] = "chord_frames"
    fitted_fields: ClassVar[tuple[str, ...]] = ("tokens", "home_keys")
    instruments: ClassVar[tuple[str, ...]] = INSTRUMENTS

    steps_per_quarter: int = 2
    metre: bool = False
    plan: bool = False
    keys: bool = False
    trim_silence: bool = True
    decode_steps_per_second: float = 0.0
    min_count: int = 1
    max_vocabulary: int = 0
    fit_semitones: int = 0
    tokens: tuple[str, ...] = ()
    home_keys: tuple[int, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        self.check(
            self.decode_steps_per_second >= 0, "decode_steps_per_second", "0 or more"
        )
        has_beat = self.steps_per_quarter > 0 and not self.decode_steps_per_second
        self.check(has_beat or not self.metre, "metre", "False without a beat")
        self.check(has_beat or not self.plan, "plan", "False without a beat")

    @property
    def feature_specs(self) -> Mapping[str, FeatureSpec]:
        """One row of token ids and what the settings add to each."""
        doc = "[time, pitch, channel]; channels: sounding, struck"
        keys = {"keys": FeatureSpec((None, NUM_PITCHES, 2), "bool", doc)}
        return {
            **super().feature_specs,
            **(keys if self.keys else {}),
            **(metre.SPECS if self.metre else {}),
            **({**phrases.SPECS, **home_key.SPECS} if self.plan else {}),
        }

    def always_known(self) -> tuple[str, ...]:
        """The rest and, with `keys`, what stands for unknown chords."""
        return (REST, SPELLED) if self.keys else (REST,)

    def token_pitches(self) -> np.ndarray:
        """Which pitches each token makes sound: bool [vocabulary size, 128]."""
        return self._token_pitches.copy()

    def silent_tokens(self) -> np.ndarray:
        """The rest alone: bool [vocabulary size]."""
        return np.array([token == REST for token in self.vocabulary.tokens])

    @property
    def spelled_id(self) -> int:
        """The token of chords outside the vocabulary; with `keys`."""
        return self.vocabulary.id_of(SPELLED)

    def token_grammar(self) -> TokenGrammar:
        """Pieces end with a chord, and begin with one where silence is trimmed.

        No chord is spelled but in music that was read.
        """
        end, chord, rest, spelled = 1, 2, 3, 4
        kinds = np.where(self.silent_tokens(), rest, chord)
        kinds[:NUM_SPECIAL] = NOTHING
        kinds[END] = end
        follows = {
            NOTHING: (chord,) if self.trim_silence else (chord, rest),
            chord: (chord, rest, end),
            rest: (chord, rest),
            spelled: (chord, rest, end),
        }
        if self.keys:
            kinds[self.spelled_id] = spelled
        return TokenGrammar.of(kinds, follows)

    def transposed_ids(self, semitones: int) -> np.ndarray:
        """The chord's transposed one, int64 [vocabulary size]; the rest stays.

        With `keys` those that the vocabulary has not are spelled.
        """
        chords, whole = transposed(self._token_pitches, semitones)
        ids = np.where(whole, self._known.find(chords), -1)
        ids[:NUM_SPECIAL] = np.arange(NUM_SPECIAL)
        if self.keys:
            ids[ids < 0] = ids[self.spelled_id] = self.spelled_id
        return ids

    def transpositions(self, semitones: Sequence[int]) -> Variation | Joint:
        """Tokens for tokens; with `keys` keys that are moved, with `plan` the key."""
        parts = [super().transpositions(semitones)]
        if self.plan:
            parts.append(home_key.transpositions(semitones))
        if not self.keys:
            return Joint(tuple(parts)) if self.plan else parts[0]
        pitches = np.arange(NUM_PITCHES)
        moved = [move(pitches, steps, NUM_PITCHES) for steps in semitones]
        rows = [
            np.where((row < self.lowest_pitch) | (row > self.highest_pitch), -1, row)
            for row in moved
        ]
        return Joint((*parts, Variation("keys", stack(rows), of="keys")))

    def transposed_token(self, token: str, semitones: int) -> str:
        """The chord's transposed one, or nothing if that is out of range."""
        if token == REST:
            return token
        pitches = [int(pitch) + semitones for pitch in token.split(".")]
        return ".".join(map(str, pitches)) if self.within_range(pitches) else ""

    def count(self, sequence: NoteSequence) -> collections.Counter:
        """In how many frames each chord sounds and, with `plan`, each key is home."""
        sounding = self._read(sequence)[0]
        chords, frames = unique_chords(sounding)
        counts = count_chords([_name(chord) for chord in chords], np.bincount(frames))
        if self.plan:
            counts[_HOME + str(home_key.number_of(sounding))] = len(sounding)
        return counts

    def fit_counts(self, counts: Mapping[str, int]) -> "ChordFrames":
        """With the chords that were counted, and the keys."""
        names = [f"{_HOME}{1 + i}" for i in range(home_key.NUM_KEYS)]
        chords = {name: n for name, n in counts.items() if name not in names}
        home_keys = tuple(int(counts.get(name, 0)) for name in names)
        return dataclasses.replace(super().fit_counts(chords), home_keys=home_keys)

    def encode_with_losses(
        self, sequence: NoteSequence
    ) -> tuple[Features, collections.Counter]:
        """Encodes a piece as "tokens", int32 [num_frames], and what the settings add.

        Raises:
            EncodeError: No notes, or without `keys` none of a known chord.
            UserError: The vocabulary is not fitted.
        """
        ids, sounding, struck, first, losses = self._known_frames(sequence)
        keys = {"keys": np.stack([sounding, struck], axis=-1)} if self.keys else {}
        places = self._places(sequence, first, sounding)
        return {"tokens": ids, **keys, **places}, losses

    def decode(self, features: Features) -> NoteSequence:
        """Turns tokens into music.

        `PAD`, `START` and numbers that are no ids take no time; the music ends before
        the first `END`. What "keys" says counts for spelled chords, and for the others
        as far as pitches of theirs are struck.
        """
        places = self.musical_places(features["tokens"])
        ids = np.asarray(features["tokens"])[places]
        sounding, struck = self._token_pitches[ids], None
        if self.keys:
            keys = np.asarray(features["keys"], bool)[places]
            is_spelled = ids[:, None] == self.spelled_id
            sounding = np.where(is_spelled, keys[..., 0], sounding)
            struck = keys[..., 1]
        return self._to_sequence(sounding, struck, features)

    @property
    def keep_names(self) -> tuple[str, ...]:
        """The outer voices, with `keys`."""
        return OUTER_VOICES if self.keys else ()

    def open_notes(self, features: Features, is_open: np.ndarray) -> NoteTable:
        """The notes of some cells `[time, 1, pitch]` alone."""
        keys = np.asarray(features["keys"], bool)[:, np.newaxis]
        return roll_to_notes(keys[..., 0] & is_open, keys[..., 1], 0, self.velocity)

    def as_beginning(self, features: Features) -> Features:
        """Without the plan's phrases, which have an end."""
        plan = phrases.SPECS if self.plan else ()
        return features | {name: np.zeros_like(features[name]) for name in plan}

    def canonicalize(self, sequence: NoteSequence) -> NoteSequence:
        """The piece as it comes back from encoding."""
        _, sounding, struck, first, _ = self._known_frames(sequence)
        places = self._places(sequence, first, sounding)
        return self._to_sequence(sounding, struck, places)

    def _places(
        self, sequence: NoteSequence, first: int, sounding: np.ndarray
    ) -> Features:
        span = sequence, self.grid, first, first + len(sounding)
        places = metre.encode_bars(*span) if self.metre else {}
        if self.plan:
            places |= phrases.encode_phrases(*span)
            places |= home_key.encode_home_key(sounding)
        return places

    def _read(
        self, sequence: NoteSequence
    ) -> tuple[np.ndarray, np.ndarray, int, collections.Counter]:
        """Pitches before any substitution.

        Returns:
            Those that sound and those that are struck, bool [num_steps, 128], the step
            of the piece in which they begin, and losses.
        """
        notes, losses = self.read_notes(sequence)
        notes, more = notes.one_at_a_time() if self.keys else notes.merged()
        sounding, struck = (
            roll[:, 0] for roll in notes_to_roll(notes, 1, 0, NUM_PITCHES)
        )
        span = self._span(sounding)
        return sounding[span], struck[span], span.start, losses + more

    def _known_frames(
        self, sequence: NoteSequence
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, int, collections.Counter]:
        """Known chords of a piece, or spelled ones.

        Returns:
            Ids, int32 [num_steps], the pitches that sound, bool [num_steps, 128], and
            with `keys` those that are struck, the step of the piece in which they
            begin, and losses.
        """
        known = self._known  # before reading: an unfitted one is the user's mistake
        sounding, struck, first, losses = self._read(sequence)
        chords, frames = unique_chords(sounding)
        ids = known.find(chords)
        unknown = ids < 0
        if self.keys:
            ids[unknown] = self.spelled_id
            return ids[frames], sounding, struck, first, +losses
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
        return ids[kept], sounding[kept], None, first + kept.start, +losses

    def _span(self, frames: np.ndarray) -> slice:
        """From the first frame that is kept to the last one that sounds."""
        sounding = np.flatnonzero(frames.any(axis=1))
        return slice(sounding[0] if self.trim_silence else 0, sounding[-1] + 1)

    def _to_sequence(
        self, sounding: np.ndarray, struck: np.ndarray | None, places: Features
    ) -> NoteSequence:
        struck = None if struck is None else struck[:, None]
        notes = roll_to_notes(sounding[:, None], struck, 0, self.velocity)
        sequence = notes.to_sequence(self.decode_grid, INSTRUMENTS)
        if self.metre:
            metre.add_signatures(sequence, self.grid, places)
        if self.plan:
            phrases.add_fermatas(sequence, self.grid, places)
            home_key.add_signature(sequence, places)
        return sequence

    def decode_as_read(self, features: Features) -> NoteSequence:
        """Music at the speed that it was read at."""
        as_read = dataclasses.replace(self, decode_steps_per_second=0.0)
        return as_read.decode(features)

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
            if i >= NUM_SPECIAL and token not in (REST, SPELLED):
                pitches[i, [int(pitch) for pitch in token.split(".")]] = True
        return pitches

    @cached_property
    def _known(self) -> KnownChords:
        ids = [i for i, token in enumerate(self.vocabulary.tokens) if token != SPELLED]
        ids = np.array(ids[NUM_SPECIAL:])
        return KnownChords(ids, self._token_pitches[ids])


def _name(chord: np.ndarray) -> str:
    return ".".join(map(str, pitches_of(chord))) or REST
