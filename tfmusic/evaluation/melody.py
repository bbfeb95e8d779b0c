"""The tune: the notes that are struck as the highest of what sounds."""

import numpy as np

from tfmusic.evaluation.note_arrays import NoteArrays, Segments

# Upper bounds in semitones, inclusive; then "fourths and wider".
_CLASSES = {"repeated notes": 0, "steps": 2, "thirds": 4}
_WIDEST = 12  # of the histogram: wider intervals count as this


def melody_pitches(notes: NoteArrays, segments: Segments) -> np.ndarray:
    """The pitches of the tune in order, int64 [num_notes]."""
    lasting = notes.end_seconds > notes.start_seconds
    strokes, number = np.unique(notes.start_seconds[lasting], return_inverse=True)
    struck = np.zeros(len(strokes), np.int64)
    np.maximum.at(struck, number, notes.pitch[lasting])
    sounding = segments.sounding[segments.struck]
    highest = 127 - np.argmax(sounding[:, ::-1], axis=1)
    return struck[struck == highest]


def melodic_intervals(melody: np.ndarray) -> dict[str, float]:
    """The intervals of a tune, by the labels that tables give the values."""
    sizes = np.abs(np.diff(melody))
    if not len(sizes):
        return {}
    classes = np.searchsorted(list(_CLASSES.values()), sizes)
    fractions = np.bincount(classes, minlength=len(_CLASSES) + 1) / len(sizes)
    names = [*_CLASSES, "fourths and wider"]
    return {
        f"melody: {name}, %": 100 * float(fraction)
        for name, fraction in zip(names, fractions, strict=True)
    }


def interval_histogram(melody: np.ndarray) -> np.ndarray:
    """The fraction of each interval from an octave down to one up, float64 [25]."""
    intervals = np.clip(np.diff(melody), -_WIDEST, _WIDEST) + _WIDEST
    counts = np.bincount(intervals, minlength=2 * _WIDEST + 1)
    return counts / max(counts.sum(), 1)
