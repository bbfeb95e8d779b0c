"""What a config's `data` section can say."""

import dataclasses
from typing import ClassVar

from tfmusic.settings import Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSettings(Settings):
    """How pieces are prepared, cut into windows and varied.

    Attributes:
        key: "original", or "C": each piece is moved to C major or A minor.
        min_steps: Shorter pieces, in steps of the representation, are dropped by the
            job that writes the dataset.
        window_steps: Steps that a training window reads.
        window_stride: Steps between the starts of windows; 0: `window_steps`.
        window_align_steps: Windows begin at multiples of this, such as the steps of a
            bar; the stride has to be one.
        transpose_semitones: Each training window is moved up or down by up to so many
            semitones.
        stretch: It is made longer or shorter by up to this fraction.
        velocity_shift: It is made louder or softer by up to so many MIDI velocities.
    """

    SECTION: ClassVar[str] = "data"

    key: str = setting("original", choices=("original", "C"))
    min_steps: int = setting(1, at_least=1)
    window_steps: int = setting(128, at_least=1)
    window_stride: int = setting(0, at_least=0)
    window_align_steps: int = setting(1, at_least=1)
    transpose_semitones: int = setting(0, at_least=0, at_most=64)
    stretch: float = setting(0.0, at_least=0.0, below=1.0)
    velocity_shift: int = setting(0, at_least=0, at_most=127)
