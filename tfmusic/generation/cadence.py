"""The chords with which music comes home."""

import numpy as np

NUM_KEYS = 24
_THIRDS = {"major": (4,), "minor": (3, 4)}  # minor music may end in major
_FIFTH = 7


def tonic_triads(token_pitches: np.ndarray) -> np.ndarray:
    """Which chords are the triad on each key's tonic, which lies lowest.

    The fifth may be missing.

    Args:
        token_pitches: Bool `[token, 128]`.

    Returns:
        Bool `[25, token]`: none for 0, no key, then C to B major and C to B minor.
    """
    found = np.zeros((1 + NUM_KEYS, len(token_pitches)), bool)
    for token, sounding in enumerate(token_pitches):
        pitches = np.flatnonzero(sounding)
        if not len(pitches):
            continue
        tonic = pitches[0] % 12
        above = set(((pitches - tonic) % 12).tolist()) - {0, _FIFTH}
        for i, thirds in enumerate(_THIRDS.values()):
            found[1 + 12 * i + tonic, token] = any(above == {third} for third in thirds)
    return found
