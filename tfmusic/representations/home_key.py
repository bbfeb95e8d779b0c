"""The key of a whole piece, as an array of a representation."""

from collections.abc import Mapping, Sequence

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.notes.keys import key_of
from tfmusic.representations.base import FeatureSpec
from tfmusic.representations.variation import Variation, stack

NAME = "plan_key"
# Twelve major ones, and as many minor ones.
NUM_KEYS = 24
_MODES = NoteSequence.KeySignature.MAJOR, NoteSequence.KeySignature.MINOR
SPECS: Mapping[str, FeatureSpec] = {
    NAME: FeatureSpec(
        (None,),
        "int8",
        "[time]; 1..12: C to B major, 13..24: C to B minor, the same in every step; "
        "0: unknown",
        NUM_KEYS,
    )
}


def number_of(sounding: np.ndarray) -> int:
    """The key, 1..24, whose profile fits best how long each pitch class sounds.

    Args:
        sounding: Which MIDI pitches sound, bool `[time, 128]`.
    """
    durations = np.bincount(
        np.arange(sounding.shape[1]) % 12, sounding.sum(axis=0), minlength=12
    )
    key = key_of(durations)
    return 1 + 12 * (key.mode == "minor") + key.tonic


def encode_home_key(sounding: np.ndarray) -> dict[str, np.ndarray]:
    """The array of `SPECS`, int8 `[time]`, of frames as for `number_of`."""
    return {NAME: np.full(len(sounding), number_of(sounding), np.int8)}


def add_signature(sequence: NoteSequence, features: Mapping[str, np.ndarray]) -> None:
    """Writes the key of a decoded piece, if it is known."""
    numbers = np.asarray(features[NAME])
    if len(numbers) and 1 <= numbers[0] <= NUM_KEYS:
        is_minor, tonic = divmod(int(numbers[0]) - 1, 12)
        mode = _MODES[is_minor]
        sequence.key_signatures.add(time=0.0, key=tonic, mode=mode)


def transpositions(semitones: Sequence[int]) -> Variation:
    """The keys of a piece that is moved by so many semitones."""
    modes, tonics = np.divmod(np.arange(NUM_KEYS), 12)
    rows = [np.append(0, 1 + 12 * modes + (tonics + s) % 12) for s in semitones]
    return Variation(NAME, stack(rows))
