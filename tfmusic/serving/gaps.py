"""Music of which some bars or voices are to be written anew, and what comes of it.

A note belongs to the bar in which it begins: one that is held into the gap stays as it
is, to its end, and one that begins in the gap goes with all of its length. Notes that
are kept come back as they were, off the grid too.
"""

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfmusic.checks import sequence, text, whole_number
from tfmusic.errors import UserError, choose
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import TempoMap
from tfmusic.notes.grid import bars as bars_of
from tfmusic.notes.keys import Key
from tfmusic.representations import Features, Representation
from tfmusic.representations.bar_events import BarEvents
from tfmusic.representations.bar_gaps import note_table
from tfmusic.representations.note_table import NoteTable
from tfmusic.representations.voice_frames import NO_VOICE, VoiceFrames
from tfmusic.serving.bar_gaps import read_bars
from tfmusic.serving.frame_gaps import is_frames, read_frames
from tfmusic.serving.primers import (
    Primer,
    is_melody,
    read_primer,
    writes_one_voice,
)
from tfmusic.serving.voice_gaps import read_voices

Bars = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Gap:
    """A piece with a gap, as a model reads it.

    Attributes:
        primer: The piece.
        inputs: What the endpoint takes of it, arrays `[time, ...]`.
        first_step: Which step of the piece the arrays begin with.
        is_open: What is to be written, bool `[time, voice]`, `[time, hand, key]` or,
            of notes one after another, `[step]`.
        owners: int64 `[note]`, the voice or hand whose new notes the instrument of each
            note of the piece plays, or `NO_VOICE`.
        is_kept: bool `[note]`, which of its notes stay.
        parts: The name of a new instrument by its voice, and its program if that is
            not the piece's.
    """

    primer: Primer
    inputs: Features
    first_step: int
    is_open: np.ndarray
    owners: np.ndarray
    is_kept: np.ndarray
    parts: Mapping[int, Mapping[str, Any]]


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
    representation: Representation,
    piece: NoteSequence,
    bars: Bars | None = None,
    keep: Sequence[str] | str = (),
    key: Key | None = None,
) -> Gap:
    """Finds out what is to be written.

    Args:
        card: The model's.
        representation: How its arrays encode music.
        piece: The music. One voice alone is the voice that is kept.
        bars: The first and the last bar to write anew, counted from 1, an upbeat being
            bar 0; None: all.
        keep: Names of the voices or hands that stay, or one name.
        key: Which key the piece is in; None: as its notes say.

    Raises:
        UserError: The model cannot write gaps, there are no such bars or voices, or
            the piece cannot be encoded.
    """
    _check_model(card, representation)
    names = representation.keep_names
    if bars is None and not keep:
        voices = f", or voices to keep ({', '.join(names)})" if names else ""
        raise UserError(
            f"infill: expected bars to write anew, such as bars:5-8{voices}"
        )
    keep = (keep,) if isinstance(keep, str) else keep
    _check_types(bars, keep)
    if isinstance(representation, BarEvents):
        if keep and not names:
            raise UserError(
                f"keep: leave it out: {card['name']} writes one voice; give bars to "
                "write anew, such as --infill=bars:5-8"
            )
        pitched = ~np.array([note.is_drum for note in piece.notes], bool)
        if writes_one_voice(representation) and not is_melody(piece, pitched):
            raise UserError(
                f"infill: {card['name']} writes one voice, and notes sound together in "
                "this file; give the tune alone"
            )
        primer = read_primer(card, representation, piece, key)
        found = read_bars(representation, primer, bars, keep, NO_VOICE)
        inputs, is_open, owners, is_kept, parts = found
        return Gap(primer, inputs, 0, is_open, owners, is_kept, parts)
    kept = {choose("voice to keep", n.strip().lower(), names) for n in keep}
    primer = read_primer(card, representation, piece, key)
    num_steps = len(next(iter(primer.prompt.values())))
    first_step = _first_step(primer, representation)
    wanted = np.ones(num_steps, bool)
    if bars is not None:
        wanted = _steps_of(bars, primer, representation, first_step)
    read = read_voices if isinstance(representation, VoiceFrames) else read_frames
    inputs, is_open, owners, is_kept = read(
        card, representation, primer, wanted, kept, first_step
    )
    if not is_open.any():
        raise UserError("keep: expected a voice to write, but all voices are kept")
    parts = {i: {"name": name} for i, name in enumerate(representation.instruments)}
    return Gap(primer, inputs, first_step, is_open, owners, is_kept, parts)


