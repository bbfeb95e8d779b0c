"""How many bars of a piece are to come, as an array of a representation."""

from collections.abc import Mapping

import numpy as np

from tfmusic.representations.base import FeatureSpec

NAME = "bars_left"
SPECS: Mapping[str, FeatureSpec] = {
    NAME: FeatureSpec(
        (None,),
        "int16",
        "[time]; how many bars begin from this token on, plus 1; 0: unknown",
    )
}
_MOST = np.iinfo(np.int16).max


def encode_bars_left(is_bar: np.ndarray) -> dict[str, np.ndarray]:
    """The array of `SPECS`, int16 `[time]`, of tokens that begin a bar or do not."""
    left = np.cumsum(is_bar[::-1])[::-1] + 1
    return {NAME: np.minimum(left, _MOST).astype(np.int16)}
