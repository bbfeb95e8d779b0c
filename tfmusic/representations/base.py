"""What every representation offers, whatever its arrays look like."""

import abc
import collections
import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from tfmusic.errors import KINDS, DropError, UserError, choose
from tfmusic.notes import NoteSequence, wire
from tfmusic.notes.grid import DEFAULT_QPM, Grid, make_grid
from tfmusic.notes.transforms import without_drums
from tfmusic.representations.note_table import NoteTable
from tfmusic.representations.variation import EventStretch, Joint, Variation

Features = dict[str, np.ndarray]
# Five hours of sixteenths at 1,000 beats per minute: only a broken file is longer.
MAX_STEPS = 1_200_000
# More steps a second, or quarter notes a minute, are a mistake.
_MOST = 1e9


class EncodeError(DropError):
    """A sequence cannot be encoded; `reason` is a slug, for counting."""


@dataclasses.dataclass(frozen=True)
class FeatureSpec:
    """Shape, type and meaning of one array of an encoded piece.

    Attributes:
        shape: Sizes of the axes; the first is `None`, the piece's length in steps.
        dtype: A numpy type name: `bool` (bit-packed on disk), an integer or a float.
        doc: One line: axes, units and range.
        highest: The greatest value of an array of integers, which are 0 or more; one
            for each of the last axis, perhaps. None: that of the type.
    """

    shape: tuple[int | None, ...]
    dtype: str
    doc: str
    highest: int | tuple[int, ...] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Representation(abc.ABC):
    """A reversible encoding of a NoteSequence as arrays.

    Subclasses are frozen dataclasses whose fields are the settings, so that two
    representations are equal if and only if they encode alike. Fields that `fit`
    fills (a vocabulary) are named in `fitted_fields` and are tuples.

    All kinds quantise the notes to a grid and give them back at one tempo, as pianos.
    None holds drums, notes outside its range, pedals, pitch bends, tempo changes or
    key, nor dynamics or metre unless its docstring says so.

    Laws, tested for every kind:
        decode(encode(s)) == canonicalize(s)
        canonicalize(canonicalize(s)) == canonicalize(s)
        encode(decode(a)) == a for every a that encode gives
        from_config(json(to_config())) == self

    Attributes:
        steps_per_quarter: Steps of a grid that follows the beat, per quarter note
            whatever the metre; 0 for a grid in real time.
        steps_per_second: Steps of a grid in real time; 0 for a grid that follows the
            beat. One of the two is 0.
        qpm: Quarter notes per minute of decoded music, on a grid that follows the
            beat.
        velocity: Of decoded notes, 1..127.
        lowest_pitch: The lowest MIDI number that is kept.
        highest_pitch: The highest MIDI number that is kept.
        first_instrument_only: Read only the first instrument that plays notes, as
            some of the reference systems do, rather than all.
    """

    name: ClassVar[str]
    fitted_fields: ClassVar[tuple[str, ...]] = ()
    max_steps: ClassVar[int] = MAX_STEPS

    steps_per_quarter: int = 4
    steps_per_second: float = 0.0
    qpm: float = DEFAULT_QPM
    velocity: int = 80
    lowest_pitch: int = 21
    highest_pitch: int = 108
    first_instrument_only: bool = False

    def __post_init__(self):
        for field in dataclasses.fields(self):
            self._check_type(field)
        self.check(1 <= self.velocity <= 127, "velocity", "1..127")
        self.check(0 <= self.lowest_pitch <= 127, "lowest_pitch", "0..127")
        self.check(
            self.lowest_pitch <= self.highest_pitch <= 127,
            "highest_pitch",
            f"lowest_pitch..127, that is {self.lowest_pitch}..127",
        )
        self.check(self.steps_per_quarter <= 9_600, "steps_per_quarter", "at most 9600")
        try:
            _ = self.grid
        except UserError as error:
            raise UserError(f"representation {self.name}: {error}") from None

    @property
    @abc.abstractmethod
    def feature_specs(self) -> Mapping[str, FeatureSpec]:
        """The arrays of an encoded piece. All share their first axis, time."""

    def encode(self, sequence: NoteSequence) -> Features:
        """Encodes a piece: the first of what `encode_with_losses` gives."""
        return self.encode_with_losses(sequence)[0]

    @abc.abstractmethod
    def encode_with_losses(
        self, sequence: NoteSequence
    ) -> tuple[Features, collections.Counter]:
        """Encodes a piece, and counts what that loses, in one reading.

        Args:
            sequence: A piece of any tempo, metre and number of instruments.

        Returns:
            Arrays that match `feature_specs`, all of the same length in steps; and how
            many notes are dropped or changed beyond the grid, counts above zero by
            slug: those of `read_notes`, and those that a class adds in its docstring.

        Raises:
            EncodeError: The piece has nothing that this representation can hold.
        """

    @abc.abstractmethod
    def decode(self, features: Features) -> NoteSequence:
        """Turns arrays, encoded or generated, into music.

        Never fails on arrays that match `feature_specs`: what makes no musical sense
        (a hold without a start) is read in the way that the class documents.
        """

    @property
    def keep_names(self) -> tuple[str, ...]:
        """The voices or hands of a piece that may stay while others are written anew.

        Empty where a step of the arrays does not say which notes sound in it.
        """
        return ()

    def open_notes(self, features: Features, is_open: np.ndarray) -> NoteTable:
        """The notes of some cells of arrays alone, on the grid; with `keep_names`.

        Args:
            features: As `decode` takes them.
            is_open: Those cells, bool `[time, voice]` or `[time, hand, key]`.
        """
        raise NotImplementedError

    def as_beginning(self, features: Features) -> Features:
        """The arrays of music that is to go on: without what they say of its end."""
        return features

    @abc.abstractmethod
    def canonicalize(self, sequence: NoteSequence) -> NoteSequence:
        """The piece as it comes back from encoding: the declared loss and no more."""

    def losses(self, sequence: NoteSequence) -> collections.Counter:
        """The second of what `encode_with_losses` gives."""
        return self.encode_with_losses(sequence)[1]

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

    def transpositions(self, semitones: Sequence[int]) -> Variation | Joint:
        """Encoded pieces at other pitches.

        Where a variant exists it is what the transposed piece encodes to, up to chords
        that a vocabulary spells or substitutes.

        Args:
            semitones: By how many each variant is higher; the first is 0.

        Raises:
            UserError: This kind cannot be varied so.
        """
        del semitones
        raise self._cannot("transpose_semitones")

    def stretches(self, factors: Sequence[float]) -> Variation | EventStretch:
        """Encoded pieces played slower or faster.

        Args:
            factors: How many times as long each variant lasts; the first is 1.

        Raises:
            UserError: This kind cannot be varied so.
        """
        del factors
        raise self._cannot("stretch")

    def velocity_shifts(self, shifts: Sequence[int]) -> Variation:
        """Encoded pieces played louder or softer.

        Args:
            shifts: How much is added to the velocities; the first is 0.

        Raises:
            UserError: This kind cannot be varied so.
        """
        del shifts
        raise self._cannot("velocity_shift")

    def without_conditions(self) -> Variation | None:
        """Encoded pieces of which less is said in advance; None: nothing is said.

        So a model learns to go on whatever of it is left open.
        """
        return None

    def _cannot(self, setting: str) -> UserError:
        return UserError(
            f"data.{setting}: representation {self.name} cannot be varied so; set it "
            "to 0"
        )

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
        """The representation that `to_config` described.

        Args:
            config: Settings by name; those that are absent have their defaults.

        Raises:
            UserError: A setting that this kind does not have, or an impossible value.
        """
        fields = [field.name for field in dataclasses.fields(cls)]
        settings = {k: _tuples(v) for k, v in config.items() if k != "name"}
        for setting in settings:
            choose(f"a setting of representation {cls.name}", setting, fields)
        return cls(**settings)

    def fingerprint(self) -> str:
        """Sixteen hex digits that stand for the settings and what was fitted.

        What is at its default does not count: a setting that is new in some version
        leaves the digits of older data as they are.
        """
        plain = type(self)().to_config()
        config = self.to_config()
        told = {k: v for k, v in config.items() if k == "name" or v != plain[k]}
        text = json.dumps(told, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def grid(self) -> Grid:
        """The grid that the notes are quantised to."""
        return make_grid(self.steps_per_quarter, self.steps_per_second, self.qpm)

    def decode_as_read(self, features: Features) -> NoteSequence:
        """Music at the speed that it was read at, where `decode` has another."""
        return self.decode(features)

    @property
    def decode_grid(self) -> Grid:
        """The grid of decoded music."""
        return self.grid

    @property
    def step_seconds(self) -> float | None:
        """How long a step of the arrays lasts, decoded; None where that varies."""
        return float(self.decode_grid.to_seconds(1))

    @property
    def has_dynamics(self) -> bool:
        """Whether decoded notes have velocities of their own."""
        return False

    @property
    def has_tempos(self) -> bool:
        """Whether decoded music on a beat grid has tempos of its own."""
        return False

    def splice(self, notes: NoteTable, features: Features) -> tuple[float, int]:
        """A moment of decoded music, and the step of the piece that it stands for.

        Args:
            notes: Those of the piece, as `read_notes` gives them.
            features: What they were encoded to.

        Returns:
            Seconds of `decode(features)`, and a step of `grid`.
        """
        del notes, features
        return 0.0, 0

    @property
    def num_keys(self) -> int:
        """Pitches from the lowest to the highest."""
        return self.highest_pitch - self.lowest_pitch + 1

    def voices(self, sequence: NoteSequence) -> np.ndarray | int:
        """Which voice each note of a piece belongs to, on top of its pitch.

        Args:
            sequence: A piece without drums.

        Returns:
            int64 [num_notes], 0 upwards, or 0 for all.
        """
        del sequence
        return 0

    def note_ends(self, sequence: NoteSequence) -> np.ndarray | None:
        """When notes end, where that is not what is written.

        Args:
            sequence: A piece without drums.

        Returns:
            Seconds, float64 [num_notes], or `None`.
        """
        del sequence

    def read_notes(
        self, sequence: NoteSequence
    ) -> tuple[NoteTable, collections.Counter]:
        """The notes that can be encoded, on the grid, each in its voice.

        Returns:
            The notes, and how many others were dropped: `drums`,
            `other_instruments`, `outside_range`.

        Raises:
            EncodeError: There are none, or they last too long.
        """
        drums = wire.columns(sequence, "notes", "is_drum")["is_drum"]
        losses = collections.Counter(drums=np.sum(drums).item())
        if losses["drums"]:
            sequence = without_drums(sequence)
        notes = NoteTable.of(sequence, self.grid, self.note_ends(sequence))
        instruments = notes.voices
        notes = notes.with_columns(voices=self.voices(sequence))
        if self.first_instrument_only and len(notes):
            first = instruments == instruments.min()
            losses["other_instruments"] = np.sum(~first).item()
            notes = notes.take(first)
        inside = (notes.pitches >= self.lowest_pitch) & (
            notes.pitches <= self.highest_pitch
        )
        losses["outside_range"] = np.sum(~inside).item()
        notes = notes.take(inside)
        if not len(notes):
            raise EncodeError(
                "no_notes",
                f"expected notes from pitch {self.lowest_pitch} to "
                f"{self.highest_pitch}, found none; left out: {dict(+losses)}",
            )
        self.check_length(notes.num_steps)
        return notes, +losses

    def check_length(self, num_steps: int) -> None:
        """Refuses a piece of more steps than an encoding may have.

        Raises:
            EncodeError: `too_long`.
        """
        if num_steps > self.max_steps:
            raise EncodeError(
                "too_long",
                f"expected at most {self.max_steps} steps, found {num_steps}; take a "
                "coarser grid or cut the piece",
            )

    def check(self, holds: bool, setting: str, expected: str) -> None:
        """Refuses an impossible setting.

        Raises:
            UserError: `holds` is false.
        """
        if not holds:
            value = getattr(self, setting)
            raise UserError(
                f"representation {self.name}: {setting} is {value!r}; expected "
                f"{expected}"
            )

    def _check_type(self, field: dataclasses.Field) -> None:
        value = getattr(self, field.name)
        if field.type is float and isinstance(value, int):
            # 8 and 8.0 are one setting and must have one fingerprint.
            value = float(value) if abs(value) <= _MOST else math.inf
            object.__setattr__(self, field.name, value)
        if field.type in (bool, int, float, str):
            self.check(type(value) is field.type, field.name, KINDS[field.type])
        if field.type is float:
            self.check(abs(value) <= _MOST, field.name, f"at most {_MOST:,}")
        if field.type is int:
            self.check(abs(value) < 2**31, field.name, f"at most {2**31 - 1:,}")


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that frozen dataclasses hold."""
    if isinstance(value, (list, tuple)):
        return tuple(_tuples(v) for v in value)
    return value
