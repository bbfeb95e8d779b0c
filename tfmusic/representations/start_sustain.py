"""Keys that start and keys that go on sounding."""

import dataclasses
from typing import ClassVar

import numpy as np

from tfmusic.representations.base import FeatureSpec
from tfmusic.representations.rolls import RollRepresentation


@dataclasses.dataclass(frozen=True, kw_only=True)
class StartSustain(RollRepresentation):
    """Which keys start and which go on: "roll", bool [time, key, channel].

    Channel 0 is start, channel 1 sustain: (1, 0) where a note begins, (0, 1) while it
    is held, (0, 0) in silence. It is the encoding of experiments 2 to 4 of Carrascosa
    et al. (UPC, 2019); the last of these read the first instrument alone
    (`first_instrument_only`). There a piece ended a step after its last note began and
    pitches off the keyboard came out at its other end; here the last note has its
    length, and notes off the keyboard are left out and counted.

    It cannot express what `RollRepresentation` names, nor who plays which note.

    Decoding takes any array and repairs it as theirs did: sustain after silence is a
    start, and start and sustain together are a start.

    Attributes:
        metre: Whether it also holds where in its bar each step lies.
    """

    name: ClassVar[str] = "start_sustain"

    metre: bool = False

    @property
    def roll_spec(self) -> FeatureSpec:
        """Axes [time, key, channel]."""
        doc = "[time, key, channel]; channels: start, sustain"
        return FeatureSpec((None, self.num_keys, 2), "bool", doc)

    def pack(self, sounding: np.ndarray, struck: np.ndarray) -> np.ndarray:
        """Bool [num_steps, num_keys, 2]."""
        return np.stack([struck, sounding & ~struck], axis=-1)[:, 0]

    def unpack(self, roll: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sounding and struck, bool [num_steps, 1, num_keys] each."""
        roll = roll[:, None]  # [time, hand, key, channel]
        return roll[..., 0] | roll[..., 1], roll[..., 0]
