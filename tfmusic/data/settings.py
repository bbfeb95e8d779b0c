"""What a config's `data` section can say."""

import dataclasses
from typing import Any, ClassVar

from tfmusic.representations import Representation
from tfmusic.representations.variation import EventStretch, Variation
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
        draw_measures: Each training window is drawn by chance, from the first step of a
            random measure of a random piece on, whatever the pieces' lengths; else a
            pass over the data takes windows everywhere in all pieces.
        transpose_semitones: Each training window is moved up or down by up to so many
            semitones.
        transpose_down_semitones: How far down, where that is not as far as up; -1: as
            far.
        stretch: It is made longer or shorter by up to this fraction: by all of it, by
            half of it or not at all, as in Oore et al., "This Time with Feeling", 2018.
        velocity_shift: It is made louder or softer by up to so many MIDI velocities.
    """

    SECTION: ClassVar[str] = "data"

    key: str = setting("original", choices=("original", "C"))
    min_steps: int = setting(1, at_least=1)
    window_steps: int = setting(128, at_least=1)
    window_stride: int = setting(0, at_least=0)
    draw_measures: bool = False
    transpose_semitones: int = setting(0, at_least=0, at_most=64)
    transpose_down_semitones: int = setting(-1, at_least=-1, at_most=64)
    stretch: float = setting(0.0, at_least=0.0, below=0.5)
    velocity_shift: int = setting(0, at_least=0, at_most=126)

    def preparation(self) -> dict[str, Any]:
        """What is done to pieces before they are encoded."""
        return {"key": self.key, "min_steps": self.min_steps}

    def variations(
        self, representation: Representation
    ) -> list[Variation | EventStretch]:
        """The ways in which training windows are varied, one after another.

        Raises:
            UserError: The representation cannot be varied so.
        """
        variations = []
        up, down = self.transpose_semitones, self.transpose_down_semitones
        semitones = _from_to(up if down < 0 else down, up)
        if len(semitones) > 1:
            variations.append(representation.transpositions(semitones))
        if self.stretch:
            factors = [1 + part * self.stretch for part in (0, -1, -0.5, 0.5, 1)]
            variations.append(representation.stretches(factors))
        if self.velocity_shift:
            shifts = _from_to(self.velocity_shift, self.velocity_shift)
            variations.append(representation.velocity_shifts(shifts))
        if conditions := representation.without_conditions():
            variations.append(conditions)
        return variations


def _from_to(down: int, up: int) -> list[int]:
    """0 and then all others from -down to up."""
    return sorted(range(-down, up + 1), key=abs)
