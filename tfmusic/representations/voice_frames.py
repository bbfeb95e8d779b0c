"""Each voice's pitch at each step, and whether it is struck there (Coconet)."""

import collections
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from tfmusic.notes import NoteSequence, wire
from tfmusic.notes.transforms import without_drums
from tfmusic.representations import metre
from tfmusic.representations.base import Features, FeatureSpec, Representation
from tfmusic.representations.note_table import NoteTable, ranges
from tfmusic.representations.variation import Variation, stack

REST = 0
NO_VOICE = -1
_NUM_PITCHES = 128


@dataclasses.dataclass(frozen=True, kw_only=True)
class VoiceFrames(Representation):
    """Music of a few voices, each with one note at a time, and its metre.

    "pitch", int32 [time, voice]: MIDI numbers, 0 for a rest. "struck", bool of the same
    shape: whether a note begins at the step; with `onsets` alone. "bar_position" and
    "bar_length", int16 [time]: see `metre.SPECS`. A step is a step of the grid, which
    follows the beat; a piece ends with its last note, or with the silence after it
    that `total_time` leaves.

    The pitches are those of Huang et al., "Counterpoint by Convolution", ISMIR 2017,
    whose rolls [time, pitch, voice] had sixteenths, pitches 36..81, neither onsets
    (a note struck again was one long note) nor metre.

    Which voice a note belongs to: where the piece has as many parts or instruments as
    there are voices, each is one, by its name if those are the voices' own names, else
    from the highest on average to the lowest. Where one note sounds at a time, all are
    the first voice's. Other music is divided note by note: those that begin together
    go from the top to voices that are free, in order of pitch and near to where each
    voice was.

    It cannot express more than one note at a time in a voice (of notes struck together
    the highest stays: loss `voice_chords`; an earlier note ends: `voice_overlaps`), nor
    more notes at a time than voices (`inner_notes`, the upper ones and the lowest
    stay). Without onsets, notes of one pitch that touch are one note
    (`merged_restrikes`).

    Decoding takes any arrays: numbers that are no pitch of the range are rests, and a
    note begins wherever the pitch changes, struck or not.

    Attributes:
        voices: The names of the voices from the top, those of decoded instruments.
        onsets: Whether re-strikes are kept.
    """

    name: ClassVar[str] = "voice_frames"

    lowest_pitch: int = 36
    highest_pitch: int = 84
    voice_names: tuple[str, ...] = ("Soprano", "Alto", "Tenor", "Bass")
    onsets: bool = True

    def __post_init__(self):
        super().__post_init__()
        self.check(
            self.steps_per_quarter > 0,
            "steps_per_quarter",
            "1 or more: bars need a grid that follows the beat",
        )
        self.check(self.lowest_pitch > REST, "lowest_pitch", "1 or more: 0 is a rest")
        names = {str(name).lower() for name in self.voice_names}
        self.check(
            0 < len(names) == len(self.voice_names),
            "voice_names",
            "one or more names, each another",
        )

    @property
    def num_voices(self) -> int:
        """How many notes there are at a time."""
        return len(self.voice_names)

    @property
    def instruments(self) -> tuple[str, ...]:
        """The names of decoded instruments."""
        return self.voice_names

    @property
    def feature_specs(self) -> Mapping[str, FeatureSpec]:
        """Pitches, onsets where they are kept, and two numbers for each step."""
        shape = (None, self.num_voices)
        names = ", ".join(self.voice_names)
        specs = {
            "pitch": FeatureSpec(
                shape,
                "int32",
                f"[time, voice]; MIDI pitches, 0: rest; voices: {names}",
                highest=127,
            )
        }
        if self.onsets:
            specs["struck"] = FeatureSpec(
                shape, "bool", "[time, voice]; whether a note begins"
            )
        return {**specs, **metre.SPECS}

    def encode_with_losses(
        self, sequence: NoteSequence
    ) -> tuple[Features, collections.Counter]:
        """Encodes a piece; see `Representation.encode`.

        Raises:
            EncodeError: `no_notes`, `too_long`, or `bar_too_long`.
        """
        notes, losses = self._known_notes(sequence)
        lengths = notes.ends - notes.starts
        steps = np.repeat(notes.starts, lengths) + ranges(lengths)
        pitch = np.zeros((notes.num_steps, self.num_voices), np.int32)
        pitch[steps, np.repeat(notes.voices, lengths)] = np.repeat(
            notes.pitches, lengths
        )
        features = {"pitch": pitch}
        if self.onsets:
            struck = np.zeros(pitch.shape, bool)
            struck[notes.starts, notes.voices] = True
            features["struck"] = struck
        places = metre.encode_bars(sequence, self.grid, 0, len(pitch))
        return {**features, **places}, losses

    def decode(self, features: Features) -> NoteSequence:
        """Turns pitches, onsets and bars into music, as the class says."""
        sequence = self._notes(features).to_sequence(self.grid, self.voice_names)
        metre.add_signatures(sequence, self.grid, features)
        return sequence

    @property
    def keep_names(self) -> tuple[str, ...]:
        """The voices."""
        return tuple(name.lower() for name in self.voice_names)

    def open_notes(self, features: Features, is_open: np.ndarray) -> NoteTable:
        """The notes of some cells `[time, voice]` alone."""
        pitch = np.where(is_open, features["pitch"], REST)
        return self._notes({**features, "pitch": pitch})

    def _notes(self, features: Features) -> NoteTable:
        pitch = self.known_pitches(features["pitch"])
        begins = self.begins(features)
        lasts = np.ones_like(begins)
        lasts[:-1] = begins[1:] | (pitch[1:] != pitch[:-1])
        # In order of voice and time, so that begins and ends come in pairs.
        voices, starts = np.nonzero(begins.T)
        _, ends = np.nonzero((lasts & (pitch != REST)).T)
        return NoteTable(
            voices=voices,
            pitches=pitch[starts, voices].astype(np.int64),
            starts=starts,
            ends=ends + 1,
            velocities=np.full(len(voices), self.velocity, np.int64),
            min_steps=len(pitch),
        )

    def canonicalize(self, sequence: NoteSequence) -> NoteSequence:
        """The piece as it comes back from encoding."""
        notes, _ = self._known_notes(sequence)
        result = notes.with_columns(velocities=self.velocity).to_sequence(
            self.grid, self.voice_names
        )
        places = metre.encode_bars(sequence, self.grid, 0, notes.num_steps)
        metre.add_signatures(result, self.grid, places)
        return result

    def transpositions(self, semitones: Sequence[int]) -> Variation:
        """All voices moved; none may leave the range."""
        pitches = np.arange(_NUM_PITCHES)
        rows = []
        for steps in semitones:
            moved = pitches + steps
            inside = (moved >= self.lowest_pitch) & (moved <= self.highest_pitch)
            rows.append(np.where(inside, moved, -1))
            rows[-1][REST] = REST
        rows[0] = pitches
        return Variation("pitch", stack(rows))

    def known_pitches(self, pitch: np.ndarray) -> np.ndarray:
        """Any numbers, int [time, voice], with rests for those that are no pitches."""
        pitch = np.asarray(pitch)
        inside = (pitch >= self.lowest_pitch) & (pitch <= self.highest_pitch)
        return np.where(inside, pitch, REST)

    def begins(self, features: Features) -> np.ndarray:
        """Where notes begin, bool [time, voice]: struck, or another pitch."""
        pitch = self.known_pitches(features["pitch"])
        before = np.concatenate([np.zeros_like(pitch[:1]), pitch[:-1]])
        begins = pitch != before
        if self.onsets:
            begins |= np.asarray(features["struck"], bool)
        return begins & (pitch != REST)

    def voices_of(self, sequence: NoteSequence) -> np.ndarray:
        """The voice of each note, int64 [num_notes]; `NO_VOICE` if it is in none."""
        drums = wire.columns(sequence, "notes", "is_drum")["is_drum"]
        voices = np.full(len(drums), NO_VOICE)
        voices[~drums] = self.voices(without_drums(sequence))
        return voices

    def voices(self, sequence: NoteSequence) -> np.ndarray:
        """The voice of each note of music without drums, or `NO_VOICE`."""
        found = self._parts(sequence)
        if found is None:
            return self._divide(NoteTable.of(sequence, self.grid))
        return found

    def _known_notes(
        self, sequence: NoteSequence
    ) -> tuple[NoteTable, collections.Counter]:
        """The notes of each voice, one at a time, in order of voice and start."""
        notes, losses = self.read_notes(sequence)
        outside = notes.voices == NO_VOICE
        losses["inner_notes"] = np.sum(outside).item()
        notes = notes.take(~outside)
        notes, more = _one_at_a_time(notes)
        if not self.onsets:
            notes, merged = _merge_touching(notes)
            more += merged
        min_steps = int(self.grid.to_steps(sequence, sequence.total_time))
        self.check_length(min_steps)
        return dataclasses.replace(notes, min_steps=min_steps), +(losses + more)

    def _parts(self, sequence: NoteSequence) -> np.ndarray | None:
        """The voice of each note where parts or instruments are the voices."""
        columns = wire.columns(sequence, "notes", "part", "instrument", "pitch")
        owner, infos = "instrument", sequence.instrument_infos
        if len(np.unique(columns["part"])) > 1:
            owner, infos = "part", sequence.part_infos
        owners = columns[owner]
        names = {getattr(info, owner): info.name.lower() for info in infos}
        own = [name.lower() for name in self.voice_names]
        used = np.unique(owners).tolist()
        if all(names.get(i) in own for i in used) and sorted(names.values()) == sorted(
            own
        ):
            place = {i: own.index(name) for i, name in names.items()}
        elif len(used) == self.num_voices:
            means = {i: columns["pitch"][owners == i].mean() for i in used}
            place = {i: n for n, i in enumerate(sorted(used, key=lambda i: -means[i]))}
        else:
            return None
        return np.array([place[i] for i in owners.tolist()], np.int64)

    def _divide(self, notes: NoteTable) -> np.ndarray:
        """The voice of each note of music without as many parts, int64 [num_notes]."""
        voices = np.full(len(notes), NO_VOICE)
        if not len(notes):
            return voices
        order = np.lexsort((-notes.pitches, notes.starts))
        starts, ends = notes.starts[order], notes.ends[order]
        if np.all(starts[1:] >= ends[:-1]):
            return np.zeros(len(notes), np.int64)
        last = np.linspace(
            notes.pitches.max(), notes.pitches.min(), self.num_voices
        ).tolist()
        free_from = [0] * self.num_voices
        pitches, ends = notes.pitches.tolist(), notes.ends.tolist()
        bounds = np.flatnonzero(np.diff(starts, prepend=-1)).tolist()
        for begin, end in itertools.pairwise([*bounds, len(order)]):
            group, now = order[begin:end].tolist(), int(starts[begin])
            free = [v for v in range(self.num_voices) if free_from[v] <= now]
            if len(group) > len(free):
                # The upper ones and the lowest.
                group = group[: max(len(free) - 1, 0)] + group[-1:] * bool(free)
            held = {v: last[v] for v in range(self.num_voices) if v not in free}
            chosen = min(
                itertools.combinations(free, len(group)),
                key=lambda places: _strain(
                    dict(zip(places, (pitches[i] for i in group), strict=True)),
                    held,
                    last,
                ),
            )
            for voice, i in zip(chosen, group, strict=True):
                voices[i], last[voice], free_from[voice] = voice, pitches[i], ends[i]
        return voices


