"""How much music is left after encoding and decoding: notes, dynamics, pedals."""

import numpy as np

from tfmusic.notes import NoteSequence, wire
from tfmusic.representations.events import PEDALS

TOLERANCES_MS = (25, 50)
_PEDAL_NAMES = ("damper", "sostenuto", "soft")
# The published measure of duration is relative to a note's length; of velocity, 0..127.


class ReconstructionTotal:
    """Adds up over pieces what came back and what did not.

    A note came back if one of the same pitch begins within a tolerance of it, each
    counting once. The other errors are means over the notes that came back within the
    widest tolerance; those of pedals means over time of how far the value, 0..127, is
    off.
    """

    def __init__(self):
        self.num_pieces = 0
        self._hits = dict.fromkeys(TOLERANCES_MS, 0)
        self._num_notes, self._num_found, self._seconds = 0, 0, 0.0
        self._errors = np.zeros(3)  # velocity, duration, duration as a share
        self._pedals = np.zeros(len(PEDALS))
        self._down = np.zeros(3)  # damper down in both, in the original, as it came

    def update(self, original: NoteSequence, reconstructed: NoteSequence) -> None:
        """Adds a piece, on the same clock before and after."""
        true, found = _notes(original), _notes(reconstructed)
        self.num_pieces += 1
        self._num_notes += len(true)
        self._num_found += len(found)
        for tolerance in TOLERANCES_MS:
            pairs = match_notes(true, found, tolerance / 1000)
            self._hits[tolerance] += len(pairs)
        old, new = true[pairs[:, 0]], found[pairs[:, 1]]
        durations = np.abs(new[:, _DURATION] - old[:, _DURATION])
        self._errors += [
            np.abs(new[:, _VELOCITY] - old[:, _VELOCITY]).sum(),
            durations.sum(),
            (durations / np.maximum(old[:, _DURATION], 1e-3)).sum(),
        ]
        self._add_pedals(original, reconstructed)

    def _add_pedals(self, original: NoteSequence, reconstructed: NoteSequence) -> None:
        end = max(original.total_time, reconstructed.total_time)
        self._seconds += end
        for i, number in enumerate(PEDALS):
            curves = [_curve(s, number) for s in (original, reconstructed)]
            cuts = np.unique(np.concatenate([[0.0, end], *(t for t, _ in curves)]))
            cuts = cuts[cuts <= end]
            values = [v[np.searchsorted(t, cuts[:-1], "right") - 1] for t, v in curves]
            lengths = np.diff(cuts)
            self._pedals[i] += np.abs(values[0] - values[1]) @ lengths
            if number == PEDALS[0]:
                true, found = (v >= 64 for v in values)
                self._down += [w @ lengths for w in (true & found, true, found)]

    def result(self) -> dict[str, float]:
        """Precision, recall and F1 of notes for each tolerance, and the errors."""
        result = {"num_pieces": self.num_pieces, "num_notes": self._num_notes}
        for tolerance, hits in self._hits.items():
            result[f"note_precision_{tolerance}ms"] = hits / max(self._num_found, 1)
            result[f"note_recall_{tolerance}ms"] = hits / max(self._num_notes, 1)
            both = max(self._num_notes + self._num_found, 1)
            result[f"note_f1_{tolerance}ms"] = 2 * hits / both
        velocity, duration, share = self._errors / max(hits, 1)
        result["velocity_error"] = velocity
        result["duration_error_seconds"] = duration
        result["duration_error_share"] = share
        for name, error in zip(_PEDAL_NAMES, self._pedals, strict=True):
            result[f"{name}_error"] = error / max(self._seconds, 1e-9)
        both, true, found = self._down
        result["damper_f1"] = 2 * both / max(true + found, 1e-9)
        return {
            name: v if isinstance(v, int) else float(v) for name, v in result.items()
        }


_PITCH, _START, _DURATION, _VELOCITY = range(4)


def _notes(sequence: NoteSequence) -> np.ndarray:
    """Notes in order of pitch and start, float64 [num_notes, 4]."""
    names = ("pitch", "start_time", "end_time", "velocity")
    columns = wire.columns(sequence, "notes", *names)
    pitches, starts, ends, velocities = (columns[name] for name in names)
    notes = np.stack([pitches, starts, ends - starts, velocities], axis=-1)
    return notes[np.lexsort((starts, pitches))].astype(np.float64)


def match_notes(true: np.ndarray, found: np.ndarray, seconds: float) -> np.ndarray:
    """Pairs notes of equal pitch whose starts are close; as many as there can be.

    Args:
        true: In order of pitch and start, float64 [n, 4]: pitch, start and others.
        found: Likewise, [m, 4].
        seconds: How far apart the starts may be.

    Returns:
        Which of each make a pair, int64 [num_pairs, 2].
    """
    # In order of start, the earliest that fits is never the wrong one to take.
    pairs = []
    i, j = 0, 0
    true_keys, found_keys = true[:, :2].tolist(), found[:, :2].tolist()
    tolerance = seconds + 1e-9
    while i < len(true_keys) and j < len(found_keys):
        (pitch, start), (other_pitch, other_start) = true_keys[i], found_keys[j]
        if pitch != other_pitch:
            i, j = (i + 1, j) if pitch < other_pitch else (i, j + 1)
        elif abs(start - other_start) <= tolerance:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif start < other_start:
            i += 1
        else:
            j += 1
    return np.array(pairs, np.int64).reshape(-1, 2)


def _curve(sequence: NoteSequence, number: int) -> tuple[np.ndarray, np.ndarray]:
    """When a pedal's value changes, from 0 on, and to what; float64 [n] each."""
    names = ("time", "control_number", "control_value")
    columns = wire.columns(sequence, "control_changes", *names)
    rows = np.flatnonzero(columns["control_number"] == number)
    rows = rows[np.argsort(columns["time"][rows], kind="stable")]
    times = np.concatenate([[0.0], columns["time"][rows]])
    values = np.concatenate([[0.0], columns["control_value"][rows]])
    return times, values
