"""A piano roll for each hand."""

import dataclasses
from typing import ClassVar

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.representations.base import FeatureSpec
from tfmusic.representations.hands import HANDS, hands_of
from tfmusic.representations.rolls import RollRepresentation, channel_spec


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoHandsRoll(RollRepresentation):
    """Which keys each hand plays: "roll", bool [time, hand, key, channel].

    Hand 0 is the right one and hand 1 the left one, told apart by
    `tfmusic.notes.transforms.assign_hands`; channel 0 is sounding, channel 1 struck
    (with `onsets`). Both hands may hold one key. Decoded music has two instruments,
    named so that their hands are found again.

    It cannot express what `RollRepresentation` names, nor voices within a hand.

    Attributes:
        onsets: Whether there is a channel that keeps re-strikes.
        metre: Whether it also holds where in its bar each step lies.
    """

    name: ClassVar[str] = "two_hands_roll"
    instruments: ClassVar[tuple[str, ...]] = HANDS

    onsets: bool = True
    metre: bool = False

    @property
    def roll_spec(self) -> FeatureSpec:
        """Axes [time, hand, key, channel]."""
        return channel_spec((2, self.num_keys), self.onsets)

    @property
    def keep_names(self) -> tuple[str, ...]:
        """The hands."""
        return ("right", "left")

    def voices(self, sequence: NoteSequence) -> np.ndarray:
        """The hand of each note, int64 [num_notes]."""
        return hands_of(sequence)

    def pack(self, sounding: np.ndarray, struck: np.ndarray) -> np.ndarray:
        """Bool [num_steps, 2, num_keys, num_channels]."""
        return np.stack([sounding, struck][: 1 + self.onsets], axis=-1)

    def unpack(self, roll: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Sounding and struck, bool [num_steps, 2, num_keys] each."""
        return roll[..., 0], roll[..., 1] if self.onsets else None
