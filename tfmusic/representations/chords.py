"""Chords as sets of pitches: their names, and finding them in a vocabulary.

A set of pitches is a row of 128 bools, one for each MIDI number.
"""

import functools

import numpy as np

from tfmusic.representations.note_table import NoteTable

NUM_PITCHES = 128
STEP_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
# Sharps alone: with flats as music21 writes them, "E-1" would be two pitches.
PITCH_NAMES = tuple(f"{STEP_NAMES[p % 12]}{p // 12 - 1}" for p in range(NUM_PITCHES))
_PITCH_OF_NAME = {name: pitch for pitch, name in enumerate(PITCH_NAMES)}
# Where chords of pitch classes are played: in the octave above middle C.
CLASS_OCTAVE = 60
# Scores per block when many chords meet a large vocabulary: 4 MB of them.
_BLOCK_SIZE = 1 << 20


def struck_together(notes: NoteTable, groups: np.ndarray) -> np.ndarray:
    """The chords of groups of notes.

    Args:
        notes: Any notes.
        groups: int64 [num_notes], which group each belongs to, 0 upwards.

    Returns:
        Bool [num_groups, 128].
    """
    chords = np.zeros((groups.max(initial=-1) + 1, NUM_PITCHES), bool)
    chords[groups, notes.pitches] = True
    return chords


