"""Bars, places in them, and notes: music of any kind as events on a beat grid."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from tfmusic.notes import NoteSequence, wire
from tfmusic.notes.keys import Key, key_of
from tfmusic.representations.bar_lines import (
    COMMON,
    MAX_BAR_STEPS,
    METRE_STEPS,
    METRES,
    STEPS_PER_QUARTER,
    TEMPOS,
    Bars,
    read_bars,
)
from tfmusic.representations.base import EncodeError, Features
from tfmusic.representations.chords import PITCH_NAMES
from tfmusic.representations.conditions import Condition
from tfmusic.representations.note_table import NoteTable
from tfmusic.representations.token_grammar import NOTHING, TokenGrammar
from tfmusic.representations.tokens import TokenRepresentation
from tfmusic.representations.variation import Variation, move, stack
from tfmusic.representations.vocabulary import END, NUM_SPECIAL

# What a token is, in the order of their ids; anything else is 0.
TAG, KEY, DENSITY, LENGTH, UPBEAT, BAR, CUT, TEMPO, POSITION, INSTRUMENT = range(1, 11)
VELOCITY, DURATION, PITCH, DRUM = range(11, 15)
ENDING = 15
PIANO, DRUMS = 0, 128  # voices: programs, and one more
_NUM_VELOCITIES = 127
_NUM_PITCHES = 128
_MAX_TAGS = 32
# All lengths to a bar of 4/4, then eighths to two bars, then quarters to four.
DURATIONS = np.array([*range(1, 49), *range(54, 97, 6), *range(108, 193, 12)])
DRUM_STEPS = 3
# From how many notes a quarter, and bars, on each bin is.
_DENSITIES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_LENGTHS = (1, 5, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193)
_TINY = 1e-6
# Tokens of these kinds hold until the next of their kind.
_RUNNING = (INSTRUMENT, VELOCITY, DURATION)
_MINOR_MODES = (
    NoteSequence.KeySignature.MINOR,
    NoteSequence.KeySignature.DORIAN,
    NoteSequence.KeySignature.PHRYGIAN,
    NoteSequence.KeySignature.LOCRIAN,
)
_MODES = ("major", "minor")


@dataclasses.dataclass(frozen=True)
class _Piece:
    """What the tokens of a piece say: notes on the grid, bars, conditions."""

    notes: NoteTable
    bars: Bars
    conditions: tuple[int, ...]  # the value of each; 0: any


@dataclasses.dataclass(frozen=True, kw_only=True)
class BarEvents(TokenRepresentation):
    """Bars, places in bars, and notes as one token after another.

    After REMI (Huang and Yang, "Pop Music Transformer", 2020), with a vocabulary that
    is the same for all music, so that a model of one collection can learn another. The
    grid has twelve steps a quarter: sixteenths and triplets.

    A piece is what holds for all of it ("tag3", "key7", "density4", "length6"; 0 for
    any), "upbeat36" where it begins at step 36 of its first bar, and its bars. A bar is
    "bar3/4", "tempo19" where that changes, and its notes, in order of place,
    instrument and pitch. A note is its pitch, "n60", after what differs from the note
    before: "position12", counted from the bar line, which itself is position 0;
    "instrument40", piano at first; "velocity9"; "duration6". So a note takes one to
    five tokens, most of a tune two. A note of drums is one token, "drum36", after
    position and velocity. "position12", "cut" end a bar early, at that place.

    Beyond what no kind holds, it cannot express: two notes at once of one pitch and
    instrument (the longer stays: `unisons`; or the older ends: `cut_notes`), lengths
    between those of `DURATIONS` (`rounded_durations`, down) or above
    (`clamped_durations`), how long drums sound, tracks of one instrument apart,
    velocities within a bin (its lowest comes back), tempos between those of `TEMPOS`
    or that change within a bar (the bar's mean comes back), metres not of `METRES`
    (`respelled_bars`), and silence after the last note. It does hold drums, metre,
    tempos, instruments and a key, which the others do not.

    Music that was recorded without a beat, such as MAESTRO, is on the grid of its
    nominal tempo: its bars mean nothing.

    Decoding takes any tokens. Without a bar it begins one of 4/4; a place that the bar
    does not have is its last step; a note that is not described is a quarter of the
    piano at `velocity`; a pitch that is struck again ends.

    Attributes:
        num_velocity_bins: Bins of equal size; 0 for no dynamics.
        tempos: Whether there are tempos; otherwise all music is at `qpm`.
        programs: Whether there are instruments and drums; otherwise all notes are
            the piano's and drums are left out.
        tags: Names of the tags, at most 32, most frequent first; found in the training
            pieces (their `genre`).
    """

    name: ClassVar[str] = "bar_events"
    fitted_fields: ClassVar[tuple[str, ...]] = ("tags",)

    steps_per_quarter: int = STEPS_PER_QUARTER
    lowest_pitch: int = 0
    highest_pitch: int = 127
    num_velocity_bins: int = 32
    tempos: bool = True
    programs: bool = True
    tags: tuple[str, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        self.check(
            self.steps_per_quarter == STEPS_PER_QUARTER,
            "steps_per_quarter",
            f"{STEPS_PER_QUARTER}",
        )
        self.check(
            0 <= self.num_velocity_bins <= 32, "num_velocity_bins", "0 (none) to 32"
        )
        self.check(len(self.tags) <= _MAX_TAGS, "tags", f"at most {_MAX_TAGS}")

    @property
    def has_dynamics(self) -> bool:
        """Whether decoded notes have velocities of their own."""
        return self.num_velocity_bins > 0

    @property
    def has_tempos(self) -> bool:
        """Whether decoded music has tempos of its own."""
        return self.tempos

    @property
    def instruments(self) -> tuple[str, ...]:
        """What plays decoded music, for people to read."""
        return ("all of General MIDI", "drums") if self.programs else ("Piano",)

    def always_known(self) -> tuple[str, ...]:
        """All tokens but the special ones, in the order of their ids."""
        return tuple(_NAMES)

    def token_pitches(self) -> np.ndarray:
        """The pitch of each note but those of drums: bool [vocabulary size, 128]."""
        rows = np.flatnonzero(_KINDS == PITCH)
        pitches = np.zeros((len(_KINDS), _NUM_PITCHES), bool)
        pitches[rows, _VALUES[rows]] = True
        return pitches

    def token_labels(self) -> list[str]:
        """Each token for people to read, notes by name."""
        return [
            PITCH_NAMES[value] if kind == PITCH else token
            for token, kind, value in zip(
                self.vocabulary.tokens, _KINDS, _VALUES, strict=True
            )
        ]

    def silent_tokens(self) -> np.ndarray:
        """Bars: where one follows another, nothing is struck in it."""
        return _KINDS == BAR

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What the first tokens say of the whole piece."""
        return (
            Condition("tag", _ids(TAG), _whole(_MAX_TAGS), self.tags),
            Condition("key_number", _ids(KEY), _whole(24)),
            Condition("notes_per_quarter", _ids(DENSITY), (_TINY, *_DENSITIES[1:])),
            Condition("length_bars", _ids(LENGTH), (_TINY, *_LENGTHS[1:])),
        )

    @property
    def metres(self) -> tuple[tuple[int, int], ...]:
        """Numerator and denominator of the metres of bars."""
        return METRES

    def first_bars(self) -> np.ndarray:
        """Which tokens may come up to the first bar, by its metre.

        Returns:
            Bool [1 + number of metres, vocabulary size]; in row 0 all.
        """
        lengths = METRE_STEPS[:, np.newaxis]
        is_bar, is_upbeat = _KINDS == BAR, _KINDS == UPBEAT
        others = is_bar & (np.arange(len(METRES))[:, np.newaxis] != _VALUES)
        refused = others | (is_upbeat & (lengths <= _VALUES))
        return np.concatenate([np.ones((1, len(_KINDS)), bool), ~refused])

    def token_grammar(self) -> TokenGrammar:
        """Bars of notes in order of place, instrument and pitch, each fully described.

        What is left to decoding: a pitch that is struck again while it sounds, and
        instruments out of their order after one that is not named again.
        """
        kinds = _KINDS.copy()
        kinds[END] = ENDING
        unused = {
            TEMPO: not self.tempos,
            INSTRUMENT: not self.programs,
            DRUM: not self.programs,
            VELOCITY: not self.num_velocity_bins,
        }
        for kind in (kind for kind, is_unused in unused.items() if is_unused):
            kinds[kinds == kind] = NOTHING
        values = _VALUES
        if self.num_velocity_bins:
            kinds[(kinds == VELOCITY) & (values > self._num_used_bins)] = NOTHING
        outside = (values < self.lowest_pitch) | (values > self.highest_pitch)
        kinds[(kinds == PITCH) & outside] = NOTHING
        is_kind = {kind: kinds == kind for kind in range(ENDING + 1)}
        note = (INSTRUMENT, VELOCITY, DURATION, PITCH, DRUM)
        follows = {
            NOTHING: (TAG,),
            TAG: (KEY,),
            KEY: (DENSITY,),
            DENSITY: (LENGTH,),
            LENGTH: (UPBEAT, BAR),
            UPBEAT: (BAR,),
            BAR: (TEMPO, *note, POSITION, BAR),
            TEMPO: (*note, POSITION, BAR),
            POSITION: (*note, CUT),
            CUT: (BAR,),
            INSTRUMENT: (VELOCITY, DURATION, PITCH),
            VELOCITY: (DURATION, PITCH, DRUM),
            DURATION: (PITCH,),
            PITCH: (*note, POSITION, BAR, ENDING),
            DRUM: (VELOCITY, DRUM, POSITION, BAR, ENDING),
        }
        # Tiers: places in the bar; instruments, then drums; pitches.
        is_placed = is_kind[POSITION] | is_kind[UPBEAT]
        order = np.where(is_placed, values, 0)
        order += np.where(is_kind[INSTRUMENT] | is_kind[PITCH], values + 1, 0)
        order += np.where(is_kind[DRUM], DRUMS + 1 + values, 0)
        tiers = np.where(is_kind[PITCH], 2, is_kind[INSTRUMENT] | is_kind[DRUM])
        restarts = np.full(len(kinds), 3)
        for kind, tier in ((BAR, 0), (UPBEAT, 1), (POSITION, 1), (INSTRUMENT, 2)):
            restarts[is_kind[kind]] = tier
        sorts = (*_RUNNING, TEMPO)
        levels = np.stack([is_kind[sort] for sort in sorts], axis=1)
        needs = {
            DURATION: (VELOCITY,),
            PITCH: (VELOCITY, DURATION, TEMPO),
            DRUM: (VELOCITY, TEMPO),
            **dict.fromkeys((INSTRUMENT, VELOCITY, POSITION), (TEMPO,)),
        }
        needs_level = np.zeros_like(levels)
        for kind, needed in needs.items():
            for sort in (sort for sort in needed if not unused.get(sort)):
                needs_level[is_kind[kind], sorts.index(sort)] = True
        first_levels = np.zeros(len(sorts), int)
        if self.programs:
            first_levels[0] = _ids(INSTRUMENT)[PIANO]
        return TokenGrammar.of(
            kinds,
            follows,
            strict=True,
            order=order,
            tiers=tiers.astype(int),
            restarts=restarts,
            holds=is_kind[UPBEAT],
            limits=np.where(is_kind[BAR], METRE_STEPS[values % len(METRES)], 0),
            sets_level=levels,
            needs_level=needs_level,
            first_levels=first_levels,
        )

    def transposed_ids(self, semitones: int) -> np.ndarray:
        """Other pitches and another key; drums stay. int64 [vocabulary size]."""
        row = np.arange(len(_KINDS))
        pitches = np.arange(_NUM_PITCHES)
        moved = move(pitches, semitones, _NUM_PITCHES)
        inside = (moved >= self.lowest_pitch) & (moved <= self.highest_pitch)
        row[_ids(PITCH)] = np.where(inside, _ids(PITCH)[0] + moved, -1)
        modes, tonics = np.divmod(np.arange(24), 12)
        keys = _ids(KEY)
        row[keys[1:]] = keys[1 + 12 * modes + (tonics + semitones) % 12]
        return row

    def without_conditions(self) -> Variation:
        """Every choice of conditions that are said, the others being any."""
        rows = []
        for choice in range(2 ** len(self.conditions)):
            row = np.arange(len(_KINDS))
            for i, condition in enumerate(self.conditions):
                if choice >> i & 1:
                    row[condition.ids] = condition.ids[0]
            rows.append(row)
        return Variation("tokens", stack(rows))

    def count(self, sequence: NoteSequence) -> collections.Counter:
        """The tag."""
        tag = _tag_of(sequence)
        return collections.Counter([tag] if tag else [])

    def fit_counts(self, counts: Mapping[str, int]) -> "BarEvents":
        """With the tags that most pieces have, of those that several have."""
        order = sorted(counts, key=lambda tag: (-counts[tag], tag))
        tags = tuple(tag for tag in order if counts[tag] > 1)
        return dataclasses.replace(self, tags=tags[:_MAX_TAGS])

    def encode_with_losses(
        self, sequence: NoteSequence
    ) -> tuple[Features, collections.Counter]:
        """Encodes a piece as `{"tokens": int32 [num_tokens]}`.

        Losses besides those of `read_notes` are named in the class.
        """
        piece, losses = self._read(sequence)
        return {"tokens": self._write(piece)}, losses

    def decode(self, features: Features) -> NoteSequence:
        """Plays tokens, encoded or generated, as the class says."""
        return self._to_sequence(self._parse(self.musical_ids(features["tokens"])))

    def canonicalize(self, sequence: NoteSequence) -> NoteSequence:
        """The piece as it comes back from encoding."""
        return self._to_sequence(self._read(sequence)[0])

    def read_notes(
        self, sequence: NoteSequence
    ) -> tuple[NoteTable, collections.Counter]:
        """The notes that can be encoded; voices are programs, and `DRUMS`.

        Losses are those of all kinds, but drums only without `programs`.
        """
        columns = wire.columns(sequence, "notes", "program", "is_drum", "instrument")
        notes = NoteTable.of(sequence, self.grid)
        instruments = notes.voices
        voices = np.clip(columns["program"], 0, 127)
        voices = np.where(columns["is_drum"], DRUMS, voices)
        losses = collections.Counter()
        is_kept = np.ones(len(notes), bool)
        if self.first_instrument_only and len(notes):
            is_kept = instruments == instruments.min()
            losses["other_instruments"] = np.sum(~is_kept).item()
        if not self.programs:
            losses["drums"] = np.sum(is_kept & (voices == DRUMS)).item()
            is_kept = is_kept & (voices != DRUMS)
            voices = np.zeros_like(voices)
        inside = (notes.pitches >= self.lowest_pitch) & (
            notes.pitches <= self.highest_pitch
        )
        inside |= voices == DRUMS
        losses["outside_range"] = np.sum(is_kept & ~inside).item()
        notes = notes.with_columns(voices=voices).take(is_kept & inside)
        if not len(notes):
            raise EncodeError(
                "no_notes",
                f"expected notes from pitch {self.lowest_pitch} to "
                f"{self.highest_pitch}, found none; left out: {dict(+losses)}",
            )
        self.check_length(notes.num_steps)
        return notes, +losses

    # Reading and writing music.

    def _read(self, sequence: NoteSequence) -> tuple[_Piece, collections.Counter]:
        notes, losses = self.read_notes(sequence)
        notes, more = _one_at_a_time(notes)
        lengths = notes.ends - notes.starts
        known = DURATIONS[np.searchsorted(DURATIONS, lengths, "right") - 1]
        too_long = lengths > DURATIONS[-1]
        more["clamped_durations"] = np.sum(too_long).item()
        more["rounded_durations"] = np.sum((known < lengths) & ~too_long).item()
        velocities = np.full(len(notes), self.velocity)
        if self.num_velocity_bins:
            velocities = self._velocities(self._bins(notes.velocities))
        notes = notes.with_columns(ends=notes.starts + known, velocities=velocities)
        notes = notes.take(np.lexsort((notes.pitches, notes.voices, notes.starts)))
        bars, more["respelled_bars"] = read_bars(
            sequence, self.grid, int(notes.starts[-1])
        )
        bars = self._known_tempos(bars)
        conditions = self._conditions_of(sequence, notes, len(bars))
        return _Piece(notes, bars, conditions), +(losses + more)

    def _known_tempos(self, bars: Bars) -> Bars:
        if self.tempos:
            return bars
        return dataclasses.replace(bars, tempos=np.full(len(bars), -1))

    def _conditions_of(
        self, sequence: NoteSequence, notes: NoteTable, num_bars: int
    ) -> tuple[int, ...]:
        tag = _tag_of(sequence)
        key = _key_of(sequence, notes)
        density = len(notes) * STEPS_PER_QUARTER / notes.num_steps
        return (
            self.tags.index(tag) + 1 if tag in self.tags else 0,
            1 + 12 * _MODES.index(key.mode) + key.tonic if key else 0,
            np.searchsorted(_DENSITIES, density, "right").item(),
            np.searchsorted(_LENGTHS, num_bars, "right").item(),
        )

    def _to_sequence(self, piece: _Piece) -> NoteSequence:
        notes, bars = piece.notes, piece.bars
        tempo_map = bars.tempo_map(self.qpm)
        sequence = NoteSequence(ticks_per_quarter=40 * STEPS_PER_QUARTER)
        wire.extend(sequence, "tempos", time=tempo_map.seconds, qpm=tempo_map.qpm)
        if len(bars):
            bars.add_signatures(sequence, tempo_map)
        self._add_conditions(sequence, piece.conditions)
        order = np.lexsort((notes.pitches, notes.voices, notes.starts))
        notes = notes.take(order)
        # Instruments are numbered in the order in which they come in.
        voices, first = np.unique(notes.voices, return_index=True)
        numbers = np.argsort(np.argsort(first))
        for voice in voices[np.argsort(first)].tolist():
            sequence.instrument_infos.add(
                instrument=len(sequence.instrument_infos), name=_instrument_name(voice)
            )
        is_drum = notes.voices == DRUMS
        seconds = tempo_map.to_seconds(
            np.stack([notes.starts, notes.ends]) / STEPS_PER_QUARTER
        )
        if len(notes):
            wire.extend(
                sequence,
                "notes",
                instrument=numbers[np.searchsorted(voices, notes.voices)],
                program=np.where(is_drum, 0, notes.voices),
                is_drum=is_drum,
                pitch=notes.pitches,
                velocity=notes.velocities,
                start_time=seconds[0],
                end_time=seconds[1],
            )
        sequence.total_time = float(seconds.max(initial=0.0))
        return sequence

    def _add_conditions(self, sequence: NoteSequence, values: Sequence[int]) -> None:
        tag, key, *_ = values
        if 0 < tag <= len(self.tags):
            sequence.sequence_metadata.genre.append(self.tags[tag - 1])
        if key:
            mode, tonic = divmod(key - 1, 12)
            mode = NoteSequence.KeySignature.Mode.Value(_MODES[mode].upper())
            sequence.key_signatures.add(key=tonic, mode=mode)

    # Tokens.

    def _write(self, piece: _Piece) -> np.ndarray:
        """Tokens of a piece, int32 [num_tokens]."""
        notes, bars = piece.notes, piece.bars
        begins, lines = bars.starts, bars.lines
        bar = np.searchsorted(begins, notes.starts, "right") - 1
        positions = notes.starts - lines[bar]
        # Position 0 of a bar, or where its upbeat begins, goes without saying.
        implied = np.where(bar == 0, piece.bars.upbeat, 0)
        implied[1:] = np.where(bar[1:] == bar[:-1], positions[:-1], implied[1:])
        pitched = notes.voices != DRUMS
        columns = [
            np.where(positions != implied, _ids(POSITION)[0] + positions - 1, -1),
            self._running(INSTRUMENT, notes.voices, pitched, PIANO),
            self._running(VELOCITY, self._bins(notes.velocities) - 1),
            self._running(DURATION, _duration_numbers(notes), pitched),
            np.where(pitched, _ids(PITCH)[0], _ids(DRUM)[0]) + notes.pitches,
        ]
        rows = np.stack(columns, axis=1)
        # What is said of bars, with what ended the bar before.
        cut = np.append(False, bars.is_cut[:-1])
        ends = np.append(1, (begins + bars.spans - lines)[:-1])
        changes = np.diff(bars.tempos, prepend=-1) != 0
        heads = np.stack(
            [
                np.where(cut, _ids(POSITION)[0] + ends - 1, -1),
                np.where(cut, _ids(CUT)[0], -1),
                _ids(BAR)[0] + bars.metres,
                np.where(changes & self.tempos, _ids(TEMPO)[0] + bars.tempos, -1),
            ],
            axis=1,
        )
        first_notes = np.searchsorted(bar, np.arange(len(bars)))
        where = np.concatenate(
            [np.repeat(first_notes * 2, 4), np.repeat(np.arange(len(bar)) * 2 + 1, 5)]
        )
        tokens = np.concatenate([heads.ravel(), rows.ravel()])
        tokens = tokens[np.argsort(where, kind="stable")]
        upbeat = [_ids(UPBEAT)[bars.upbeat - 1]] if bars.upbeat else []
        said = [
            c.ids[v] for c, v in zip(self.conditions, piece.conditions, strict=True)
        ]
        return np.concatenate([said, upbeat, tokens[tokens >= 0]]).astype(np.int32)

    def _running(
        self, kind: int, values: np.ndarray, has: np.ndarray | bool = True, first=-1
    ) -> np.ndarray:
        """Ids where a value is other than that before it; -1 elsewhere.

        Args:
            kind: Of the tokens.
            values: int64 [num_notes].
            has: Which notes have one.
            first: What holds in the beginning.
        """
        ids = np.full(len(values), -1)
        if kind == VELOCITY and not self.num_velocity_bins:
            return ids
        rows = np.flatnonzero(np.broadcast_to(has, len(values)))
        changed = rows[np.diff(values[rows], prepend=first) != 0]
        ids[changed] = _ids(kind)[0] + values[changed]
        return ids

    def _parse(self, ids: np.ndarray) -> _Piece:
        """What tokens say, in any order."""
        kinds = _KINDS[ids]
        bar_rows = np.flatnonzero(kinds == BAR)
        said = np.flatnonzero((kinds >= CUT) & (kinds <= DRUM))
        if len(said) and (not len(bar_rows) or said[0] < bar_rows[0]):
            ids = np.insert(ids, said[0], _ids(BAR)[COMMON])
            kinds = _KINDS[ids]
        values = _VALUES[ids]
        bars, bar, positions = _parse_bars(kinds, values)
        bars = self._known_tempos(bars)
        rows = np.flatnonzero((kinds == PITCH) | (kinds == DRUM))
        is_drum = kinds[rows] == DRUM
        bar, positions = bar[rows], positions[rows]
        starts = bars.lines[bar] + positions
        starts = np.clip(starts, bars.starts[bar], (bars.starts + bars.spans)[bar] - 1)
        voices = np.where(
            is_drum, DRUMS, _latest(kinds, values, INSTRUMENT, PIANO)[rows]
        )
        if not self.programs:
            rows, starts, voices = (x[~is_drum] for x in (rows, starts, voices * 0))
        velocities = np.full(len(rows), self.velocity)
        if self.num_velocity_bins:
            bins = _latest(kinds, values, VELOCITY, 0)[rows]
            velocities = np.where(bins, self._velocities(bins), self.velocity)
        durations = _latest(kinds, values, DURATION, STEPS_PER_QUARTER)[rows]
        notes = NoteTable(voices, values[rows], starts, starts + durations, velocities)
        inside = (notes.pitches >= self.lowest_pitch) & (
            notes.pitches <= self.highest_pitch
        )
        notes = notes.take(inside | (voices == DRUMS))
        notes, _ = _one_at_a_time(notes)
        conditions = [
            next(iter(values[kinds == kind].tolist()), 0)
            for kind in (TAG, KEY, DENSITY, LENGTH)
        ]
        return _Piece(notes, bars, tuple(conditions))

    def _bins(self, velocities: np.ndarray) -> np.ndarray:
        """Bins of velocities, 1..num_velocity_bins; zeros without dynamics."""
        if not self.num_velocity_bins:
            return np.zeros(len(velocities), np.int64)
        return (np.clip(velocities, 1, _NUM_VELOCITIES) - 1) // self._bin_size + 1

    def _velocities(self, bins: np.ndarray) -> np.ndarray:
        """The lowest velocity of each bin; of bins not in use, the highest of all."""
        return np.minimum((bins - 1) * self._bin_size + 1, _NUM_VELOCITIES)

    @property
    def _bin_size(self) -> int:
        return -(-_NUM_VELOCITIES // self.num_velocity_bins)

    @property
    def _num_used_bins(self) -> int:
        return (_NUM_VELOCITIES - 1) // self._bin_size + 1


def _parse_bars(
    kinds: np.ndarray, values: np.ndarray
) -> tuple[Bars, np.ndarray, np.ndarray]:
    """The bars of tokens, and the bar and the position at each token.

    Args:
        kinds: int64 [num_tokens].
        values: int64 [num_tokens].
    """
    rows = np.flatnonzero(kinds == BAR)
    metres = values[rows]
    bar = np.maximum(np.cumsum(kinds == BAR) - 1, 0)
    places = np.arange(len(kinds))
    last_bar = np.maximum.accumulate(np.where(kinds == BAR, places, -1))
    last_position = np.maximum.accumulate(np.where(kinds == POSITION, places, -1))
    positions = np.where(last_position > last_bar, values[last_position], 0)
    lengths = METRE_STEPS[metres]
    ends = lengths.copy()
    cuts = np.flatnonzero((kinds == CUT) & (positions > 0))
    ends[bar[cuts]] = np.minimum(ends[bar[cuts]], positions[cuts])
    upbeat = 0
    if len(rows):
        ends[-1] = lengths[-1]  # no bar comes early after the last
        begins = values[: rows[0]][kinds[: rows[0]] == UPBEAT][:1]
        upbeat = int(begins[0]) if len(begins) and begins[0] < ends[0] else 0
        ends[0] -= upbeat
    tempos = np.full(len(rows), -1)
    found = np.flatnonzero(kinds == TEMPO)
    tempos[bar[found]] = values[found]
    newest = np.maximum.accumulate(np.where(tempos >= 0, np.arange(len(rows)), -1))
    tempos = np.append(tempos, -1)[newest]
    return Bars(metres, ends, upbeat, tempos), bar, positions


def _latest(
    kinds: np.ndarray, values: np.ndarray, kind: int, default: int
) -> np.ndarray:
    """The value of the newest token of a kind at each token, int64 [num_tokens]."""
    places = np.where(kinds == kind, np.arange(len(kinds)), -1)
    # Place -1, none yet, finds the default, which stands last.
    return np.append(values, default)[np.maximum.accumulate(places)]


def _one_at_a_time(notes: NoteTable) -> tuple[NoteTable, collections.Counter]:
    """As `NoteTable.one_at_a_time`; drums are as short as they are written."""
    is_drum = notes.voices == DRUMS
    ends = np.where(is_drum, notes.starts + DRUM_STEPS, notes.ends)
    notes, losses = notes.with_columns(ends=ends).one_at_a_time()
    is_short = (notes.voices == DRUMS) & (notes.ends < notes.starts + DRUM_STEPS)
    losses["cut_notes"] -= np.sum(is_short).item()
    return notes, losses


def _duration_numbers(notes: NoteTable) -> np.ndarray:
    return np.searchsorted(DURATIONS, notes.ends - notes.starts)


def _tag_of(sequence: NoteSequence) -> str:
    genres = sequence.sequence_metadata.genre
    return genres[0].strip().lower() if genres else ""


def _key_of(sequence: NoteSequence, notes: NoteTable) -> Key | None:
    """The key that a piece is written in, or that its notes seem to be in.

    C major is what files say that do not know, and is not believed.
    """
    signatures = sorted(sequence.key_signatures, key=lambda signature: signature.time)
    for signature in signatures[:1]:
        is_minor = signature.mode in _MINOR_MODES
        if is_minor or signature.key:
            return Key(signature.key % 12, _MODES[is_minor], 1.0)
    pitched = notes.take(notes.voices != DRUMS)
    if not len(pitched):
        return None
    lengths = pitched.ends - pitched.starts
    return key_of(np.bincount(pitched.pitches % 12, lengths, minlength=12))


def _instrument_name(voice: int) -> str:
    names = {PIANO: "Piano", DRUMS: "Drums"}
    return names.get(voice, f"Program {voice}")


def _make_tokens() -> dict[int, list[tuple[str, int]]]:
    """Names and values of the tokens of each kind."""

    def numbered(name: str, values: Sequence[int]) -> list[tuple[str, int]]:
        return [(f"{name}{value}", value) for value in values]

    places = range(1, MAX_BAR_STEPS)
    return {
        TAG: numbered("tag", range(_MAX_TAGS + 1)),
        KEY: numbered("key", range(25)),
        DENSITY: numbered("density", range(len(_DENSITIES) + 1)),
        LENGTH: numbered("length", range(len(_LENGTHS) + 1)),
        UPBEAT: numbered("upbeat", places),
        BAR: [(f"bar{n}/{d}", i) for i, (n, d) in enumerate(METRES)],
        CUT: [("cut", 0)],
        TEMPO: numbered("tempo", range(len(TEMPOS))),
        POSITION: numbered("position", places),
        INSTRUMENT: numbered("instrument", range(128)),
        VELOCITY: numbered("velocity", range(1, 33)),
        DURATION: numbered("duration", DURATIONS.tolist()),
        PITCH: numbered("n", range(_NUM_PITCHES)),
        DRUM: numbered("drum", range(_NUM_PITCHES)),
    }


_TOKENS = _make_tokens()
_NAMES = [name for tokens in _TOKENS.values() for name, _ in tokens]
_SIZES = [NUM_SPECIAL, *map(len, _TOKENS.values())]
# Of every id, what it is and its pitch, steps or number.
_KINDS = np.repeat(np.array([NOTHING, *_TOKENS]), _SIZES)
_VALUES = np.array([0] * NUM_SPECIAL + [v for t in _TOKENS.values() for _, v in t])
_FIRST_IDS = dict(zip(_TOKENS, np.cumsum(_SIZES)[:-1].tolist(), strict=True))


def _ids(kind: int) -> np.ndarray:
    """The ids of the tokens of a kind, in order of their values."""
    return _FIRST_IDS[kind] + np.arange(len(_TOKENS[kind]))


def _whole(number: int) -> tuple[float, ...]:
    """Limits between whole numbers up to one."""
    return tuple(i + 0.5 for i in range(number))
