"""What the encodings as one token after another have in common."""

import abc
import collections
import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np

from tfmusic.errors import UserError
from tfmusic.representations.base import FeatureSpec, Representation
from tfmusic.representations.chords import (
    NUM_PITCHES,
    PITCH_NAMES,
    pitches_of,
    unique_chords,
)
from tfmusic.representations.conditions import Condition
from tfmusic.representations.token_grammar import TokenGrammar
from tfmusic.representations.variation import Variation, stack
from tfmusic.representations.vocabulary import END, NUM_SPECIAL, Vocabulary

INSTRUMENTS = ("Piano",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenRepresentation(Representation):
    """An encoding as one array "tokens", int32 [num_tokens].

    An encoded piece holds no `PAD`, `START` or `END`. Kinds that learn their
    vocabulary from the training pieces name `tokens` in `fitted_fields` and have the
    following attributes as fields.

    Attributes:
        tokens: The fitted vocabulary; empty before `fit`.
        min_count: Tokens that occur less often are left out, but for those that are
            always known.
        max_vocabulary: Tokens to keep at most, all told; 0 for all.
        fit_semitones: The vocabulary is fitted on the pieces moved by up to so many
            semitones up and down, so that training windows can be moved as far.
    """

    tokens: ClassVar[tuple[str, ...]] = ()
    min_count: ClassVar[int] = 1
    max_vocabulary: ClassVar[int] = 0
    fit_semitones: ClassVar[int] = 0

    def __post_init__(self):
        super().__post_init__()
        self.check(self.min_count >= 1, "min_count", "1 or more")
        self.check(0 <= self.fit_semitones <= 127, "fit_semitones", "0..127")
        least = NUM_SPECIAL + len(self.always_known())
        self.check(
            self.max_vocabulary == 0 or self.max_vocabulary >= least,
            "max_vocabulary",
            f"0 (no limit) or at least the {least} tokens that are always known",
        )

    @property
    def feature_specs(self) -> Mapping[str, FeatureSpec]:
        """One row of token ids."""
        highest = len(self.vocabulary) - 1 if self.is_fitted else None
        doc = "[token]; ids above END"
        return {"tokens": FeatureSpec((None,), "int32", doc, highest)}

    @property
    def step_seconds(self) -> float | None:
        """Tokens stand for any time or none."""
        return None

    @abc.abstractmethod
    def always_known(self) -> tuple[str, ...]:
        """Tokens of the vocabulary whatever it is fitted on, in order of their ids."""

    @abc.abstractmethod
    def token_pitches(self) -> np.ndarray:
        """Which pitches each token makes sound: bool [vocabulary size, 128].

        Raises:
            UserError: The vocabulary is not fitted.
        """

    def token_kinds(self) -> np.ndarray:
        """What each token is an instance of: int64 [vocabulary size], from 0.

        Where pieces can be transposed (`fit_semitones`), chords that are the same at
        another pitch, and that the grammar takes for the same, are of one kind; all
        other tokens are each of their own.

        Raises:
            UserError: The vocabulary is not fitted.
        """
        pitches = self.token_pitches()
        tokens = np.arange(len(pitches))
        if not self.fit_semitones:
            return tokens
        lowest = pitches.argmax(axis=1)[:, np.newaxis]
        columns = (lowest + np.arange(NUM_PITCHES)) % NUM_PITCHES
        _, kinds = unique_chords(np.take_along_axis(pitches, columns, axis=1))
        grammar = self.token_grammar()
        if grammar is not None:
            kinds += len(tokens) * grammar.kinds
        kinds = np.where(pitches.any(axis=1), kinds, kinds.max() + 1 + tokens)
        return np.unique(kinds, return_inverse=True)[1]

    def token_labels(self) -> list[str]:
        """Each token for people to read: its notes, as in "C4 E4", or itself.

        Raises:
            UserError: The vocabulary is not fitted.
        """
        return [
            " ".join(PITCH_NAMES[pitch] for pitch in pitches_of(sounding)) or token
            for token, sounding in zip(
                self.vocabulary.tokens, self.token_pitches(), strict=True
            )
        ]

    def token_grammar(self) -> TokenGrammar | None:
        """Which tokens may follow which; None: any of music in any order.

        What keeps to it needs no correction when it is decoded.
        """
        return None

    def silent_tokens(self) -> np.ndarray:
        """Which tokens are steps of silence: bool [vocabulary size]; here none."""
        return np.zeros(len(self.vocabulary), bool)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What the first tokens of every piece say of it, a token each; here none."""
        return ()

    @property
    def metres(self) -> tuple[tuple[int, int], ...]:
        """The metres that bars can be asked to have; here none."""
        return ()

    def bars_of_metres(self) -> np.ndarray:
        """Which tokens music of one metre has.

        Returns:
            Bool [1 + number of `metres`, vocabulary size]: in row 0 for any metre.
        """
        return np.ones((1, len(self.vocabulary)), bool)

    @abc.abstractmethod
    def transposed_ids(self, semitones: int) -> np.ndarray:
        """What becomes of each token when a piece is transposed.

        Returns:
            Ids, int [vocabulary size]; -1 where the vocabulary has no such token.

        Raises:
            UserError: The vocabulary is not fitted.
        """

    def transposed_token(self, token: str, semitones: int) -> str:
        """What becomes of a token that was counted when its piece is transposed.

        Needed where `fit_semitones` is a field.

        Returns:
            The token; empty where the representation cannot hold it.
        """
        raise NotImplementedError

    def within_range(self, pitches: Sequence[int]) -> bool:
        """Whether all pitches are ones that are kept."""
        return self.lowest_pitch <= min(pitches) <= max(pitches) <= self.highest_pitch

    def transpositions(self, semitones: Sequence[int]) -> Variation:
        """Tokens for tokens; a piece with one that has no counterpart stays.

        A vocabulary of chords is seldom closed unless it was fitted with
        `fit_semitones`. On the chorales, with 5, of the shifts by up to 5 semitones
        those that a window has rise from 1 to 100 % for 100 chord frames (5,400 to
        24,900 tokens), and from 6 to 89 % for 192 tokens of notes and chords (1,700 to
        5,800 tokens).
        """
        return Variation("tokens", stack([self.transposed_ids(s) for s in semitones]))

    @property
    def is_fitted(self) -> bool:
        """Whether there is a vocabulary."""
        return bool(self.tokens) or "tokens" not in self.fitted_fields

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens and their ids.

        Raises:
            UserError: It is not fitted.
        """
        if not self.is_fitted:
            raise UserError(
                f"representation {self.name} has no vocabulary yet; call fit with the "
                "training pieces, or load the representation of a dataset or an export"
            )
        if "tokens" in self.fitted_fields:
            return Vocabulary(self.tokens)
        return Vocabulary.of(self.always_known())

    def fit_counts(self, counts: Mapping[str, int]) -> "TokenRepresentation":
        """A representation whose vocabulary holds the tokens that were counted."""
        if "tokens" not in self.fitted_fields:
            return self
        if self.fit_semitones:
            counts = self._transposed_counts(counts)
        vocabulary = Vocabulary.fit(
            self.always_known(), counts, self.min_count, self.max_vocabulary
        )
        return dataclasses.replace(self, tokens=vocabulary.tokens)

    def _transposed_counts(self, counts: Mapping[str, int]) -> collections.Counter:
        """Counts over the pieces at all pitches that `fit_semitones` allows."""
        total = collections.Counter()
        for semitones in range(-self.fit_semitones, self.fit_semitones + 1):
            for token, count in counts.items():
                if moved := self.transposed_token(token, semitones):
                    total[moved] += count
        return total

    def musical_ids(self, ids: np.ndarray) -> np.ndarray:
        """What there is to play in a row of ids, encoded or generated.

        Args:
            ids: int [num_tokens].

        Returns:
            The ids before the first `END`, without `PAD`, `START` and numbers that
            are no ids.
        """
        return np.asarray(ids, np.int64)[self.musical_places(ids)]

    def musical_places(self, ids: np.ndarray) -> np.ndarray:
        """Where in a row of ids those stand that `musical_ids` gives, int64."""
        ids = np.asarray(ids, np.int64)
        ends = np.flatnonzero(ids == END)
        ids = ids[: ends[0]] if len(ends) else ids
        return np.flatnonzero((ids >= NUM_SPECIAL) & (ids < len(self.vocabulary)))


def count_chords(names: list[str], occurrences: np.ndarray) -> collections.Counter:
    """Counts of names; one may stand several times."""
    counts = collections.Counter()
    for name, number in zip(names, occurrences.tolist(), strict=True):
        counts[name] += number
    return counts
