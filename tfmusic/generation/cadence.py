"""The two chords with which music comes home."""

import numpy as np

NUM_KEYS = 24
_MAJOR, _MINOR, _FIFTH, _SEVENTH = 4, 3, 7, 10


def dominants(token_pitches: np.ndarray) -> np.ndarray:
    """Which chords are the dominant of each key, with its root below.

    A major triad or dominant seventh a fifth above the tonic; its fifth may be missing.

    Args:
        token_pitches: Bool `[token, 128]`.

    Returns:
        Bool `[25, token]`: none for 0, no key, then C to B major and C to B minor.
    """
    is_dominant = _above_root(token_pitches, [{_MAJOR}, {_MAJOR, _SEVENTH}])
    rows = np.roll(is_dominant, -_FIFTH, axis=0)
    return np.concatenate([np.zeros_like(rows[:1]), rows, rows])


def tonics(token_pitches: np.ndarray) -> np.ndarray:
    """Which chords are the triad on the tonic of each key, likewise.

    Music in minor may end with a major triad.
    """
    major = _above_root(token_pitches, [{_MAJOR}])
    either = _above_root(token_pitches, [{_MAJOR}, {_MINOR}])
    return np.concatenate([np.zeros_like(major[:1]), major, either])


def _above_root(token_pitches: np.ndarray, wanted: list[set[int]]) -> np.ndarray:
    """Which chords have such intervals above the lowest pitch, bool `[12, token]`.

    The rows are the pitch classes of that; fifths and doublings do not count.
    """
    found = np.zeros((12, len(token_pitches)), bool)
    for token, sounding in enumerate(token_pitches):
        pitches = np.flatnonzero(sounding)
        if len(pitches):
            above = set(((pitches - pitches[0]) % 12).tolist()) - {0, _FIFTH}
            found[pitches[0] % 12, token] = above in wanted
    return found
