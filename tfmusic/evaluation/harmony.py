"""How music of chords moves on and how it ends."""

import numpy as np

from tfmusic.evaluation.voices import STEPS_PER_QUARTER, starts_of_runs

# Pitch classes above the root.
_TRIADS = ((0, 4, 7), (0, 3, 7))
_DOMINANTS = ((0, 4, 7), (0, 4), (0, 4, 7, 10), (0, 4, 10))
_CHORDS = (
    *_TRIADS,
    (0, 3, 6),
    (0, 4, 8),
    (0, 4, 7, 10),
    (0, 3, 7, 10),
    (0, 4, 7, 11),
    (0, 3, 6, 10),
    (0, 3, 6, 9),
)
_HELD_STEPS = round(1.5 * STEPS_PER_QUARTER)
_STEPS_PER_16_BARS = 16 * 4 * STEPS_PER_QUARTER


def _code(classes: np.ndarray) -> np.ndarray:
    """Sets of pitch classes, bool [..., 12], as numbers of twelve bits."""
    return classes @ (1 << np.arange(12))


def _codes(*chords: tuple[int, ...]) -> np.ndarray:
    """The numbers of chords on the root C."""
    return np.array([sum(1 << step for step in chord) for chord in chords])


_CHORD_CODES = np.unique(
    [
        _code(np.roll(np.isin(np.arange(12), c), root))
        for c in _CHORDS
        for root in range(12)
    ]
)


def pitch_classes(frames: np.ndarray) -> np.ndarray:
    """The pitch classes of pitches, bool [num_frames, 128] to [num_frames, 12]."""
    padded = np.pad(frames, ((0, 0), (0, 132 - frames.shape[1])))
    return padded.reshape(len(frames), 11, 12).any(axis=1)


def is_chordal(frames: np.ndarray) -> bool:
    """Whether three pitch classes sound in most of the frames in which any does."""
    counts = pitch_classes(frames).sum(axis=1)
    return bool(2 * np.sum(counts >= 3) > np.sum(counts > 0))


def harmony(frames: np.ndarray) -> dict[str, float]:
    """The chords of a piece, by the labels that tables give the values.

    Args:
        frames: What sounds at each eighth; see `voices.sounding_frames`. Chords are
            frames of three pitch classes and more.
    """
    rows = {}
    classes = pitch_classes(frames)
    chords = classes[classes.sum(axis=1) >= 3]
    if is_chordal(frames):
        known = np.isin(_code(chords), _CHORD_CODES)
        rows["triads and seventh chords, % of chords"] = 100 * float(known.mean())
    if len(frames):
        starts = starts_of_runs(frames)
        lengths = np.diff(starts, append=len(frames))
        held = (lengths >= _HELD_STEPS) & frames[starts].any(axis=1)
        per_16_bars = held.sum() / len(frames) * _STEPS_PER_16_BARS
        label = "chords held 1.5 quarters or more, per 16 bars"
        rows[label] = float(per_16_bars)
    return rows


def ending(frames: np.ndarray, tonic: int) -> dict[str, float]:
    """How a piece ends, by the labels that tables give the values: 0 or 100 each.

    -   On a root-position triad: the pitch classes of the last chord are a major or
        minor triad, and its root is the lowest pitch.
    -   On the tonic: the lowest pitch of the last chord is the tonic.
    -   V-I: the chord before the last is a major triad or a dominant seventh, a fifth
        above the lowest pitch of the last; it may lack its own fifth.

    Args:
        frames: What sounds at each eighth; see `voices.sounding_frames`.
        tonic: The pitch class of the piece's tonic.
    """
    sounding = frames[frames.any(axis=1)]
    if not len(sounding):
        return {}
    chords = sounding[starts_of_runs(sounding)]
    root = int(np.argmax(chords[-1])) % 12
    rows = {"ends on the tonic, %": 100.0 * (root == tonic)}
    if is_chordal(frames):
        classes = pitch_classes(chords[-2:])
        is_triad = _code(np.roll(classes[-1], -root)) in _codes(*_TRIADS)
        before = _code(np.roll(classes[0], -root - 7)) in _codes(*_DOMINANTS)
        is_cadence = before and len(classes) == 2
        rows["ends on a root-position triad, %"] = 100.0 * is_triad
        rows["last two chords V-I, %"] = 100.0 * is_cadence
    return rows
