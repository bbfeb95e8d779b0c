"""The key of a piece, and whether its parts are in it."""

import numpy as np

from tfmusic.evaluation.note_arrays import NoteArrays, Segments

_WINDOW_QUARTERS, _WINDOW_HOP = 16, 8
_MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
# How well each pitch class fits C major and C minor (Krumhansl and Kessler 1982).
_KRUMHANSL_KESSLER = (
    (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
)


def _profiles() -> np.ndarray:
    """The standardized profile of each key, [24, 12]: C, C sharp, ..., B minor."""
    profiles = np.array(
        [np.roll(mode, tonic) for mode in _KRUMHANSL_KESSLER for tonic in range(12)]
    )
    profiles -= profiles.mean(axis=1, keepdims=True)
    return profiles / np.linalg.norm(profiles, axis=1, keepdims=True)


_PROFILES = _profiles()


def key_of(durations: np.ndarray) -> np.ndarray:
    """The key whose profile correlates best with how long each pitch class sounds.

    Args:
        durations: [..., 12].

    Returns:
        0..11 for major keys from C on, 12..23 for minor ones; int64 [...].
    """
    # The length of `durations`, and their mean as profiles have none, change no order.
    return np.argmax(durations @ _PROFILES.T, axis=-1)


class SoundingTime:
    """How long each pitch class has sounded up to any time."""

    def __init__(self, segments: Segments):
        """Adds up the segments of a piece."""
        padded = np.pad(segments.sounding, ((0, 0), (0, 4)))  # 132 pitches: 11 octaves
        counts = padded.reshape(len(padded), 11, 12).sum(axis=1)
        self._times = segments.quarters
        lengths = np.diff(segments.quarters)[:, np.newaxis]
        total = np.cumsum(counts * lengths, axis=0)
        self._totals = np.concatenate([np.zeros((1, 12)), total])

    def between(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """How long each pitch class sounds within windows, in quarters; [n, 12]."""
        totals = [
            np.stack([np.interp(t, self._times, column) for column in self._totals.T])
            for t in (starts, ends)
        ]
        return (totals[1] - totals[0]).T

    @property
    def end(self) -> float:
        """When the music ends, in quarters."""
        return float(self._times[-1])

    @property
    def total(self) -> np.ndarray:
        """How long each pitch class sounds in the whole piece; [12]."""
        return self._totals[-1]


def tonality(notes: NoteArrays, sounding: SoundingTime) -> dict[str, float]:
    """The keys of a piece, by the labels that tables give the values.

    -   Windows in the home key: of 16 quarters, one every 8; by Krumhansl's profiles,
        as the key of the whole piece.
    -   Notes in one scale: the greatest fraction of the notes that lie in one scale
        (MusPy's scale consistency, after Mogren 2016; a natural minor scale is that of
        a major one).
    -   Entropy of the pitch classes of the notes that begin within a window of 1 and
        of 4 bars, the mean over windows, one every bar (H1 and H4 of Wu and Yang,
        2020). Without a beat a window has 4 and 16 seconds.
    """
    rows = {}
    if sounding.total.any():
        starts = np.arange(
            0, max(sounding.end - _WINDOW_QUARTERS, 0) + 1e-6, _WINDOW_HOP
        )
        durations = sounding.between(starts, starts + _WINDOW_QUARTERS)
        heard = durations.any(axis=1)
        at_home = key_of(durations[heard]) == key_of(sounding.total)
        label = f"windows of {_WINDOW_QUARTERS} {notes.unit} in the home key, %"
        rows[label] = 100 * float(at_home.mean())
    if len(notes.pitch):
        rows["notes in one scale, %"] = 100 * scale_consistency(notes)
        for num_bars in (1, 4):
            name = f"{num_bars} bar" + "s" * (num_bars > 1)
            window = name if notes.has_beat else f"{4 * num_bars} seconds"
            label = f"pitch class entropy within {window}, bits"
            rows[label] = windowed_entropy(notes, num_bars)
    return rows


def scale_consistency(notes: NoteArrays) -> float:
    """The greatest fraction of notes in one scale; see `tonality`."""
    counts = np.bincount(notes.pitch % 12, minlength=12)
    scale = np.isin(np.arange(12), _MAJOR_SCALE)
    scales = np.stack([np.roll(scale, tonic) for tonic in range(12)])
    return float((scales @ counts).max() / counts.sum())


def windowed_entropy(notes: NoteArrays, num_bars: int) -> float:
    """The mean entropy of pitch classes within so many bars, in bits."""
    bars = np.floor(notes.start_quarters / notes.bar_quarters + 1e-6).astype(np.int64)
    counts = np.zeros((bars.max() + 1, 12))
    np.add.at(counts, (bars, notes.pitch % 12), 1)
    num_bars = min(num_bars, len(counts))
    totals = np.concatenate([np.zeros((1, 12)), counts.cumsum(axis=0)])
    windows = totals[num_bars:] - totals[:-num_bars]
    windows = windows[windows.any(axis=1)]
    return float(np.mean([entropy(window) for window in windows]))


def entropy(counts: np.ndarray) -> float:
    """Shannon entropy of a histogram in bits; 0 if it is empty."""
    fractions = counts[counts > 0] / max(counts.sum(), 1)
    return float(abs(fractions @ np.log2(fractions)))
