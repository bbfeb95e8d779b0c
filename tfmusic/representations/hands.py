"""The hands of piano music: which one plays each note."""

import numpy as np

from tfmusic.notes import NoteSequence, wire
from tfmusic.notes.transforms import assign_hands

# As the instruments of decoded music are named, so that their hands are found again.
HANDS = ("Right hand", "Left hand")


def hands_of(sequence: NoteSequence) -> np.ndarray:
    """The hand of each note, int64 [num_notes]; 0 is the right one."""
    hands = {
        info.instrument: HANDS.index(info.name)
        for info in sequence.instrument_infos
        if info.name in HANDS
    }
    instruments = wire.columns(sequence, "notes", "instrument")["instrument"]
    if hands.keys() >= set(np.unique(instruments).tolist()):
        # Decoded music says whose its notes are even where one hand rests.
        return np.array([hands[i] for i in instruments.tolist()], np.int64)
    return assign_hands(sequence)
