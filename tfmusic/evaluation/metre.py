"""Whether music has a beat that one hears."""

import numpy as np

from tfmusic.evaluation.note_arrays import NoteArrays
from tfmusic.evaluation.voices import STEPS_PER_QUARTER, VoiceGrid
from tfmusic.notes.grid import round_steps

# A move of so many of four voices is what one taps one's foot to.
_MIN_MOVING = 3
_WINDOW_STEPS, _WINDOW_HOP = 8 * STEPS_PER_QUARTER, 4 * STEPS_PER_QUARTER
_MIN_MOVES, _CLEAR = 3, 0.65
# MusPy's own resolution: its values depend on it.
_TICKS_PER_QUARTER = 24
_PHASES = 4  # sixteenths of a quarter


def metre(notes: NoteArrays, voices: VoiceGrid | None) -> dict[str, float]:
    """The metre of a piece with a beat, by the labels that tables give the values.

    -   The voices move on the beat: of the eighths at which 3 or more of 4 voices
        change their pitch, those that are a whole number of quarters apart, the
        greater part. By chance it is 50 %.
    -   A stretch of 8 quarters, one every 4, has a clear beat if that is at least 65 %
        of its moves. Stretches with fewer than 3 moves do not count.
    -   Notes begin on the beat: of the four sixteenths of a quarter, the one on which
        most notes begin. By chance it is 25 %.
    -   Rhythm kept: `groove_consistency`.
    """
    rows = {}
    if voices is not None:
        moving = np.sum(voices.pitch[1:] != voices.pitch[:-1], axis=1) >= _MIN_MOVING
        if moving.any():
            on_beat = 100 * _on_beat(moving)
            rows["3 or more voices move on the beat, %"] = on_beat
        windows = [
            moving[start : start + _WINDOW_STEPS]
            for start in range(0, max(len(moving) - _WINDOW_STEPS, 0) + 1, _WINDOW_HOP)
        ]
        clear = [_on_beat(w) >= _CLEAR for w in windows if w.sum() >= _MIN_MOVES]
        if clear:
            unclear = 100 * (1 - np.mean(clear))
            rows["stretches of 8 quarters without a clear beat, %"] = float(unclear)
    if len(notes.pitch):
        phases = round_steps(notes.start_quarters * _PHASES) % _PHASES
        share = np.bincount(phases, minlength=_PHASES).max() / len(phases)
        rows["notes that begin on the beat, %"] = 100 * float(share)
    consistency = groove_consistency(notes)
    if consistency is not None:
        rows["rhythm kept from bar to bar, 0 to 1"] = consistency
    return rows


def _on_beat(moving: np.ndarray) -> float:
    """The greater of the fractions of moves on even and on odd eighths."""
    even = moving[::STEPS_PER_QUARTER].sum() / moving.sum()
    return float(max(even, 1 - even))


def groove_consistency(notes: NoteArrays) -> float | None:
    """How much the onsets of a bar are those of the bar before.

    One minus the mean Hamming distance of neighbouring bars, each a vector of 24
    places a quarter that says where notes begin (Wu and Yang, "The Jazz Transformer on
    the front line", ISMIR 2020, as MusPy computes it). None for fewer than two bars.
    """
    bar = max(round(notes.bar_quarters * _TICKS_PER_QUARTER), 1)
    end = round_steps(notes.end_quarters.max(initial=0) * _TICKS_PER_QUARTER)
    num_bars = int(end) // bar + 1
    if num_bars < 2 or not len(notes.pitch):
        return None
    onsets = np.zeros(num_bars * bar, bool)
    onsets[round_steps(notes.start_quarters * _TICKS_PER_QUARTER)] = True
    bars = onsets.reshape(num_bars, bar)
    return float(np.mean(bars[1:] == bars[:-1]))
