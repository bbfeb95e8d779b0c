"""Music that lies beside the beat that its file says, and how to move it onto it.

Much music is played on a grid that its file knows nothing of: a recording begins
after any silence, so that all notes come, say, a tenth of a quarter late, or a beat
stands where the file has the second sixteenth. (Of POP909 that is nearly every song.)
On a grid of beats such notes fall between the places, now to one, now to the other.
"""

import numpy as np

from tfmusic.notes import NoteSequence, repairs, wire
from tfmusic.notes.grid import TempoMap, metres

_PLACES = 4  # of a quarter: sixteenths
# The mean vector of all onsets within a sixteenth: 1 of those that lie alike in all, 0
# of those that lie anywhere. What is played freely, or in triplets, has less.
_LEAST_ON_GRID = 0.5
_SMALLEST_MOVE = 1 / 48  # of a quarter: a quarter of a step of the finest grid
# So many times as much as the file's beat must a sixteenth bear to be the beat instead:
# where all notes lie beside the file's sixteenths its beats say little, else much. Of
# 288 files of piano-midi.de in sixteenths one is moved; of 111 whose notes were all put
# a tenth of a quarter later, 106 come back to where they were, bars and all.
_BESIDE, _ON_GRID = 1.5, 4.0
_LONGEST_WEIGHT = 2.0  # quarters: what is held longer says no more of the beat
_FEWEST_NOTES = 64
_TIMED = (
    "tempos",
    "time_signatures",
    "key_signatures",
    "control_changes",
    "pitch_bends",
    "text_annotations",
)


def beat_offset(sequence: NoteSequence) -> tuple[float, float]:
    """How long after a bar line of the file the music's own comes.

    Found by where notes begin: first within a sixteenth, then which sixteenth bears
    most, then which beat of a bar does. Notes weigh by their length, and the lowest of
    those that begin together twice as much.

    Args:
        sequence: Music of a MIDI file; scores, and what a program made, are right.

    Returns:
        In quarters, from half a bar before to half a bar after, and the length of a
        bar; 0 if the file is right, or if that cannot be told.
    """
    tempo_map = TempoMap.of(sequence)
    first, numerator, denominator = metres(sequence, tempo_map)[0]
    bar_quarters = 4 * numerator / denominator
    notes = wire.columns(sequence, "notes", "start_time", "end_time", "pitch")
    starts = tempo_map.to_quarters(notes["start_time"])
    lengths = tempo_map.to_quarters(notes["end_time"]) - starts
    is_midi = sequence.source_info.encoding_type == NoteSequence.SourceInfo.MIDI
    # Who writes an upbeat knows the bars.
    if not is_midi or first < 0 or len(starts) < _FEWEST_NOTES:
        return 0.0, bar_quarters
    vector = np.exp(2j * np.pi * _PLACES * starts).mean()
    if abs(vector) < _LEAST_ON_GRID:
        return 0.0, bar_quarters
    offset = float(np.angle(vector)) / (2 * np.pi * _PLACES)
    offset = offset if abs(offset) >= _SMALLEST_MOVE else 0.0
    steps = np.round((starts - offset) * _PLACES).astype(np.int64)
    weights = np.minimum(lengths, _LONGEST_WEIGHT) * _lowest(steps, notes["pitch"])
    place = _heaviest(steps, weights, _PLACES, _BESIDE if offset else _ON_GRID)
    if (place or offset) and bar_quarters == int(bar_quarters):
        on_beat = (steps - place) % _PLACES == 0
        beats = (steps[on_beat] - place) // _PLACES
        times = 1.0 if place else _BESIDE
        offset += _heaviest(beats, weights[on_beat], int(bar_quarters), times)
    offset += place / _PLACES
    return (offset + bar_quarters / 2) % bar_quarters - bar_quarters / 2, bar_quarters


def _lowest(steps: np.ndarray, pitches: np.ndarray) -> np.ndarray:
    """2 for the lowest note of each step, 1 for the others."""
    order = np.lexsort((pitches, steps))
    is_first = np.diff(steps[order], prepend=steps.min() - 1) > 0
    factors = np.ones(len(steps))
    factors[order[is_first]] = 2
    return factors


def _heaviest(
    places: np.ndarray, weights: np.ndarray, number: int, times: float
) -> int:
    """Which of a number of places bears most, if so many times as much as the first."""
    sums = np.bincount(places % number, weights, minlength=number)
    best = int(np.argmax(sums))
    return best if sums[best] > times * sums[0] else 0


def onto_beat(sequence: NoteSequence) -> NoteSequence:
    """The same music with its beats where its file says that beats are.

    All of it comes so much earlier, or later where it has no silence to begin with.
    Music without a beat, and music whose file is right, is given back as it is.
    """
    offset, bar_quarters = beat_offset(sequence)
    if not offset:
        return sequence
    repairs.count("pieces beside the beat of their file, moved onto it")
    tempo_map = TempoMap.of(sequence)
    changes = [note.start_time for note in sequence.notes]
    changes += [time for time in tempo_map.seconds.tolist() if time]
    if float(tempo_map.to_quarters(min(changes))) < offset - _SMALLEST_MOVE:
        offset -= bar_quarters
    return _moved(sequence, -offset * 60 / tempo_map.qpm[0])


def _moved(sequence: NoteSequence, seconds: float) -> NoteSequence:
    """All later, or earlier; what stands at the beginning stays there."""
    result = NoteSequence()
    result.CopyFrom(sequence)
    for note in result.notes:
        note.start_time = max(note.start_time + seconds, 0.0)
        note.end_time += seconds
    for field in _TIMED:
        for event in getattr(result, field):
            event.time = max(event.time + seconds, 0.0) if event.time > 0 else 0.0
    result.total_time += seconds
    return result
