"""Music of which some bars or voices are to be written anew, and what comes of it.

A note belongs to the bar in which it begins: one that is held into the gap stays as it
is, to its end, and one that begins in the gap goes with all of its length. Notes that
are kept come back as they were, off the grid too.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfmusic.checks import sequence, text, whole_number
from tfmusic.errors import UserError, choose
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import TempoMap
from tfmusic.representations import Features
from tfmusic.representations.note_table import NoteTable
from tfmusic.representations.voice_frames import NO_VOICE, REST, VoiceFrames
from tfmusic.serving.primers import Primer, read_primer

Bars = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Gap:
    """A piece with a gap, as a model reads it.

    Attributes:
        primer: The piece.
        features: Its arrays `[time, ...]`.
        mask: bool `[time, voice]`, what is to be written.
        voices: int64 `[note]`, the voice of each note of the piece, or `NO_VOICE`.
        is_kept: bool `[note]`, which of its notes stay.
    """

    primer: Primer
    features: Features
    mask: np.ndarray
    voices: np.ndarray
    is_kept: np.ndarray


def parse_bars(text: str) -> Bars:
    """Reads a gap such as "bars:5-8" or "bars:5".

    Raises:
        UserError: It is none.
    """
    found = re.fullmatch(r"bars:(\d+)(?:-(\d+))?", text.strip())
    if not found:
        raise UserError(f"infill: expected bars such as bars:5-8, got {text!r}")
    return int(found[1]), int(found[2] or found[1])


def read_gap(
    card: Mapping[str, Any],
    representation: VoiceFrames,
    piece: NoteSequence,
    bars: Bars | None = None,
    keep: Sequence[str] = (),
) -> Gap:
    """Finds out what is to be written.

    Args:
        card: The model's.
        representation: How its arrays encode music.
        piece: The music. One voice alone is the voice that is kept.
        bars: The first and the last bar to write anew, counted from 1, an upbeat being
            bar 0; None: all.
        keep: Names of the voices that stay.

    Raises:
        UserError: The model cannot write gaps, there are no such bars or voices, or
            the piece cannot be encoded.
    """
    if "infill" not in card["endpoints"]:
        raise UserError(
            f"infill: {card['name']} writes from left to right and cannot fill gaps; a "
            "model that can is made with --config=coconet"
        )
    if bars is None and not keep:
        raise UserError(
            "infill: expected bars to write anew, such as bars:5-8, or voices to keep"
        )
    _check_types(bars, keep)
    names = [name.lower() for name in representation.voice_names]
    kept = {
        names.index(choose("voice to keep", n.strip().lower(), names)) for n in keep
    }
    primer = read_primer(card, representation, piece)
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
    if bars is not None:
        wanted &= _steps_of(bars, features)[:, np.newaxis]
    if not wanted.any():
        raise UserError("keep: expected a voice to write, but all voices are kept")
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
    return Gap(primer, features, mask, voices, is_kept=~in_gap | drums)


def _steps_of(bars: Bars, features: Features) -> np.ndarray:
    """Which steps lie in the bars, bool `[time]`."""
    numbers = np.cumsum(np.asarray(features["bar_position"]) == 0)
    first, last = int(numbers[0]), int(numbers[-1])
    if not first <= bars[0] <= bars[1] <= last:
        raise UserError(
            f"infill: expected bars from {first} to {last}, the first before the last, "
            f"got {bars[0]}-{bars[1]}"
        )
    return (numbers >= bars[0]) & (numbers <= bars[1])


def _check_types(bars: Any, keep: Any) -> None:
    if bars is not None:
        if not isinstance(bars, (tuple, list)) or len(bars) != 2:
            raise UserError(f"bars: expected the first and the last one, got {bars!r}")
        for bar in bars:
            whole_number("bars", bar, 0, 2**31 - 1)
    for name in sequence("keep", keep):
        text("keep", name)


def _beginnings(begins: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Where the note of each cell begins, or the rest itself: int64 `[time, voice]`."""
    steps = np.arange(len(pitch))[:, np.newaxis]
    latest = np.maximum.accumulate(np.where(begins, steps, 0), axis=0)
    return np.where(pitch != REST, latest, steps)


