"""A primer on its way into a model, and the music that the model goes on with back.

A model has a tempo of its own, often a key, and its own voices. So a primer is
moved to the key that the model knows and encoded; what the model adds is moved back,
played at the primer's tempo by its instruments, and put after the primer's own notes,
which stay as they are.
"""

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfmusic.errors import DropError, UserError
from tfmusic.notes import NoteSequence
from tfmusic.notes.beats import onto_beat
from tfmusic.notes.grid import TempoMap
from tfmusic.notes.keys import Key, best_key, written_key
from tfmusic.notes.measures import metres_of
from tfmusic.notes.transforms import transpose
from tfmusic.representations import Features, Representation, home_key
from tfmusic.representations.bar_events import BarEvents
from tfmusic.representations.losses import describe_losses
from tfmusic.serving.setting import knows_one_key

_MOST_TICKS = 2**15 - 1
# A note of a melody may be held so long into the next one.
SLUR_SECONDS = 0.05


@dataclasses.dataclass(frozen=True)
class Primer:
    """A primer as a model reads it.

    Attributes:
        sequence: As it was given, but on its beat.
        semitones: By how much higher the model reads it.
        prompt: Its arrays `[time, ...]`.
        splice: A moment of decoded music and the step of the primer that it stands
            for; see `Representation.splice`.
        end_step: The step in which the primer ends.
        remarks: What was changed for the model, in words.
        key: The key that it is in, as it was said or, where the model knows one key
            alone, as its notes say; else None.
    """

    sequence: NoteSequence
    semitones: int
    prompt: Features
    splice: tuple[float, int]
    end_step: int
    remarks: tuple[str, ...]
    key: Key | None = None


def on_beat(
    representation: Representation, sequence: NoteSequence
) -> tuple[NoteSequence, tuple[str, ...]]:
    """A primer as a model that counts beats should read it, and what to say of it."""
    if not representation.steps_per_quarter:
        return sequence, ()
    moved = onto_beat(sequence)
    said = () if moved is sequence else ("moved onto its beat; its file has another",)
    return moved, said


def read_primer(
    card: Mapping[str, Any],
    representation: Representation,
    sequence: NoteSequence,
    key: Key | None = None,
) -> Primer:
    """Moves a primer onto its beat, to the key that the model knows, and encodes it.

    Args:
        card: The model's.
        representation: How its arrays encode music.
        sequence: The primer.
        key: Which key it is in; None: as its notes say.

    Raises:
        UserError: It cannot be encoded.
    """
    sequence, said = on_beat(representation, sequence)
    semitones, remarks = 0, [*said]
    try:
        moved = sequence
        if knows_one_key(card):
            key = key or written_key(sequence) or best_key(sequence)
            semitones = key.semitones_to_c
            moved = transpose(sequence, semitones)
            if semitones:
                home = "C major" if key.mode == "major" else "A minor"
                remarks.append(
                    f"read in {home}, which the model knows; written in {key}"
                )
        prompt, losses = representation.encode_with_losses(moved)
        if key and home_key.NAME in prompt and not knows_one_key(card):
            number = 1 + 12 * (key.mode == "minor") + key.tonic
            prompt |= {home_key.NAME: np.full_like(prompt[home_key.NAME], number)}
        notes, _ = representation.read_notes(moved)
    except DropError as error:
        raise UserError(
            f"primer {sequence.filename}: cannot be encoded as {representation.name} "
            f"({error})"
        ) from error
    remarks += describe_losses(
        losses, len(sequence.notes), len(next(iter(prompt.values())))
    )
    remarks += _remarks(representation, sequence)
    return Primer(
        sequence,
        semitones,
        prompt,
        representation.splice(notes, prompt),
        notes.num_steps,
        tuple(remarks),
        key,
    )


def is_melody(piece: NoteSequence, pitched: np.ndarray) -> bool:
    """Whether one note sounds at a time."""
    notes = [n for n, here in zip(piece.notes, pitched, strict=True) if here]
    notes.sort(key=lambda note: note.start_time)
    return all(
        before.end_time <= after.start_time + SLUR_SECONDS
        for before, after in itertools.pairwise(notes)
    )


def _remarks(representation: Representation, sequence: NoteSequence) -> list[str]:
    """What a model of bars has not learned of a primer, in words."""
    if not isinstance(representation, BarEvents):
        return []
    remarks = []
    pitched = ~np.array([note.is_drum for note in sequence.notes], bool)
    if writes_one_voice(representation) and not is_melody(sequence, pitched):
        remarks.append(
            "the model writes one voice, and notes sound together here; give the tune "
            "alone"
        )
    written = metres_of(sequence) if sequence.time_signatures else set()
    known = representation.metres
    if unknown := sorted(written - set(known)) if known else []:
        metres = ", ".join(f"{n}/{d}" for n, d in unknown)
        names = ", ".join(f"{n}/{d}" for n, d in known)
        remarks.append(
            f"in {metres}, which the model has not learned, so the bars of what "
            f"follows may be of other lengths; it knows {names}"
        )
    return remarks


