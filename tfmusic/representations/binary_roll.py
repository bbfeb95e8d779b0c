"""All hands in one piano roll (system of Boulanger-Lewandowski et al. 2012)."""

import dataclasses
from typing import ClassVar

import numpy as np

from tfmusic.representations.base import FeatureSpec
from tfmusic.representations.rolls import RollRepresentation, channel_spec


@dataclasses.dataclass(frozen=True, kw_only=True)
class BinaryRoll(RollRepresentation):
    """Which keys sound at each step: "roll", bool [time, key, channel].

    Channel 0 is sounding, channel 1 struck (with `onsets`). All instruments play on
    one keyboard. It cannot express what `RollRepresentation` names, nor who plays
    which note.

    Without `onsets` it is the encoding of Boulanger-Lewandowski et al., "Modeling
    Temporal Dependencies in High-Dimensional Sequences", ICML 2012.

    Attributes:
        onsets: Whether there is a channel that keeps re-strikes.
        metre: Whether it also holds where in its bar each step lies.
    """

    name: ClassVar[str] = "binary_roll"

    onsets: bool = True
    metre: bool = False

    @property
    def roll_spec(self) -> FeatureSpec:
        """Axes [time, key, channel]."""
        return channel_spec((self.num_keys,), self.onsets)

    def pack(self, sounding: np.ndarray, struck: np.ndarray) -> np.ndarray:
        """Bool [num_steps, num_keys, num_channels]."""
        channels = [sounding[:, 0], struck[:, 0]][: 1 + self.onsets]
        return np.stack(channels, axis=-1)

    def unpack(self, roll: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Sounding and struck, bool [num_steps, 1, num_keys] each."""
        roll = roll[:, None]  # [time, hand, key, channel]
        return roll[..., 0], roll[..., 1] if self.onsets else None
