"""Piano rolls: notes as arrays [time, hand, key] that say which keys sound."""

import abc
import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.representations.base import Features, FeatureSpec, Representation
from tfmusic.representations.note_table import NoteTable, ranges
from tfmusic.representations.variation import Variation, move, stack


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

    Attributes:
        onsets: Whether re-strikes of a sounding key are kept.
        instruments: The hands' names as instruments of decoded music.
    """

    onsets: ClassVar[bool] = True
    instruments: ClassVar[tuple[str, ...]] = ("Piano",)

    @abc.abstractmethod
    def pack(self, sounding: np.ndarray, struck: np.ndarray) -> np.ndarray:
        """The feature from two bool [num_steps, num_hands, num_keys]."""

    @abc.abstractmethod
    def unpack(self, roll: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """What `pack` was given, from any bool array of the feature's shape."""

    def encode_with_losses(
        self, sequence: NoteSequence
    ) -> tuple[Features, collections.Counter]:
        """Encodes a piece as `{"roll": bool array}`; see `Representation.encode`."""
        notes, losses = self._known_notes(sequence)
        rolls = notes_to_roll(
            notes, len(self.instruments), self.lowest_pitch, self.num_keys
        )
        return {"roll": self.pack(*rolls)}, losses

    def decode(self, features: Features) -> NoteSequence:
        """Turns a roll into music; see `roll_to_notes` for what it may hold."""
        rolls = self.unpack(np.asarray(features["roll"], bool))
        notes = roll_to_notes(*rolls, self.lowest_pitch, self.velocity)
        notes = dataclasses.replace(notes, min_steps=len(rolls[0]))
        return notes.to_sequence(self.grid, self.instruments)

    def canonicalize(self, sequence: NoteSequence) -> NoteSequence:
        """The piece as it comes back from encoding."""
        notes, _ = self._known_notes(sequence)
        return notes.with_columns(velocities=self.velocity).to_sequence(
            self.grid, self.instruments
        )

    def transpositions(self, semitones: Sequence[int]) -> Variation:
        """Rolls whose keys are moved; none may leave the keyboard."""
        keys = np.arange(self.num_keys)
        rows = [move(keys, steps, self.num_keys) for steps in semitones]
        return Variation("roll", stack(rows), of="keys")

    def _known_notes(
        self, sequence: NoteSequence
    ) -> tuple[NoteTable, collections.Counter]:
        notes, losses = self.read_notes(sequence)
        notes, more = notes.one_at_a_time() if self.onsets else notes.merged()
        min_steps = int(self.grid.to_steps(sequence, sequence.total_time))
        self.check_length(min_steps)
        return dataclasses.replace(notes, min_steps=min_steps), losses + more


def channel_specs(shape: tuple[int, ...], onsets: bool) -> Mapping[str, FeatureSpec]:
    """The specs of a roll whose channels are sounding and, perhaps, struck.

    Args:
        shape: Sizes of the axes between time and channel.
        onsets: Whether there is a second channel.
    """
    axes = ", ".join(["time", *["hand"] * (len(shape) - 1), "key", "channel"])
    channels = "sounding, struck" if onsets else "sounding"
    doc = f"[{axes}]; channels: {channels}"
    return {"roll": FeatureSpec((None, *shape, 1 + onsets), "bool", doc)}
