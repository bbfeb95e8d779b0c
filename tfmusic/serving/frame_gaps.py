"""Gaps in music of frames, as what is given of each key: bool `[time, hand, key]`.

A soprano that stays gives its key and all keys above it, which are silent; a bass
likewise, downwards; where it rests it gives nothing. A hand that stays gives all of its
keys. Bars that stay give all keys of all hands.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfmusic.notes import NoteSequence
from tfmusic.notes.transforms import without_drums
from tfmusic.representations import Features, Representation, home_key
from tfmusic.representations.chord_frames import ChordFrames
from tfmusic.representations.chords import NUM_PITCHES
from tfmusic.representations.note_table import NoteTable
from tfmusic.representations.rolls import (
    OUTER_VOICES,
    RollRepresentation,
    notes_to_roll,
)
from tfmusic.representations.voice_frames import NO_VOICE
from tfmusic.serving.primers import SLUR_SECONDS, Primer, is_melody


def is_frames(representation: Representation) -> bool:
    """Whether music of a representation can be given in part."""
    is_kind = isinstance(representation, (ChordFrames, RollRepresentation))
    return is_kind and bool(representation.keep_names)


def read_frames(
    card: Mapping[str, Any],
    representation: Representation,
    primer: Primer,
    wanted_steps: np.ndarray,
    keep: set[str],
    first_step: int,
) -> tuple[Features, np.ndarray, np.ndarray, np.ndarray]:
    """What is to be written of a piece; see `voice_gaps.read_voices`."""
    piece, num_steps = primer.sequence, len(wanted_steps)
    pitched = ~np.array([note.is_drum for note in piece.notes], bool)
    table = NoteTable.of(piece, representation.grid, representation.note_ends(piece))
    table = table.with_columns(
        voices=_hands(representation, piece, pitched, keep),
        pitches=table.pitches + primer.semitones,
        starts=table.starts - first_step,
        ends=table.ends - first_step,
    )
    voices = {
        name: pitched & _is_voice(name, representation, piece, table, pitched)
        for name in keep
    }
    stays = np.any([np.zeros(len(table), bool), *voices.values()], axis=0)
    starts = np.clip(table.starts, 0, num_steps - 1)
    is_kept = ~wanted_steps[starts] | stays | ~pitched
    sounding, struck = _rolls(representation, table.take(is_kept & pitched), num_steps)
    is_given = sounding | ~wanted_steps[:, np.newaxis, np.newaxis]
    for name, rows in voices.items():
        own, _ = _rolls(representation, table.take(rows), num_steps)
        is_given |= _given_by(name, representation, own)
    owners = np.where(pitched & ~stays, table.voices, NO_VOICE)
    inputs = {**primer.prompt, **_as_features(representation, sounding, struck)}
    if home_key.NAME in inputs:
        inputs[home_key.NAME] = _home_key(primer, inputs["keys"][..., 0])
    num_hands = is_given.shape[1]
    inputs["is_given"] = is_given if num_hands > 1 else is_given[:, 0]
    return inputs, ~is_given, owners, is_kept


def _hands(
    representation: Representation,
    piece: NoteSequence,
    pitched: np.ndarray,
    keep: set[str],
) -> np.ndarray:
    """The hand of each note, int64 `[note]`; 0 where there are none.

    Music of one hand alone is that of the hand that is kept.
    """
    hands = np.zeros(len(pitched), np.int64)
    names = representation.keep_names
    if names == OUTER_VOICES:
        return hands
    hands[pitched] = representation.voices(without_drums(piece))
    kept = [names.index(name) for name in keep]
    is_alone = len(set(hands[pitched].tolist())) == 1
    if len(kept) == 1 and (is_alone or is_melody(piece, pitched)):
        hands[pitched] = kept[0]
    return hands


def _is_voice(
    name: str,
    representation: Representation,
    piece: NoteSequence,
    notes: NoteTable,
    pitched: np.ndarray,
) -> np.ndarray:
    """Which notes are a hand's or an outer voice's, bool `[note]`.

    An outer voice is what an instrument of its name plays; without one, of the notes
    that sound when a note begins none is higher, or lower.
    """
    names = representation.keep_names
    if names != OUTER_VOICES:
        return notes.voices == names.index(name)
    for infos, field in (
        (piece.instrument_infos, "instrument"),
        (piece.part_infos, "part"),
    ):
        own = [getattr(i, field) for i in infos if i.name.strip().lower() == name]
        found = np.array([getattr(note, field) in own for note in piece.notes], bool)
        if (found & pitched).any():
            return found
    return is_outer(piece, pitched, 1 if name == "soprano" else -1)


def is_outer(piece: NoteSequence, pitched: np.ndarray, sign: int) -> np.ndarray:
    """Which notes have none above them, or below, that sounds when they begin.

    In the time of the file: on the grid of a model a short note may begin together
    with the one before it.

    Args:
        piece: The music.
        pitched: Which notes count, bool `[note]`.
        sign: 1: none is above; -1: none is below.

    Returns:
        Bool `[note]`.
    """
    pitches = sign * np.array([note.pitch for note in piece.notes], np.int64)
    starts = _ticks(np.array([note.start_time for note in piece.notes]))
    ends = _ticks(np.array([note.end_time for note in piece.notes]) - SLUR_SECONDS)
    # The best pitch that sounds at each time.
    best = np.full(max(starts.max(initial=0), ends.max(initial=0)) + 2, -1000)
    columns = (column[pitched] for column in (pitches, starts, ends))
    for pitch, start, end in zip(*columns, strict=True):
        span = best[start : max(end, start + 1)]
        np.maximum(span, pitch, out=span)
    return pitches >= best[starts]


def _ticks(seconds: np.ndarray) -> np.ndarray:
    """Hundredths of a second, int64."""
    return np.round(100 * seconds).astype(np.int64)


def _rolls(
    representation: Representation, notes: NoteTable, num_steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which keys notes hold and strike, bool `[time, hand, key]` each."""
    is_chords = isinstance(representation, ChordFrames)
    lowest = 0 if is_chords else representation.lowest_pitch
    num_keys = NUM_PITCHES if is_chords else representation.num_keys
    inside = (notes.pitches >= representation.lowest_pitch) & (
        notes.pitches <= representation.highest_pitch
    )
    inside &= (notes.ends > 0) & (notes.starts < num_steps)
    notes = notes.take(inside)
    has_onsets = is_chords or representation.onsets
    notes, _ = notes.one_at_a_time() if has_onsets else notes.merged()
    notes = notes.with_columns(
        starts=np.maximum(notes.starts, 0), ends=np.minimum(notes.ends, num_steps)
    )
    notes = dataclasses.replace(notes, min_steps=num_steps)
    return notes_to_roll(notes, len(representation.instruments), lowest, num_keys)


