"""What every representation offers, whatever its arrays look like."""

import abc
import collections
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from tfmusic.errors import DropError
from tfmusic.notes import NoteSequence

Features = dict[str, np.ndarray]


class EncodeError(DropError):
    """A sequence cannot be encoded; `reason` is a slug, for counting."""


@dataclasses.dataclass(frozen=True)
class FeatureSpec:
    """Shape, type and meaning of one array of an encoded piece.

    Attributes:
        shape: Sizes of the axes; the first is `None`, the piece's length in steps.
        dtype: A numpy type name: `bool` (bit-packed on disk), an integer or a float.
        doc: One line: axes, units and range.
    """

    shape: tuple[int | None, ...]
    dtype: str
    doc: str


@dataclasses.dataclass(frozen=True)
class Representation(abc.ABC):
    """A reversible encoding of a NoteSequence as arrays.

    Subclasses are frozen dataclasses whose fields are the settings, so that two
    representations are equal if and only if they encode alike. Fields that `fit`
    fills (a vocabulary) are named in `fitted_fields` and are tuples.

    Laws, tested for every kind:
        decode(encode(s)) == canonicalize(s)
        canonicalize(canonicalize(s)) == canonicalize(s)
        encode(decode(a)) == a for every a that encode gives
        from_config(json(to_config())) == self
    """

    name: ClassVar[str]
    fitted_fields: ClassVar[tuple[str, ...]] = ()

    @property
    @abc.abstractmethod
    def feature_specs(self) -> Mapping[str, FeatureSpec]:
        """The arrays of an encoded piece. All share their first axis, time."""

    @abc.abstractmethod
    def encode(self, sequence: NoteSequence) -> Features:
        """Encodes a piece.

        Args:
            sequence: A piece of any tempo, metre and number of instruments.

        Returns:
            Arrays that match `feature_specs`, all of the same length in steps.

        Raises:
            EncodeError: The piece has nothing that this representation can hold.
        """

    @abc.abstractmethod
    def decode(self, features: Features) -> NoteSequence:
        """Turns arrays, encoded or generated, into music.

        Never fails on arrays that match `feature_specs`: what makes no musical sense
        (a hold without a start) is read in the way that the class documents.
        """

    @abc.abstractmethod
    def canonicalize(self, sequence: NoteSequence) -> NoteSequence:
        """The piece as it comes back from encoding: the declared loss and no more."""

    def count(self, sequence: NoteSequence) -> collections.Counter:
        """What `fit_counts` needs from one piece; empty where nothing is fitted."""
        del sequence
        return collections.Counter()

    def fit_counts(self, counts: Mapping[Any, int]) -> "Representation":
        """A representation fitted on the summed `count` of the training pieces."""
        del counts
        return self

    def fit(self, sequences: Iterable[NoteSequence]) -> "Representation":
        """A representation fitted on the training pieces (vocabularies)."""
        total = collections.Counter()
        for sequence in sequences:
            total.update(self.count(sequence))
        return self.fit_counts(total)

    def settings(self) -> dict[str, Any]:
        """The settings alone, without what was fitted; JSON can hold them."""
        config = self.to_config()
        return {k: v for k, v in config.items() if k not in self.fitted_fields}

    def to_config(self) -> dict[str, Any]:
        """Everything that `from_config` needs; JSON can hold it."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {"name": self.name, **fields}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Representation":
        """The representation that `to_config` described."""
        return cls(**{k: _tuples(v) for k, v in config.items() if k != "name"})

    def fingerprint(self) -> str:
        """Sixteen hex digits that stand for the settings and what was fitted."""
        text = json.dumps(self.to_config(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that frozen dataclasses hold."""
    if isinstance(value, (list, tuple)):
        return tuple(_tuples(v) for v in value)
    return value