def _strain(new: dict[int, int], held: dict[int, int], last: Sequence[float]) -> float:
    """How badly voices take notes: crossings count most, then how far they move."""
    crossed = sum(
        (pitch - other) * (voice - holder) > 0
        for voice, pitch in new.items()
        for holder, other in held.items()
    )
    return 1000 * crossed + sum(abs(pitch - last[v]) for v, pitch in new.items())


def _one_at_a_time(notes: NoteTable) -> tuple[NoteTable, collections.Counter]:
    """Lets each voice have one note at a time, in order of voice and start."""
    table = notes.take(np.lexsort((-notes.pitches, notes.starts, notes.voices)))
    same_voice = table.voices[1:] == table.voices[:-1]
    together = same_voice & (table.starts[1:] == table.starts[:-1])
    table = table.take(np.concatenate([[True], ~together])[: len(table)])
    ends = table.ends.copy()
    same_voice = table.voices[1:] == table.voices[:-1]
    ends[:-1][same_voice] = np.minimum(ends[:-1], table.starts[1:])[same_voice]
    losses = collections.Counter(
        voice_chords=len(notes) - len(table),
        voice_overlaps=np.sum(ends < table.ends).item(),
    )
    return table.with_columns(ends=ends), losses


def _merge_touching(notes: NoteTable) -> tuple[NoteTable, collections.Counter]:
    """Joins notes of one voice and pitch that touch; none overlap."""
    goes_on = (
        (notes.voices[1:] == notes.voices[:-1])
        & (notes.pitches[1:] == notes.pitches[:-1])
        & (notes.starts[1:] == notes.ends[:-1])
    )
    first = np.flatnonzero(np.concatenate([[True], ~goes_on])[: len(notes)])
    ends = notes.ends[np.append(first[1:], len(notes)) - 1]
    losses = collections.Counter(merged_restrikes=len(notes) - len(first))
    return notes.take(first).with_columns(ends=ends), losses
