"""How many bars of a piece are to come, as an array of a representation."""

from collections.abc import Mapping

import numpy as np

from tfmusic.representations.base import FeatureSpec

NAME = "bars_left"
SPECS: Mapping[str, FeatureSpec] = {
    NAME: FeatureSpec(
        (None,),
        "int16",
        "[time]; how many bars begin from this token on, plus 1; an upbeat is no bar; "
        "0: unknown",
    )
}
_MOST = np.iinfo(np.int16).max


def encode_bars_left(begun: np.ndarray) -> dict[str, np.ndarray]:
    """The array of `SPECS`, int16 `[time]`.

    Args:
        begun: How many bars each token begins: -1 for one that says that the first bar
            is an upbeat, and so takes it back.
    """
    left = np.cumsum(begun[::-1])[::-1] + 1
    return {NAME: np.minimum(left, _MOST).astype(np.int16)}