def _check_model(card: Mapping[str, Any], representation: Representation) -> None:
    """Refuses a model that writes no gaps."""
    name = card["name"]
    if "infill" in card["endpoints"]:
        return
    network = (card.get("config") or {}).get("model", {}).get("name", "")
    can = isinstance(representation, BarEvents) and network != "token_transformer"
    if can or is_frames(representation):
        raise UserError(
            f"this export of {name} cannot keep voices or fill gaps, as it was made by "
            "an older tfmusic; export it again from its run with tfmusic export, or "
            "take --model=harmony"
        )
    raise UserError(
        f"infill: {name} writes from left to right and cannot fill gaps; models that "
        "can are made with --config=coconet, chord_lstm, two_hands_lstm or bar_lstm"
    )


def _first_step(primer: Primer, representation: Representation) -> int:
    """Which step of a piece its arrays begin with."""
    seconds, step = primer.splice
    return step - round(seconds / representation.step_seconds)


def _steps_of(
    bars: Bars, primer: Primer, representation: Representation, first_step: int
) -> np.ndarray:
    """Which steps lie in the bars, bool `[time]`."""
    position = primer.prompt.get("bar_position")
    if position is None:
        num_steps = first_step + len(next(iter(primer.prompt.values())))
        position, _ = bars_of(primer.sequence, representation.grid, num_steps)
        position = position[first_step:]
    numbers = np.cumsum(np.asarray(position) == 0)
    first, last = int(numbers[0]), int(numbers[-1])
    if not first <= bars[0] <= bars[1] <= last:
        raise UserError(
            f"infill: expected bars from {first} to {last}, which the piece has, "
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


def fill_gap(
    gap: Gap, representation: Representation, written: Features
) -> NoteSequence:
    """The piece with new notes in its gap.

    A new note is played by the instrument of its voice or hand, of several by the one
    whose notes are nearest in pitch; a voice that has none gets one of its own name.
    Where a kept note is off the grid, a new one makes room for it.

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
    new = _new_notes(gap, representation, written)
    clock = _Clock(piece, representation)
    players = _Players(gap, result)
    spans = clock.to_steps([(n.start_time, n.end_time) for n in piece.notes])
    last = max(gap.first_step + len(gap.is_open), spans.max())
    pitches = np.array([note.pitch for note in piece.notes])
    for voice in sorted(set(new.voices.tolist())):
        players.add(voice)
    for voice, pitch, start, end, velocity in zip(
        *(new.voices, new.pitches, new.starts, new.ends, new.velocities), strict=True
    ):
        pitch = int(pitch) - gap.primer.semitones
        if not 0 <= pitch <= 127:
            continue
        # A voice has one note at a time, a key too.
        near = pitches == pitch
        if isinstance(representation, VoiceFrames):
            near = gap.owners == voice
        elif isinstance(representation, BarEvents):
            near &= gap.owners == voice
        times = gap.first_step + np.array([start, end], np.float64)
        start, end = _make_room(*times, spans[gap.is_kept & near])
        end = min(end, last)  # what is written last does not make the piece longer
        if end <= start:
            continue
        seconds = clock.to_seconds((start, end))
        fields = players.of(int(voice), pitch)
        if representation.has_dynamics:
            fields |= {"velocity": int(velocity)}
        result.notes.add(
            pitch=pitch, start_time=seconds[0], end_time=seconds[1], **fields
        )
    ends = [note.end_time for note in result.notes]
    result.total_time = max([piece.total_time, *ends])
    return result


def _new_notes(
    gap: Gap, representation: Representation, written: Features
) -> NoteTable:
    """What the model wrote, on the grid."""
    if not isinstance(representation, BarEvents):
        return representation.open_notes(written, gap.is_open)

    def places(notes: NoteTable) -> list[tuple[int, int, int]]:
        columns = notes.starts, notes.voices, notes.pitches
        return list(zip(*(column.tolist() for column in columns), strict=True))

    new = note_table(representation, written)
    given = set(places(note_table(representation, gap.inputs)))
    is_new = np.array([place not in given for place in places(new)], bool)
    steps = np.minimum(new.starts, len(gap.is_open) - 1)
    return new.take(is_new & gap.is_open[steps] & (new.starts < len(gap.is_open)))


class _Clock:
    """Seconds of a piece into steps of a model, and back."""

    def __init__(self, piece: NoteSequence, representation: Representation):
        self._tempos = TempoMap.of(piece)
        self._per_quarter = representation.steps_per_quarter
        self._per_second = representation.steps_per_second

    def to_steps(self, seconds: Sequence[tuple[float, float]]) -> np.ndarray:
        """Spans of seconds as spans of steps, float64 `[note, 2]`."""
        seconds = np.reshape(np.array(seconds, np.float64), [-1, 2])
        if not self._per_quarter:
            return seconds * self._per_second
        return self._tempos.to_quarters(seconds) * self._per_quarter

    def to_seconds(self, steps: tuple[float, float]) -> np.ndarray:
        """Steps as seconds, float64."""
        if not self._per_quarter:
            return np.array(steps) / self._per_second
        return self._tempos.to_seconds(np.array(steps) / self._per_quarter)


def _make_room(start: float, end: float, kept: np.ndarray) -> tuple[float, float]:
    """The span of a new note without what kept notes of its key take of it.

    It ends where one begins; where one sounds already nothing is left.
    """
    starts, ends = kept[:, 0], kept[:, 1]
    before = ends[(ends > start) & (ends <= start + 0.5)]
    start = max([start, *before])
    after = starts[(starts < end) & (ends > start)]
    return start, min([end, *after])


class _Players:
    """Who plays new notes."""

    def __init__(self, gap: Gap, result: NoteSequence):
        self._notes, self._result = gap.primer.sequence.notes, result
        self._parts = gap.parts
        pitched = [note for note in self._notes if not note.is_drum] or self._notes
        self._velocity = round(np.mean([note.velocity for note in pitched]))
        self._program = pitched[0].program
        self._owned: dict[int, list[tuple[float, dict[str, int]]]] = {}
        owners = gap.owners.tolist()
        for voice in set(owners) - {NO_VOICE}:
            own = [n for n, v in zip(self._notes, owners, strict=True) if v == voice]
            names = ("instrument", "part", "program", "is_drum")
            fields: dict[tuple, list[int]] = {}
            for note in own:
                key = tuple(getattr(note, name) for name in names)
                fields.setdefault(key, []).append(note.pitch)
            self._owned[voice] = [
                (float(np.mean(pitches)), dict(zip(names, values, strict=True)))
                for values, pitches in fields.items()
            ]
        self._name_those_without()

    def _name_those_without(self) -> None:
        """Names instruments without a name that have one voice, after that."""
        infos = self._result.instrument_infos
        named = {info.instrument for info in infos if info.name}
        voices: dict[int, set[int]] = {}
        for voice, owned in self._owned.items():
            for _, fields in owned:
                voices.setdefault(fields["instrument"], set()).add(voice)
        for instrument, [voice, *others] in voices.items():
            if instrument not in named and not others:
                infos.add(instrument=instrument, name=self._parts[voice]["name"])

    def add(self, voice: int) -> None:
        """Adds an instrument for a voice that has none."""
        if voice not in self._owned:
            self._owned[voice] = [(0.0, self._new(**self._parts[voice]))]

    def of(self, voice: int, pitch: int) -> dict[str, int]:
        """The fields of a new note."""
        _, fields = min(self._owned[voice], key=lambda own: abs(own[0] - pitch))
        return {**fields, "velocity": self._velocity}

    def _new(
        self, name: str, program: int | None = None, is_drum: bool = False
    ) -> dict[str, int]:
        """A new instrument."""
        others = [*self._notes, *self._result.notes, *self._result.instrument_infos]
        instrument = _free_number({other.instrument for other in others})
        self._result.instrument_infos.add(instrument=instrument, name=name)
        parts = [*self._notes, *self._result.part_infos]
        part = max(other.part for other in parts)
        if self._result.part_infos:
            part = _free_number({other.part for other in parts})
            self._result.part_infos.add(part=part, name=name)
        program = self._program if program is None else program
        return dict(instrument=instrument, part=part, program=program, is_drum=is_drum)


def _free_number(taken: set[int]) -> int:
    """The one after all others; the lowest free one if an int32 cannot hold that."""
    after = 1 + max(taken)
    if after < 2**31:
        return after
    return next(number for number in itertools.count() if number not in taken)