def unique_chords(chords: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different rows of bool [num_chords, 128], and where each row went.

    Returns:
        Bool [num_unique, 128] and int64 [num_chords].
    """
    packed = np.packbits(chords, axis=1)
    rows = packed.view(np.dtype((np.void, packed.shape[1]))).reshape(-1)
    _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    return chords[first], inverse.reshape(-1)


def pitches_of(chord: np.ndarray) -> list[int]:
    """The MIDI numbers of a row, ascending."""
    return np.flatnonzero(chord).tolist()


def chord_name(pitches: list[int]) -> str:
    """Pitches by name, as in "C4.E4.G4"."""
    return ".".join(PITCH_NAMES[pitch] for pitch in pitches)


def pitch_class_name(pitches: list[int]) -> str:
    """Pitch classes in normal order, as in "9.0.4"."""
    classes = tuple(sorted({pitch % 12 for pitch in pitches}))
    return ".".join(map(str, normal_order(classes)))


def pitches_of_name(name: str) -> list[int]:
    """The pitches of a chord named either way.

    Pitch classes lie in one octave; a class alone is doubled in the octave above, so
    that it is a chord.
    """
    parts = name.split(".")
    if parts[0] in _PITCH_OF_NAME:
        return [_PITCH_OF_NAME[part] for part in parts]
    pitches = [CLASS_OCTAVE + int(part) for part in parts]
    return pitches if len(pitches) > 1 else [pitches[0], pitches[0] + 12]


def as_pitch_classes(chords: np.ndarray) -> np.ndarray:
    """Chords as they are played when only their pitch classes are known.

    Args:
        chords: Bool [num_chords, 128].

    Returns:
        Bool [num_chords, 128], the pitches that `pitches_of_name` gives.
    """
    played = np.zeros_like(chords)
    for octave in range(0, NUM_PITCHES, 12):
        part = chords[:, octave : octave + 12]  # the last one has eight pitches
        played[:, CLASS_OCTAVE : CLASS_OCTAVE + part.shape[1]] |= part
    alone = played.sum(axis=1) == 1
    played[alone] |= np.roll(played[alone], 12, axis=1)
    return played


def transposed(chords: np.ndarray, semitones: int) -> tuple[np.ndarray, np.ndarray]:
    """Chords moved by some semitones.

    Args:
        chords: Bool [num_chords, 128].
        semitones: -127..127.

    Returns:
        Bool [num_chords, 128], and which of them, bool [num_chords], lost no pitch.
    """
    moved = np.roll(chords, semitones, axis=1)
    beyond = np.zeros(NUM_PITCHES, bool)
    beyond[slice(semitones) if semitones >= 0 else slice(semitones, None)] = True
    return moved & ~beyond, ~(moved & beyond).any(axis=1)


@functools.lru_cache(maxsize=4096)  # there are 4,095 sets of pitch classes
def normal_order(pitch_classes: tuple[int, ...]) -> tuple[int, ...]:
    """The most compact circular order of some pitch classes.

    The order of the smallest span; of equal ones, that with the smallest intervals
    from its bottom upwards, then that which begins lowest (Forte, "The Structure of
    Atonal Music", 1973, section 1.2). It is music21's `Chord.normalOrder`, about a
    thousand times as fast.

    Args:
        pitch_classes: 0..11, ascending, each once, at least one.
    """

    def compactness(order: tuple[int, ...]) -> tuple[int, ...]:
        intervals = [(pitch_class - order[0]) % 12 for pitch_class in order]
        return (intervals[-1], *intervals, order[0])

    rotations = (
        (*pitch_classes[i:], *pitch_classes[:i]) for i in range(len(pitch_classes))
    )
    return min(rotations, key=compactness)


class KnownChords:
    """The chords of a vocabulary, to find the ids of sets of pitches.

    Args:
        ids: int [num_known], ascending.
        chords: Bool [num_known, 128], all different.
    """

    def __init__(self, ids: np.ndarray, chords: np.ndarray):
        self._ids = np.asarray(ids, np.int32)
        self._chords = chords
        rows = np.packbits(chords, axis=1)
        self._places = {row.tobytes(): i for i, row in enumerate(rows)}
        self._used = np.flatnonzero(chords.any(axis=0))  # pitches
        self._floats = chords[:, self._used].astype(np.float32)
        self._sizes = self._floats.sum(axis=1)

    def find(self, chords: np.ndarray) -> np.ndarray:
        """Ids of sets of pitches: int32 [num_chords], -1 where they are not known.

        Args:
            chords: Bool [num_chords, 128].
        """
        rows = np.packbits(chords, axis=1)
        places = [self._places.get(row.tobytes(), -1) for row in rows]
        return np.append(self._ids, np.int32(-1))[places]

    def nearest(self, chords: np.ndarray) -> np.ndarray:
        """Ids of the known chords that share most: int32 [num_chords].

        Nearness is the number of shared pitches over that of all pitches of both
        (Jaccard); of equally near ones the smallest id is taken.

        Args:
            chords: Bool [num_chords, 128].
        """

        def jaccard(chords: np.ndarray, shared: np.ndarray) -> np.ndarray:
            sizes = chords.sum(axis=1, keepdims=True, dtype=np.float32)
            # x / (a + b) orders as x / (a + b - x) does, and is less work.
            both = np.maximum(sizes + self._sizes, 1, dtype=np.float32)
            return np.divide(shared, both, out=shared)

        return self._ids[self._best(chords, jaccard)]

    def spell(self, chords: np.ndarray) -> list[list[int]]:
        """Ids of known chords that make up others.

        Each is taken apart greedily: the largest known chord within it, then the
        largest within the rest, and so on; of equally large ones the smallest id.

        Args:
            chords: Bool [num_chords, 128], of pitches that are all known as chords
                of one note.

        Returns:
            For each chord the ids of chords that share no pitch, the largest first.
        """

        def size_if_within(chords: np.ndarray, shared: np.ndarray) -> np.ndarray:
            del chords
            return np.where(shared == self._sizes, shared, np.float32(0))

        rest = chords.copy()
        spellings = [[] for _ in range(len(chords))]
        while len(rows := np.flatnonzero(rest.any(axis=1))):
            places = self._best(rest[rows], size_if_within)
            for row, place in zip(rows.tolist(), places.tolist(), strict=True):
                spellings[row].append(int(self._ids[place]))
            rest[rows] &= ~self._chords[places]
        return spellings

    def _shared(self, chords: np.ndarray) -> np.ndarray:
        """How many pitches chords share with each known one: float32 [chord, known]."""
        return chords[:, self._used].astype(np.float32) @ self._floats.T

    def _best(self, chords: np.ndarray, score) -> np.ndarray:
        """The place of the best known chord for each, by scores [chord, known]."""
        block = max(1, _BLOCK_SIZE // max(1, len(self._ids)))
        best = [
            np.argmax(score(part, self._shared(part)), axis=1)
            for part in (chords[i : i + block] for i in range(0, len(chords), block))
        ]
        return np.concatenate([np.zeros(0, np.int64), *best])
