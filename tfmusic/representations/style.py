"""The tag and the density of a performance, as arrays of a representation."""

from collections.abc import Mapping

import numpy as np

from tfmusic.representations.base import FeatureSpec
from tfmusic.representations.tags import MAX_TAGS

TAG, DENSITY = "plan_tag", "plan_density"
# From how many notes a second on each density is, from number 1 on.
DENSITIES = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0)
SPECS: Mapping[str, FeatureSpec] = {
    TAG: FeatureSpec(
        (None,),
        "int8",
        "[time]; which of the tags the piece has, from 1 on, the same in every step; "
        "0: unknown",
        MAX_TAGS,
    ),
    DENSITY: FeatureSpec(
        (None,),
        "int8",
        "[time]; how many notes a second the piece has, 1: below 2, then below "
        f"{', '.join(f'{bound:g}' for bound in DENSITIES[2:])} and 8: more, the same "
        "in every step; 0: unknown",
        len(DENSITIES),
    ),
}


def density_of(num_notes: int, seconds: float) -> int:
    """The number of a density, 1..8."""
    rate = num_notes / max(seconds, 1e-9)
    return int(np.searchsorted(DENSITIES, rate, "right"))


def encode_style(tag: int, density: int, num_steps: int) -> dict[str, np.ndarray]:
    """The arrays of `SPECS`, int8 `[num_steps]`."""
    return {
        TAG: np.full(num_steps, tag, np.int8),
        DENSITY: np.full(num_steps, density, np.int8),
    }