def fill_gap(gap: Gap, representation: VoiceFrames, written: Features) -> NoteSequence:
    """The piece with new notes in its gap.

    A new note is played by the instrument of its voice; a voice that has none gets one
    of its own name. Where a kept note is off the grid, a new one makes room for it.

    Args:
        gap: As `read_gap` gives it.
        representation: How the arrays encode music.
        written: What the model made of the whole piece, `[time, ...]`.
    """
    piece = gap.primer.sequence
    result = NoteSequence()
    result.CopyFrom(piece)
    result.ClearField("id")
    result.ClearField("filename")
    del result.notes[:]
    kept = [n for n, stays in zip(piece.notes, gap.is_kept, strict=True) if stays]
    result.notes.extend(kept)
    alone = {**written, "pitch": np.where(gap.mask, written["pitch"], REST)}
    tempos, grid = TempoMap.of(piece), representation.grid
    players = _players(gap, representation, result)
    per_quarter = representation.steps_per_quarter
    spans = _kept_spans(gap, tempos, per_quarter)
    for note in representation.decode(alone).notes:
        times = np.array([note.start_time, note.end_time])
        start, end = times / grid.to_seconds(1)
        start, end = _make_room(start, end, spans[note.instrument])
        pitch = note.pitch - gap.primer.semitones
        if 0 <= pitch <= 127:
            seconds = tempos.to_seconds(np.array([start, end]) / per_quarter)
            result.notes.add(
                pitch=pitch,
                start_time=seconds[0],
                end_time=seconds[1],
                **players[note.instrument],
            )
    ends = [note.end_time for note in result.notes]
    result.total_time = max([piece.total_time, *ends])
    return result


def _kept_spans(gap: Gap, tempos: TempoMap, per_quarter: int) -> list[np.ndarray]:
    """Start and end in steps of the kept notes of each voice, float64 `[note, 2]`."""
    times = [(n.start_time, n.end_time) for n in gap.primer.sequence.notes]
    steps = tempos.to_quarters(np.reshape(times, [-1, 2])) * per_quarter
    num_voices = gap.mask.shape[1]
    return [steps[gap.is_kept & (gap.voices == voice)] for voice in range(num_voices)]


def _make_room(start: float, end: float, kept: np.ndarray) -> tuple[float, float]:
    """The span of a new note without what rounding let kept notes take of it."""
    ends, starts = kept[:, 1], kept[:, 0]
    before = ends[(ends > start) & (ends <= start + 0.5)]
    after = starts[(starts < end) & (starts >= end - 0.5)]
    return max([start, *before]), min([end, *after])


def _players(
    gap: Gap, representation: VoiceFrames, result: NoteSequence
) -> list[dict[str, int]]:
    """Who plays each voice, as fields of a note; adds instruments to the result."""
    notes = gap.primer.sequence.notes
    pitched = [note for note in notes if not note.is_drum]
    velocity = round(np.mean([note.velocity for note in pitched]))
    part = max(note.part for note in notes)
    instrument = max(note.instrument for note in notes)
    players = []
    for voice, name in enumerate(representation.voice_names):
        own = [n for n, v in zip(notes, gap.voices.tolist(), strict=True) if v == voice]
        if own:
            fields = dict(instrument=own[0].instrument, part=own[0].part)
        else:
            instrument += 1
            result.instrument_infos.add(instrument=instrument, name=name)
            if result.part_infos:
                part += 1
                result.part_infos.add(part=part, name=name)
            fields = dict(instrument=instrument, part=part)
        program = (own or pitched)[0].program
        players.append(dict(**fields, program=program, velocity=velocity))
    return players