def _as_features(
    representation: Representation, sounding: np.ndarray, struck: np.ndarray
) -> Features:
    """The arrays of keys that sound and are struck."""
    if isinstance(representation, ChordFrames):
        return {"keys": np.stack([sounding[:, 0], struck[:, 0]], axis=-1)}
    return {"roll": representation.pack(sounding, struck)}


def _given_by(
    name: str, representation: Representation, sounding: np.ndarray
) -> np.ndarray:
    """What a voice or a hand that is kept says of each key, `[time, hand, key]`."""
    names = representation.keep_names
    if names == OUTER_VOICES:
        if name == "soprano":
            return np.cumsum(_highest(sounding), axis=2) > 0
        return _highest(sounding[..., ::-1]).cumsum(axis=2)[..., ::-1] > 0
    is_given = np.zeros(sounding.shape, bool)
    is_given[:, names.index(name)] = True
    return is_given


def _highest(sounding: np.ndarray) -> np.ndarray:
    """The last key that sounds alone, bool `[time, hand, key]`."""
    above = np.cumsum(sounding[..., ::-1], axis=2)[..., ::-1] - sounding
    return sounding & (above == 0)


def _home_key(primer: Primer, sounding: np.ndarray) -> np.ndarray:
    """The key of the piece in each step, as far as the model is to know it."""
    if primer.key is None:
        return home_key.encode_home_key(sounding)[home_key.NAME]
    tonic = (primer.key.tonic + primer.semitones) % 12
    number = 1 + 12 * (primer.key.mode == "minor") + tonic
    return np.full(len(sounding), number, np.int8)
