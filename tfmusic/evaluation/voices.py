"""The music on a grid of eighth notes: what sounds, and its voices where it has four.

Metre, harmony and voice leading are looked at on this grid: a grace note or a passing
sixteenth changes none of them.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfmusic.evaluation.note_arrays import BEAT_DIVISION, NoteArrays
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import round_steps

STEPS_PER_QUARTER = 2
VOICES = ("Soprano", "Alto", "Tenor", "Bass")
NUM_VOICES = len(VOICES)
_SUNG = 28, 91  # a fourth and more beyond what a choir sings
REST = -1
# A frame of fewer than four pitches: which of them each voice may have, from the top.
_DOUBLINGS = {
    1: np.array([[0, 0, 0, 0]]),
    2: np.array([[0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 1, 1]]),
    3: np.array([[0, 0, 1, 2], [0, 1, 1, 2], [0, 1, 2, 2]]),
}


def sounding_frames(notes: NoteArrays) -> np.ndarray:
    """Which pitches sound at each eighth (or half second), bool [num_steps, 128].

    From the beginning to the end of the last note.
    """
    first, last = _spans(notes)
    changes = np.zeros((last.max(initial=0) + 1, 128), np.int32)
    np.add.at(changes, (first, notes.pitch), 1)
    np.add.at(changes, (last, notes.pitch), -1)
    return changes.cumsum(axis=0)[:-1] > 0


@dataclasses.dataclass(frozen=True)
class VoiceGrid:
    """Four voices, one pitch each.

    Attributes:
        pitch: int64 [num_steps, 4], from the top voice to the bass; `REST` for none.
        are_parts: Whether the voices are the parts of the music. Else they are its
            pitches sorted from the top, and cannot cross.
    """

    pitch: np.ndarray
    are_parts: bool

    @classmethod
    def of(cls, notes: NoteArrays, frames: np.ndarray) -> "VoiceGrid | None":
        """The voices of music in four voices; None for other music.

        It is in four voices if it has four parts of one note at a time, or if four
        pitches sound in more than half of the frames in which any does.

        Args:
            notes: The music.
            frames: What `sounding_frames` gives of it.
        """
        if len(notes.voice_names) == NUM_VOICES:
            pitch = _parts(notes, len(frames))
            if pitch is not None:
                return cls(pitch, are_parts=True)
        num_sounding = frames.sum(axis=1)
        if 2 * np.sum(num_sounding == NUM_VOICES) <= np.sum(num_sounding > 0):
            return None
        return cls(_sorted_voices(frames), are_parts=False)

    def chords(self) -> np.ndarray:
        """The pitches of each chord in turn, [num_chords, 4]; neighbours differ."""
        return self.pitch[starts_of_runs(self.pitch)]


def voices_of(notes: NoteArrays) -> tuple[np.ndarray, Sequence[str]]:
    """The voice of each note, int64 [num_notes], and their names.

    Of music in four voices that one instrument plays, the voices are those that can be
    told from what sounds; nobody sings where only a piano plays.
    """
    lowest, highest = _SUNG
    is_sung = np.all((notes.pitch >= lowest) & (notes.pitch <= highest))
    if len(notes.voice_names) != 1 or not is_sung:
        return notes.voice, notes.voice_names
    grid = VoiceGrid.of(notes, sounding_frames(notes))
    if grid is None:
        return notes.voice, notes.voice_names
    steps = np.ceil(notes.start_quarters * STEPS_PER_QUARTER - 1e-6).astype(int)
    sounding = grid.pitch[np.minimum(steps, len(grid.pitch) - 1)]
    return np.abs(sounding - notes.pitch[:, np.newaxis]).argmin(axis=1), VOICES


def in_voices(sequence: NoteSequence) -> NoteSequence:
    """The same music, each of its voices an instrument; itself if it has no four.

    So a voice can be heard, changed and printed by itself.
    """
    if not sequence.notes or any(note.is_drum for note in sequence.notes):
        return sequence
    notes = NoteArrays.of(sequence)
    voices, names = voices_of(notes)
    if names is not VOICES:
        return sequence
    result = NoteSequence()
    result.CopyFrom(sequence)
    del result.instrument_infos[:], result.part_infos[:]
    for number, name in enumerate(names):
        result.instrument_infos.add(instrument=number, name=name)
    for note, voice in zip(result.notes, voices.tolist(), strict=True):
        note.instrument, note.part = voice, 0
    return result


def starts_of_runs(rows: np.ndarray) -> np.ndarray:
    """Where a row differs from the one before, the first included; int64 [num_runs]."""
    changed = np.any(rows[1:] != rows[:-1], axis=1)
    return np.flatnonzero(np.concatenate([[True][: len(rows)], changed]))


def _spans(notes: NoteArrays) -> tuple[np.ndarray, np.ndarray]:
    """The first frame in which each note sounds, and the one after its last."""
    times = np.stack([notes.start_quarters, notes.end_quarters])
    # A note that is a hair early or late has begun with its beat.
    ticks = round_steps(times * BEAT_DIVISION)
    first, last = -(-ticks * STEPS_PER_QUARTER // BEAT_DIVISION)
    return first, last


def _parts(notes: NoteArrays, num_steps: int) -> np.ndarray | None:
    """The pitch of each part, the highest first; None if they have chords or rest."""
    counts = np.zeros((num_steps + 1, NUM_VOICES), np.int64)
    pitch = np.full((num_steps, NUM_VOICES), REST)
    first, last = _spans(notes)
    np.add.at(counts, (first, notes.voice), 1)
    np.add.at(counts, (last, notes.voice), -1)
    counts = counts.cumsum(axis=0)[:-1]
    sounding = counts > 0
    all_sound = np.sum(sounding.all(axis=1)) / max(np.sum(sounding.any(axis=1)), 1)
    if np.mean(counts[sounding] > 1) > 0.1 or all_sound <= 0.5:
        return None
    for i in np.argsort(notes.start_quarters, kind="stable"):
        pitch[first[i] : last[i], notes.voice[i]] = notes.pitch[i]
    means = [notes.pitch[notes.voice == voice].mean() for voice in range(NUM_VOICES)]
    return pitch[:, np.argsort(means)[::-1]]


def _sorted_voices(frames: np.ndarray) -> np.ndarray:
    """The pitches of each frame from the top.

    Where fewer than four sound, two voices share one: those for which all voices move
    least from the frame before. Of more, the lowest and the three highest are taken.
    """
    pitch = np.full((len(frames), NUM_VOICES), REST)
    before = None
    for step, frame in enumerate(frames):
        found = np.flatnonzero(frame)[::-1]
        if not len(found):
            continue
        if len(found) >= NUM_VOICES:
            pitch[step] = [*found[: NUM_VOICES - 1], found[-1]]
        else:
            choices = found[_DOUBLINGS[len(found)]]
            movement = 0 if before is None else np.abs(choices - before).sum(axis=1)
            pitch[step] = choices[np.argmin(movement + np.zeros(len(choices)))]
        before = pitch[step]
    return pitch
