"""Piano rolls: notes as arrays [time, hand, key] that say which keys sound."""

import abc
import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.representations import metre
from tfmusic.representations.base import Features, FeatureSpec, Representation
from tfmusic.representations.note_table import NoteTable, ranges
from tfmusic.representations.variation import Variation, move, stack

# Voices that are the highest or the lowest key of a step.
OUTER_VOICES = ("soprano", "bass")


def notes_to_roll(
    notes: NoteTable, num_voices: int, lowest_pitch: int, num_keys: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which keys sound and which are struck at each step.

    Args:
        notes: Of voices 0..num_voices - 1, within the keyboard.
        num_voices: Hands.
        lowest_pitch: MIDI number of key 0.
        num_keys: Keys of the keyboard.

    Returns:
        Sounding and struck, bool [num_steps, num_voices, num_keys] each.
    """
    shape = (notes.num_steps, num_voices, num_keys)
    keys = notes.voices * num_keys + notes.pitches - lowest_pitch
    lengths = notes.ends - notes.starts
    steps = np.repeat(notes.starts, lengths) + ranges(lengths)
    sounding = np.zeros(shape, bool)
    sounding.reshape(-1)[steps * (num_voices * num_keys) + np.repeat(keys, lengths)] = 1
    struck = np.zeros(shape, bool)
    struck.reshape(-1)[notes.starts * (num_voices * num_keys) + keys] = 1
    return sounding, struck


def roll_to_notes(
    sounding: np.ndarray, struck: np.ndarray | None, lowest_pitch: int, velocity: int
) -> NoteTable:
    """The notes of a roll, whatever it holds.

    A key that begins to sound begins a note, struck or not. A key that is struck
    while it sounds begins another one. Where a key does not sound, `struck` means
    nothing.

    Args:
        sounding: Bool [num_steps, num_voices, num_keys].
        struck: Bool of the same shape, or None where re-strikes are unknown.
        lowest_pitch: MIDI number of key 0.
        velocity: Of all notes.

    Returns:
        The notes in order of voice, pitch and start.
    """
    num_steps, num_voices, num_keys = sounding.shape
    shape = (num_steps, num_voices * num_keys)
    sounding = sounding.reshape(shape)  # [time, voice * key]
    silence = np.zeros((1, shape[1]), bool)
    begins = sounding & ~np.concatenate([silence, sounding[:-1]])
    if struck is not None:
        begins |= sounding & struck.reshape(shape)
    # A note's last step is followed by silence or by another note.
    lasts = sounding.copy()
    lasts[:-1] &= ~sounding[1:] | begins[1:]
    starts, keys = _nonzero_by_key(begins)
    ends, _ = _nonzero_by_key(lasts)
    return NoteTable(
        voices=keys // num_keys,
        pitches=keys % num_keys + lowest_pitch,
        starts=starts,
        ends=ends + 1,
        velocities=np.full(len(keys), velocity, np.int64),
    )


def _nonzero_by_key(roll: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps and keys of the ones of a roll [time, key], in order of key and step."""
    # A flat search is several times as fast as one for pairs of indices.
    steps, keys = np.divmod(np.flatnonzero(roll), roll.shape[1])
    order = np.argsort(keys, kind="stable")
    return steps[order], keys[order]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RollRepresentation(Representation):
    """An encoding as one array "roll" whose cells are steps of keys.

    Kinds say how sounding and struck keys become channels, and back. A step is a step
    of the grid, and the roll ends where the piece does: with its last note, or with
    the silence after it that `total_time` leaves.

    Beyond what no kind holds, a roll cannot express: two notes at once on one key of
    one hand (the longer stays: loss `unisons`, or the older ends: `cut_notes`), and
    a piece of silence alone. Without onsets, notes of one key that touch or overlap
    are one note (`merged_restrikes`).

    With `metre` the place of each step in its bar is held too, as far as bars are
    concerned: decoding writes a time signature wherever bars begin anew (see
    `metre.add_signatures`). So 6/8 comes back as 3/4 and 2/2 as 4/4; a bar that is no
    whole number of steps long comes back as bars that differ by one step.

    Attributes:
        onsets: Whether re-strikes of a sounding key are kept.
        metre: Whether there are the arrays of `metre.SPECS`.
        instruments: The hands' names as instruments of decoded music.
    """

    onsets: ClassVar[bool] = True
    metre: ClassVar[bool] = False
    instruments: ClassVar[tuple[str, ...]] = ("Piano",)

    def __post_init__(self):
        super().__post_init__()
        self.check(
            self.steps_per_quarter > 0 or not self.metre,
            "steps_per_quarter",
            "1 or more with metre: bars need a grid that follows the beat",
        )

    @property
    @abc.abstractmethod
    def roll_spec(self) -> FeatureSpec:
        """What the roll is."""

    @property
    def feature_specs(self) -> Mapping[str, FeatureSpec]:
        """The roll and, with `metre`, two numbers for each step."""
        return {"roll": self.roll_spec, **(metre.SPECS if self.metre else {})}

    @abc.abstractmethod
    def pack(self, sounding: np.ndarray, struck: np.ndarray) -> np.ndarray:
        """The feature from two bool [num_steps, num_hands, num_keys]."""

    @abc.abstractmethod
    def unpack(self, roll: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """What `pack` was given, from any bool array of the feature's shape."""

    def encode_with_losses(
        self, sequence: NoteSequence
    ) -> tuple[Features, collections.Counter]:
        """Encodes a piece; see `Representation.encode`.

        Raises:
            EncodeError: `no_notes`, `too_long`, or with metre `bar_too_long`.
        """
        notes, losses = self._known_notes(sequence)
        rolls = notes_to_roll(
            notes, len(self.instruments), self.lowest_pitch, self.num_keys
        )
        roll = self.pack(*rolls)
        return {"roll": roll, **self._bars(sequence, len(roll))}, losses

    def decode(self, features: Features) -> NoteSequence:
        """Turns arrays into music; see `roll_to_notes` for what a roll may hold."""
        rolls = self.unpack(np.asarray(features["roll"], bool))
        notes = roll_to_notes(*rolls, self.lowest_pitch, self.velocity)
        notes = dataclasses.replace(notes, min_steps=len(rolls[0]))
        return self._to_sequence(notes, features)

    @property
    def keep_names(self) -> tuple[str, ...]:
        """The outer voices, which are found by their place among the keys."""
        return OUTER_VOICES

    def open_notes(self, features: Features, is_open: np.ndarray) -> NoteTable:
        """The notes of some cells `[time, hand, key]` alone."""
        sounding, struck = self.unpack(np.asarray(features["roll"], bool))
        return roll_to_notes(
            sounding & is_open, struck, self.lowest_pitch, self.velocity
        )

    def canonicalize(self, sequence: NoteSequence) -> NoteSequence:
        """The piece as it comes back from encoding."""
        notes, _ = self._known_notes(sequence)
        notes = notes.with_columns(velocities=self.velocity)
        return self._to_sequence(notes, self._bars(sequence, notes.num_steps))

    def transpositions(self, semitones: Sequence[int]) -> Variation:
        """Rolls whose keys are moved; none may leave the keyboard."""
        keys = np.arange(self.num_keys)
        rows = [move(keys, steps, self.num_keys) for steps in semitones]
        return Variation("roll", stack(rows), of="keys")

    def _bars(self, sequence: NoteSequence, num_steps: int) -> Features:
        if not self.metre:
            return {}
        return metre.encode_bars(sequence, self.grid, 0, num_steps)

    def _to_sequence(self, notes: NoteTable, features: Features) -> NoteSequence:
        sequence = notes.to_sequence(self.grid, self.instruments)
        if self.metre:
            metre.add_signatures(sequence, self.grid, features)
        return sequence

    def _known_notes(
        self, sequence: NoteSequence
    ) -> tuple[NoteTable, collections.Counter]:
        notes, losses = self.read_notes(sequence)
        notes, more = notes.one_at_a_time() if self.onsets else notes.merged()
        min_steps = int(self.grid.to_steps(sequence, sequence.total_time))
        self.check_length(min_steps)
        return dataclasses.replace(notes, min_steps=min_steps), losses + more


def channel_spec(shape: tuple[int, ...], onsets: bool) -> FeatureSpec:
    """The spec of a roll whose channels are sounding and, perhaps, struck.

    Args:
        shape: Sizes of the axes between time and channel.
        onsets: Whether there is a second channel.
    """
    axes = ", ".join(["time", *["hand"] * (len(shape) - 1), "key", "channel"])
    channels = "sounding, struck" if onsets else "sounding"
    doc = f"[{axes}]; channels: {channels}"
    return FeatureSpec((None, *shape, 1 + onsets), "bool", doc)