def writes_one_voice(representation: Representation) -> bool:
    """Whether a model of such bars writes one note at a time."""
    return isinstance(representation, BarEvents) and not representation.keep_names


def join(
    primer: Primer,
    representation: Representation,
    generated: Features,
    include_primer: bool = True,
    limit_seconds: float | None = None,
) -> NoteSequence:
    """The primer and what the model goes on with, as one piece.

    Each new note belongs to an instrument of the primer: one that the model read as the
    note's voice (such as a hand), and of these the one whose notes lie nearest to it in
    pitch. A voice that the primer has no notes of gets an instrument of its own. Notes
    that the model holds on from the primer are struck again.

    Args:
        primer: As `read_primer` gives it.
        representation: How the arrays encode music.
        generated: Arrays of what comes after the primer, `[time, ...]`.
        include_primer: Whether the primer's own notes are in the piece; otherwise that
            begins where they end.
        limit_seconds: How much of the new music is kept, in seconds of the model's own
            tempo; None: all.
    """
    both = {
        name: np.concatenate([array, generated[name]])
        for name, array in primer.prompt.items()
    }
    decoded = representation.decode(both)
    before = representation.decode(primer.prompt)
    new = _new_notes(before, decoded)
    clock = _Clock(primer, representation, decoded)
    begin = clock.end
    if limit_seconds is not None:
        limit = begin + limit_seconds
        if representation.steps_per_quarter:
            limit = limit_on_beat(representation, decoded, limit_seconds, begin)
        new = [(note, a, min(b, limit)) for note, a, b in new if a < limit - 1e-6]
    result = NoteSequence()
    result.CopyFrom(primer.sequence)
    result.ClearField("id")
    result.ClearField("filename")
    players = _Players(primer, before, decoded, clock, result)
    velocity = players.velocity if not representation.has_dynamics else 0
    for note, start, end in new:
        pitch = note.pitch - primer.semitones
        if 0 <= pitch <= 127:
            result.notes.add(
                pitch=pitch,
                velocity=velocity or note.velocity,
                start_time=clock.to_seconds(start),
                end_time=clock.to_seconds(end),
                **players.of(note, pitch),
            )
    ends = [note.end_time for note in result.notes]
    result.total_time = max([primer.sequence.total_time, *ends])
    result.ticks_per_quarter = _ticks(result.ticks_per_quarter, representation)
    if include_primer:
        return result
    return _without_primer(result, len(primer.sequence.notes), clock.to_seconds(begin))


def _new_notes(before: NoteSequence, after: NoteSequence) -> list[tuple]:
    """(note, start, end) of what is new in decoded music that begins like another."""
    known = Counter()
    ends = {}
    for note in before.notes:
        place = note.pitch, note.instrument, round(note.start_time, 6)
        known[place] += 1
        ends[place] = note.end_time
    new = []
    for note in after.notes:
        place = note.pitch, note.instrument, round(note.start_time, 6)
        if not known[place]:
            new.append((note, note.start_time, note.end_time))
            continue
        known[place] -= 1
        if note.end_time > ends[place] + 1e-6:
            new.append((note, ends[place], note.end_time))
    return sorted(new, key=lambda item: (item[1], item[0].pitch))


class _Clock:
    """Seconds of decoded music into seconds of the primer's piece."""

    def __init__(
        self, primer: Primer, representation: Representation, decoded: NoteSequence
    ):
        start, step = primer.splice
        self._tempos = TempoMap.of(primer.sequence)
        self._decoded = None  # where time is in seconds
        if representation.steps_per_quarter:
            self._decoded = TempoMap.of(decoded)
            start = self._decoded.to_quarters(start)
        rate = representation.steps_per_quarter or representation.steps_per_second
        # How much later a moment of decoded music is in the piece.
        self._delay = step / rate - start
        end = primer.end_step / rate - self._delay
        if self._decoded:
            end = self._decoded.to_seconds(end)
        # Where the primer ends, in seconds of decoded music.
        self.end = float(end)

    def to_seconds(self, decoded: float) -> float:
        """The time in the piece of a time in decoded music."""
        if self._decoded is None:
            return decoded + self._delay
        quarters = self._decoded.to_quarters(decoded) + self._delay
        return float(self._tempos.to_seconds(quarters))


