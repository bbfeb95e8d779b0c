"""The key of a piece, by music21's key analysis, and what follows from it."""

import dataclasses

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import TempoMap
from tfmusic.notes.transforms import transpose

_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
_TONIC_WITHOUT_ACCIDENTALS = {"major": 0, "minor": 9}


@dataclasses.dataclass(frozen=True)
class Key:
    """A key.

    Attributes:
        tonic: Pitch class 0..11, C being 0.
        mode: `"major"` or `"minor"`.
        correlation: How well the piece fits, -1..1.
    """

    tonic: int
    mode: str
    correlation: float


def best_key(sequence: NoteSequence) -> Key:
    """The key that fits the durations of the pitch classes best.

    music21's analysis of a whole piece sums the durations, in quarters, by pitch
    class; it gets one note for each here, which gives the same answer far sooner.
    Drums do not count.

    Raises:
        ValueError: There are no notes.
    """
    # A second to import, and few who read music ask for its key.
    from music21 import note, stream

    notes = [n for n in sequence.notes if not n.is_drum]
    if not notes:
        raise ValueError("expected notes to find a key from, found none")
    spans = TempoMap.of(sequence).to_quarters(
        np.array([(n.start_time, n.end_time) for n in notes])
    )
    classes = np.array([n.pitch % 12 for n in notes])
    durations = np.bincount(classes, spans[:, 1] - spans[:, 0], minlength=12)
    summary = stream.Stream()
    for pitch_class in np.flatnonzero(durations > 0).tolist():
        summary.append(
            note.Note(60 + pitch_class, quarterLength=durations[pitch_class])
        )
    key = summary.analyze("key")
    return Key(key.tonic.pitchClass, key.mode, float(key.correlationCoefficient))


def in_scale_rate(sequence: NoteSequence, key: Key) -> float:
    """The fraction of notes in the key's scale, 0..1; 0 if there are no notes.

    The minor scale is the natural one. Drums do not count.
    """
    scale = {(key.tonic + step) % 12 for step in _SCALES[key.mode]}
    inside = [n.pitch % 12 in scale for n in sequence.notes if not n.is_drum]
    return sum(inside) / max(len(inside), 1)


def transpose_to_c(sequence: NoteSequence) -> NoteSequence:
    """Moves a piece to C major or A minor, by -6..+5 semitones.

    Raises:
        DropError: A note would leave 0..127.
    """
    key = best_key(sequence)
    distance = _TONIC_WITHOUT_ACCIDENTALS[key.mode] - key.tonic
    return transpose(sequence, (distance + 6) % 12 - 6)
