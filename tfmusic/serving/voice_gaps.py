"""Gaps in music of voices with one note at a time, as cells `[time, voice]`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfmusic.representations import Features
from tfmusic.representations.note_table import NoteTable
from tfmusic.representations.voice_frames import NO_VOICE, REST, VoiceFrames
from tfmusic.serving.primers import Primer


def read_voices(
    card: Mapping[str, Any],
    representation: VoiceFrames,
    primer: Primer,
    wanted_steps: np.ndarray,
    keep: set[str],
    first_step: int,
) -> tuple[Features, np.ndarray, np.ndarray, np.ndarray]:
    """What is to be written of a piece.

    Args:
        card: The model's.
        representation: How its arrays encode music.
        primer: The piece.
        wanted_steps: In which steps something is to be written, bool `[time]`.
        keep: Names of voices that stay. One voice alone is the one that is kept.
        first_step: Of the piece, that the arrays begin with.

    Returns:
        The endpoint's arrays, what is open, which voice each note is of, and which
        notes are kept; see `Gap`.
    """
    del card, first_step
    piece = primer.sequence
    names = representation.keep_names
    kept = {names.index(name) for name in keep}
    features, voices = dict(primer.prompt), representation.voices_of(piece)
    sounding = np.flatnonzero(features["pitch"].any(axis=0)).tolist()
    if len(sounding) == len(kept) == 1 and set(sounding) != kept:
        [old], [new] = sounding, kept
        order = list(range(len(names)))
        order[old], order[new] = new, old
        for name in ("pitch", "struck"):
            if name in features:
                features[name] = features[name][:, order]
        voices = np.where(voices == old, new, voices)
    wanted = np.ones(features["pitch"].shape, bool)
    wanted[:, sorted(kept)] = False
    wanted &= wanted_steps[:, np.newaxis]
    starts = NoteTable.of(piece, representation.grid).starts
    starts = np.minimum(starts, len(wanted) - 1)
    begins = representation.begins(features)
    in_voice = voices != NO_VOICE
    # Where a model does not hear that a note is struck again, another begins all the
    # same.
    begins[starts[in_voice], voices[in_voice]] = True
    cells = _beginnings(begins, features["pitch"])
    in_gap = np.where(in_voice, wanted[starts, voices], wanted[starts].any(axis=1))
    drums = np.array([note.is_drum for note in piece.notes], bool)
    mask = np.take_along_axis(wanted, cells, axis=0)
    return {**features, "mask": mask}, mask, voices, ~in_gap | drums


def _beginnings(begins: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Where the note of each cell begins, or the rest itself: int64 `[time, voice]`."""
    steps = np.arange(len(pitch))[:, np.newaxis]
    latest = np.maximum.accumulate(np.where(begins, steps, 0), axis=0)
    return np.where(pitch != REST, latest, steps)