def limit_on_beat(
    representation: Representation,
    decoded: NoteSequence,
    limit_seconds: float,
    begin: float = 0.0,
) -> float:
    """A length in seconds at `qpm`, as the end of such a part of decoded music.

    Args:
        representation: On a beat grid.
        decoded: Music in tempos of its own.
        limit_seconds: The length.
        begin: Where the part begins, in seconds of decoded music.
    """
    tempo_map = TempoMap.of(decoded)
    quarters = limit_seconds * representation.qpm / 60
    return float(tempo_map.to_seconds(tempo_map.to_quarters(begin) + quarters))


# What plays a note: its instrument and program, and whether it is a drum.
_Player = tuple[int, int, bool]
# Of a voice's notes, the fewest beside those of its main player. Fewer are crossings.
_LEAST_PART = 0.25


def _player(note: NoteSequence.Note) -> _Player:
    return note.instrument, note.program, note.is_drum


class _Players:
    """Who plays new notes: the instruments of a primer, or one more for each voice."""

    def __init__(
        self,
        primer: Primer,
        before: NoteSequence,
        decoded: NoteSequence,
        clock: _Clock,
        result: NoteSequence,
    ):
        """Finds out which instruments the voices of decoded music are.

        Args:
            primer: The primer.
            before: What its arrays decode to.
            decoded: The same with what the model goes on with.
            clock: From seconds of decoded music to those of the primer's piece.
            result: The piece, which gets the instruments that are missing.
        """
        self._names = {i.instrument: i.name for i in decoded.instrument_infos}
        self._result = result
        notes = list(primer.sequence.notes)
        pitched = [note for note in notes if not note.is_drum]
        loud = [note.velocity for note in pitched or notes]
        self.velocity = round(sum(loud) / len(loud))
        pitches: dict[_Player, list[int]] = {}
        written: dict[tuple[int, bool], list[NoteSequence.Note]] = {}
        for note in notes:
            pitches.setdefault(_player(note), []).append(note.pitch)
            written.setdefault((note.pitch, note.is_drum), []).append(note)
        self._means = {player: sum(p) / len(p) for player, p in pitches.items()}
        # By voice of decoded music, whose notes were read as that. One voice is all.
        self._of_voice: dict[_Player, Counter[_Player]] = {}
        self._has_voices = len({_player(note) for note in decoded.notes}) > 1
        for note in before.notes:
            start = clock.to_seconds(note.start_time)
            same = written.get((note.pitch - primer.semitones, note.is_drum), [])
            if same:
                nearest = min(same, key=lambda n: abs(n.start_time - start))
                found = self._of_voice.setdefault(_player(note), Counter())
                found[_player(nearest)] += 1

    def of(self, note: NoteSequence.Note, pitch: int) -> dict[str, Any]:
        """What plays a note of decoded music at a pitch, as fields of a note."""
        players = [player for player in self._means if player[2] == note.is_drum]
        if self._has_voices:
            counts = self._of_voice.setdefault(_player(note), Counter())
            if not counts:
                counts[self._add(note)] = 1
            least = _LEAST_PART * max(counts.values())
            players = [player for player, count in counts.items() if count >= least]
        nearest = min(players, key=lambda player: abs(self._means[player] - pitch))
        return dict(zip(("instrument", "program", "is_drum"), nearest, strict=True))

    def _add(self, note: NoteSequence.Note) -> _Player:
        """One more instrument, for the voice of a note."""
        infos = self._result.instrument_infos
        taken = [player[0] for player in self._means] + [i.instrument for i in infos]
        player = (max(taken) + 1, note.program, note.is_drum)
        self._means[player] = note.pitch
        infos.add(instrument=player[0], name=self._names.get(note.instrument, ""))
        return player


def _ticks(ticks_per_quarter: int, representation: Representation) -> int:
    """Ticks in which both the primer's notes and steps of the model can be written."""
    steps = representation.steps_per_quarter
    if not (ticks_per_quarter and steps):
        return ticks_per_quarter
    both = math.lcm(ticks_per_quarter, steps)
    return both if both <= _MOST_TICKS else ticks_per_quarter


def _without_primer(piece: NoteSequence, num_notes: int, begin: float) -> NoteSequence:
    """What comes after the primer's notes, from where they end."""
    new = piece.notes[num_notes:]
    result = NoteSequence(ticks_per_quarter=piece.ticks_per_quarter)
    result.instrument_infos.extend(piece.instrument_infos)
    begin = min([begin, *(note.start_time for note in new)])
    for name in ("tempos", "time_signatures", "key_signatures"):
        events, kept = getattr(piece, name), getattr(result, name)
        before = [event for event in events if event.time <= begin][-1:]
        kept.extend(before + [event for event in events if event.time > begin])
        for event in kept:
            event.time = max(event.time - begin, 0.0)
    result.notes.extend(new)
    for note in result.notes:
        note.start_time -= begin
        note.end_time -= begin
    result.total_time = max((note.end_time for note in result.notes), default=0.0)
    return result
