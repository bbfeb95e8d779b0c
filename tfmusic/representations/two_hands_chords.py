"""What each hand plays at each step as one token: two tokens a step."""

import collections
import dataclasses
from functools import cached_property
from typing import ClassVar

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.representations.base import EncodeError, Features
from tfmusic.representations.chords import (
    NUM_PITCHES,
    KnownChords,
    pitches_of,
    transposed,
    unique_chords,
)
from tfmusic.representations.hands import HANDS, hands_of
from tfmusic.representations.note_table import NoteTable
from tfmusic.representations.rolls import notes_to_roll, roll_to_notes
from tfmusic.representations.token_grammar import NOTHING, TokenGrammar
from tfmusic.representations.tokens import TokenRepresentation, count_chords
from tfmusic.representations.vocabulary import END, NUM_SPECIAL

_SIDES = ("right", "left")
_REST, _HELD = "rest", "held"
_NUM_SIDES = len(_SIDES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoHandsChords(TokenRepresentation):
    """A token for the right hand and one for the left, step after step.

    "right60.64" are the keys that sound in the right hand from this step on, "left48"
    those of the left one; a hand that goes on with what it plays is "right_held", one
    that is silent "left_rest". Where a chord changes, keys that both have go on
    sounding; where it comes again, all are struck again.

    The two-hands LSTM's author wished for it (see `two_hands_lstm`): hands as chords
    instead of keys.

    Beyond what no kind holds, it cannot express: two notes at once on one key of one
    hand (losses `unisons` and `cut_notes`), a key that is struck again while another
    key of its hand begins or ends (`merged_restrikes`), one that goes on while the
    others of its chord are struck again (`split_notes`), chords that are not in the
    vocabulary (`substituted_chords`, counted in steps of a hand), where bars begin,
    and silence after the last note.

    Decoding takes any tokens: one of the wrong hand is passed over, and what is left
    is one step for each two.

    Attributes:
        min_count: Chords that a hand plays less often in the training pieces are left
            out; they become the nearest known ones of that hand.
        max_vocabulary: Tokens to keep at most, all told; 0 for all.
        fit_semitones: The vocabulary is fitted on the pieces moved by up to so many
            semitones up and down, so that training windows can be moved as far.
        tokens: The fitted vocabulary; empty before `fit`.
    """

    name: ClassVar[str] = "two_hands_chords"
    fitted_fields: ClassVar[tuple[str, ...]] = ("tokens",)
    instruments: ClassVar[tuple[str, ...]] = HANDS

    steps_per_quarter: int = 4
    min_count: int = 1
    max_vocabulary: int = 0
    fit_semitones: int = 0
    tokens: tuple[str, ...] = ()

    def always_known(self) -> tuple[str, ...]:
        """Silence, and going on, of each hand."""
        return tuple(f"{side}_{word}" for word in (_REST, _HELD) for side in _SIDES)

    def voices(self, sequence: NoteSequence) -> np.ndarray:
        """The hand of each note, int64 [num_notes]."""
        return hands_of(sequence)

    def token_pitches(self) -> np.ndarray:
        """Which pitches each token makes sound: bool [vocabulary size, 128]."""
        return self._token_pitches.copy()

    def silent_tokens(self) -> np.ndarray:
        """The rests: bool [vocabulary size]."""
        return np.array([token.endswith(_REST) for token in self.vocabulary.tokens])

    def token_grammar(self) -> TokenGrammar:
        """The right hand, then the left one; a piece ends after a step."""
        end = _NUM_SIDES + 1
        kinds = self._sides + 1  # `NOTHING` for the special tokens
        kinds[END] = end
        right, left = 1, 2
        follows = {NOTHING: (right,), right: (left,), left: (right, end)}
        return TokenGrammar.of(kinds, follows)

    def transposed_ids(self, semitones: int) -> np.ndarray:
        """The hand's transposed chord, int64 [vocabulary size]; words stay."""
        chords, whole = transposed(self._token_pitches, semitones)
        ids = np.arange(len(self.vocabulary))
        for side, known in enumerate(self._known):
            rows = np.flatnonzero((self._sides == side) & chords.any(axis=1))
            ids[rows] = np.where(whole[rows], known.find(chords[rows]), -1)
        lost = self._token_pitches.any(axis=1) & ~whole
        return np.where(lost, -1, ids)

    def transposed_token(self, token: str, semitones: int) -> str:
        """The hand's transposed chord, or nothing if that is out of range."""
        side = next(side for side in _SIDES if token.startswith(side))
        keys = [int(key) + semitones for key in token.removeprefix(side).split(".")]
        return _name(side, keys) if self.within_range(keys) else ""

    def count(self, sequence: NoteSequence) -> collections.Counter:
        """How often each hand begins each chord."""
        sounding, struck, _ = self._read(sequence)
        counts = collections.Counter()
        for hand, side in enumerate(_SIDES):
            is_new = _begins(sounding[:, hand], struck[:, hand])
            chords, steps = unique_chords(sounding[is_new, hand])
            names = [_name(side, pitches_of(chord)) for chord in chords]
            counts += count_chords(names, np.bincount(steps, minlength=len(names)))
        # Rests are known anyway.
        return collections.Counter({n: c for n, c in counts.items() if "_" not in n})

    def encode_with_losses(
        self, sequence: NoteSequence
    ) -> tuple[Features, collections.Counter]:
        """Encodes a piece as "tokens", int32 [2 * num_steps].

        Raises:
            EncodeError: No notes, or none of a known chord.
            UserError: The vocabulary is not fitted.
        """
        ids, _, losses = self._known_steps(sequence)
        return {"tokens": ids.reshape(-1)}, losses

    def decode(self, features: Features) -> NoteSequence:
        """Turns tokens into music, as the class says."""
        ids = self.musical_ids(features["tokens"])
        sides = self._sides[ids]
        # Each token is of the hand that is due, or it is passed over.
        kept, due = [], 0
        for place, side in enumerate(sides.tolist()):
            if side == due:
                kept.append(place)
                due = 1 - due
        kept = kept[: len(kept) // _NUM_SIDES * _NUM_SIDES]
        ids = ids[kept].reshape(-1, _NUM_SIDES)
        return self._play(ids).to_sequence(self.grid, HANDS)

    def canonicalize(self, sequence: NoteSequence) -> NoteSequence:
        """The piece as it comes back from encoding."""
        ids, *_ = self._known_steps(sequence)
        return self._play(ids).to_sequence(self.grid, HANDS)

    @property
    def step_seconds(self) -> float:
        """How long a token lasts in decoded music: half of a step."""
        return float(self.grid.to_seconds(1)) / _NUM_SIDES

    def splice(self, notes: NoteTable, features: Features) -> tuple[float, int]:
        """The end of the piece."""
        num_steps = len(features["tokens"]) // _NUM_SIDES
        return float(self.grid.to_seconds(num_steps)), num_steps

    def _read(
        self, sequence: NoteSequence
    ) -> tuple[np.ndarray, np.ndarray, collections.Counter]:
        """Sounding and struck pitches, bool [num_steps, 2, 128], and losses."""
        notes, losses = self.read_notes(sequence)
        notes, more = notes.one_at_a_time()
        sounding, struck = notes_to_roll(notes, _NUM_SIDES, 0, NUM_PITCHES)
        return sounding, struck, losses + more

    def _known_steps(
        self, sequence: NoteSequence
    ) -> tuple[np.ndarray, np.ndarray, collections.Counter]:
        """A piece in known chords.

        Returns:
            Ids, int32 [num_steps, 2], the pitches that sound, bool
            [num_steps, 2, 128], and losses.
        """
        known = self._known  # before reading: an unfitted one is the user's mistake
        sounding, struck, losses = self._read(sequence)
        ids = np.zeros(sounding.shape[:2], np.int32)
        for hand, chords_known in enumerate(known):
            chords, steps = unique_chords(sounding[:, hand])
            found = chords_known.find(chords)
            unknown = found < 0
            found[unknown] = chords_known.nearest(chords[unknown])
            losses["substituted_chords"] += np.sum(unknown[steps]).item()
            ids[:, hand] = found[steps]
        played = self._token_pitches[ids]
        steps = np.flatnonzero(played.any(axis=(1, 2)))
        if not len(steps):
            raise EncodeError(
                "no_known_chords",
                "no chord of either hand shares a pitch with the vocabulary of "
                f"{len(self.vocabulary)} tokens; fit it on pieces like this one",
            )
        last = steps[-1] + 1
        ids, played, struck = ids[:last], played[:last], struck[:last]
        for hand in range(_NUM_SIDES):
            goes_on = ~_begins(played[:, hand], struck[:, hand])
            goes_on &= played[:, hand].any(axis=1)
            ids[goes_on, hand] = self._held_ids[hand]
        begun = _struck(played, ids != self._held_ids)
        before = np.concatenate([np.zeros_like(played[:1]), played[:-1]])
        losses["merged_restrikes"] += int((struck & before & played & ~begun).sum())
        losses["split_notes"] += int((begun & before & ~struck & played).sum())
        return ids, played, +losses

    def _play(self, ids: np.ndarray) -> NoteTable:
        """The notes of ids of steps, int [num_steps, 2]."""
        is_said = ids != self._held_ids
        # What is held is what was said last; before anything is said, silence.
        places = np.where(is_said, np.arange(len(ids))[:, np.newaxis], -1)
        places = np.maximum.accumulate(places, axis=0)
        hands = np.arange(_NUM_SIDES)
        rests = np.where(places < 0, self._rest_ids, ids[places, hands])
        sounding = self._token_pitches[rests]
        struck = _struck(sounding, is_said)
        return roll_to_notes(sounding, struck, 0, self.velocity)

    @property
    def _rest_ids(self) -> np.ndarray:
        return NUM_SPECIAL + np.arange(_NUM_SIDES)

    @property
    def _held_ids(self) -> np.ndarray:
        return NUM_SPECIAL + _NUM_SIDES + np.arange(_NUM_SIDES)

    @cached_property
    def _sides(self) -> np.ndarray:
        """The hand of each token, -1 for the special ones; int64 [size]."""
        tokens = self.vocabulary.tokens
        return np.array(
            [
                next((i for i, s in enumerate(_SIDES) if t.startswith(s)), -1)
                for t in tokens
            ]
        )

    @cached_property
    def _token_pitches(self) -> np.ndarray:
        pitches = np.zeros((len(self.vocabulary), NUM_PITCHES), bool)
        for i, token in enumerate(self.vocabulary.tokens):
            if i >= NUM_SPECIAL and "_" not in token:
                keys = token.removeprefix(_SIDES[self._sides[i]]).split(".")
                pitches[i, [int(key) for key in keys]] = True
        return pitches

    @cached_property
    def _known(self) -> list[KnownChords]:
        """The chords of each hand, and its silence."""
        found = []
        for hand in range(_NUM_SIDES):
            ids = np.flatnonzero(self._sides == hand)
            ids = ids[ids != self._held_ids[hand]]
            found.append(KnownChords(ids, self._token_pitches[ids]))
        return found


def _begins(sounding: np.ndarray, struck: np.ndarray) -> np.ndarray:
    """Where a hand plays something else, or strikes: bool [num_steps].

    Args:
        sounding: Bool [num_steps, 128].
        struck: Likewise.
    """
    before = np.concatenate([np.zeros_like(sounding[:1]), sounding[:-1]])
    return (sounding != before).any(axis=1) | struck.any(axis=1)


def _struck(sounding: np.ndarray, is_said: np.ndarray) -> np.ndarray:
    """What chords strike: what is new in them, or all if they come again.

    Args:
        sounding: Bool [num_steps, 2, 128].
        is_said: Whether a hand's token is a chord or a rest, bool [num_steps, 2].
    """
    before = np.concatenate([np.zeros_like(sounding[:1]), sounding[:-1]])
    is_again = is_said & (sounding == before).all(axis=-1)
    return sounding & (~before | is_again[..., np.newaxis])


def _name(side: str, keys: list[int]) -> str:
    return side + (".".join(map(str, keys)) or f"_{_REST}")
