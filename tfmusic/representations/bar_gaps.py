"""Music of `BarEvents` of which some notes are given: what models get of it."""

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.representations.bar_events import BarEvents
from tfmusic.representations.bar_notes import Piece
from tfmusic.representations.base import Features
from tfmusic.representations.note_table import NoteTable


def encode_given(
    kind: BarEvents, sequence: NoteSequence, is_kept: np.ndarray, key: int = 0
) -> Features:
    """Encodes all bars of a piece with some of its notes alone.

    How dense the piece is is left open where most of it is not given, and its key, if
    that is not written, follows from what is.

    Args:
        kind: The encoding.
        sequence: The piece.
        is_kept: Which of its notes are given, bool `[note]`.
        key: The key that it is in, see `home_key.SPECS`; 0: as it seems to be.
    """
    piece, _ = kind.read(sequence)
    notes, conditions = piece.notes.take(np.zeros(0, int)), piece.conditions
    if is_kept.any():
        kept, _ = kind.read(_with_notes(sequence, is_kept))
        notes, key = kept.notes, key or kept.key
    if 2 * len(notes) < len(piece.notes):
        conditions = (*conditions[:1], 0)
    return kind.features_of(Piece(notes, piece.bars, conditions, key or piece.key))


def note_table(kind: BarEvents, features: Features) -> NoteTable:
    """The notes that arrays say, on the grid; voices are programs, and `DRUMS`."""
    return kind.parse(kind.musical_ids(features["tokens"]), 0).notes


def _with_notes(sequence: NoteSequence, is_kept: np.ndarray) -> NoteSequence:
    result = NoteSequence()
    result.CopyFrom(sequence)
    del result.notes[:]
    kept = zip(sequence.notes, is_kept.tolist(), strict=True)
    result.notes.extend(note for note, stays in kept if stays)
    return result
