"""Keys that play and keys that are struck, and the place in the bar (biaxial LSTM)."""

import dataclasses
from typing import ClassVar

import numpy as np

from tfmusic.representations.base import FeatureSpec
from tfmusic.representations.rolls import RollRepresentation


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlayArticulate(RollRepresentation):
    """The state of every key at each step, and where in its bar the step lies.

    "roll", bool [time, pitch, channel]: channel 0 is play, channel 1 articulate: (1, 1)
    where a note begins, (1, 0) while it is held, (0, 0) in silence. "bar_position",
    int16 [time]: steps since the bar line. "bar_length", int16 [time]: steps of the
    whole bar, also where a change of metre cuts it short.

    The state matrix is that of Johnson, "Composing Music With Recurrent Neural
    Networks", 2015, and of the systems after it, with pitches 24..101
    (`lowest_pitch=24, highest_pitch=101`). These stopped reading at every metre but
    2/x and 4/x, lost notes shorter than a step and counted sixteenths from the
    beginning instead of from the bar line; here all metres are read, each note lasts
    at least a step, a key that goes up and down within a step is struck again, and
    the place in the bar is the true one.

    It cannot express what `RollRepresentation` names, nor who plays which note.

    Decoding takes any arrays. Play without articulate, after silence, begins a note;
    articulate without play means nothing.

    Attributes:
        play_only: Leave out channel 1, for data that does not tell re-strikes from
            held notes; these are then one note (loss `merged_restrikes`).
    """

    name: ClassVar[str] = "play_articulate"
    metre: ClassVar[bool] = True

    play_only: bool = False

    @property
    def onsets(self) -> bool:
        """Whether re-strikes are kept."""
        return not self.play_only

    @property
    def roll_spec(self) -> FeatureSpec:
        """Axes [time, pitch, channel]."""
        channels = "play" if self.play_only else "play, articulate"
        doc = f"[time, pitch, channel]; channels: {channels}"
        return FeatureSpec((None, self.num_keys, 1 + self.onsets), "bool", doc)

    def pack(self, sounding: np.ndarray, struck: np.ndarray) -> np.ndarray:
        """Bool [num_steps, num_pitches, num_channels]."""
        channels = [sounding[:, 0], struck[:, 0]][: 1 + self.onsets]
        return np.stack(channels, axis=-1)

    def unpack(self, roll: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Sounding and struck, bool [num_steps, 1, num_pitches] each."""
        roll = roll[:, None]  # [time, hand, pitch, channel]
        return roll[..., 0], roll[..., 1] if self.onsets else None
