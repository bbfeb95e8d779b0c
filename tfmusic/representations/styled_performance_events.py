"""A performance as events, beside which its style stands: its tag, its density."""

import collections
import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.representations import style, tags
from tfmusic.representations.base import Features, FeatureSpec
from tfmusic.representations.performance_events import (
    NOTE_ON,
    SHIFT,
    PerformanceEvents,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StyledPerformanceEvents(PerformanceEvents):
    """Events of a performance, and what the piece is like (see `style.SPECS`).

    Beside each token stand "plan_tag", such as the composer, and "plan_density", how
    many notes a second the whole piece has. They stand beside all tokens, as a piece is
    learned in windows that seldom hold its beginning.

    Conditions of such events: Simon and Oore, "Performance RNN", 2017, which describes
    note density; by composer Payne, "MuseNet", 2019.

    Attributes:
        tags: Names of the tags, at most 32, most frequent first; found in the training
            pieces (their `genre`).
    """

    name: ClassVar[str] = "styled_performance_events"
    fitted_fields: ClassVar[tuple[str, ...]] = ("tags",)

    tags: tuple[str, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        most = tags.MAX_TAGS
        self.check(len(self.tags) <= most, "tags", f"at most {most}")

    @property
    def feature_specs(self) -> Mapping[str, FeatureSpec]:
        """Tokens, and the style."""
        return {**super().feature_specs, **style.SPECS}

    def count(self, sequence: NoteSequence) -> collections.Counter:
        """The tag."""
        tag = tags.tag_of(sequence)
        return collections.Counter([tag] if tag else [])

    def fit_counts(self, counts: Mapping[str, int]) -> "StyledPerformanceEvents":
        """With the tags that most pieces have, of those that several have."""
        return dataclasses.replace(self, tags=tags.most_common(counts))

    def encode_with_losses(
        self, sequence: NoteSequence
    ) -> tuple[Features, collections.Counter]:
        """Encodes a piece as the arrays that the class names."""
        features, losses = super().encode_with_losses(sequence)
        tokens = features["tokens"]
        tag = tags.number_of(sequence, self.tags)
        density = self._density(tokens)
        return features | style.encode_style(tag, density, len(tokens)), losses

    def decode(self, features: Features) -> NoteSequence:
        """Plays tokens, encoded or generated, as the class says."""
        sequence = super().decode(features)
        numbers = np.asarray(features[style.TAG])
        tags.add_tag(sequence, int(numbers[0]) if len(numbers) else 0, self.tags)
        return sequence

    def canonicalize(self, sequence: NoteSequence) -> NoteSequence:
        """The piece as it comes back from encoding."""
        result = super().canonicalize(sequence)
        tags.add_tag(result, tags.number_of(sequence, self.tags), self.tags)
        return result

    def _density(self, tokens: np.ndarray) -> int:
        """The number of a piece's density; see `style.DENSITIES`."""
        kinds, values = (table[tokens] for table in self._meaning)
        seconds = self.grid.to_seconds(values[kinds == SHIFT].sum())
        return style.density_of(np.sum(kinds == NOTE_ON), float(seconds))
