"""Bars, places in them, and notes: music of any kind as events on a beat grid."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from tfmusic.notes import NoteSequence, wire
from tfmusic.representations import bars_left, home_key
from tfmusic.representations.bar_grammar import bar_grammar
from tfmusic.representations.bar_lines import (
    COMMON,
    METRE_STEPS,
    METRES,
    STEPS_PER_QUARTER,
    Bars,
    read_bars,
    well_known,
)
from tfmusic.representations.bar_notes import (
    Piece,
    by_kind,
    condition_values,
    in_order,
    instrument_name,
    key_number,
    one_at_a_time,
    rounded,
    spread,
)
from tfmusic.representations.bar_tokens import (
    BAR,
    CUT,
    DENSITIES,
    DENSITY,
    DRUM,
    DRUMS,
    DURATION,
    DURATIONS,
    INSTRUMENT,
    KINDS,
    NAMES,
    NUM_PITCHES,
    NUM_VELOCITIES,
    PIANO,
    PITCH,
    TAG,
    TEMPO,
    TINY,
    UPBEAT,
    VALUES,
    VELOCITY,
    BarPlaces,
    ids,
    latest,
    parse_bars,
)
from tfmusic.representations.bar_writing import write_bars
from tfmusic.representations.base import EncodeError, Features, FeatureSpec
from tfmusic.representations.chords import PITCH_NAMES
from tfmusic.representations.conditions import Condition
from tfmusic.representations.note_table import NoteTable
from tfmusic.representations.tags import MAX_TAGS, add_tag, most_common, tag_of
from tfmusic.representations.token_grammar import TokenGrammar
from tfmusic.representations.tokens import TokenRepresentation
from tfmusic.representations.variation import Joint, Variation, move, stack

_NUM_LENGTHS = 33


@dataclasses.dataclass(frozen=True, kw_only=True)
class BarEvents(TokenRepresentation):
    """Bars, places in bars, and notes as one token after another.

    After REMI (Huang and Yang, "Pop Music Transformer", 2020), with a vocabulary that
    is the same for all music, so that a model of one collection can learn another. The
    grid has twelve steps a quarter: sixteenths and triplets.

    A piece is what holds for all of it ("tag3", "density4"; 0 for any), "upbeat36"
    where it begins at step 36 of its first bar, and its bars. A bar is
    "bar3/4", "tempo19" where that changes, and its notes, in order of place,
    instrument and pitch. A note is its pitch, "n60", after what differs from the note
    before: "position12", counted from the bar line, which itself is position 0;
    "instrument40", piano at first; "velocity9"; "duration6". So a note takes one to
    five tokens, most of a tune two. A note of drums is one token, "drum36", after
    position and velocity. "position12", "cut" end a bar early, at that place.

    Beside each token stand the key of the piece, "plan_key" (see `home_key.SPECS`), and
    how many bars are to come, "bars_left" (see `bars_left.SPECS`).

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
        note_steps: Notes begin at multiples of so many steps, and last at least one of
            these: 1, or for songs that were played by hand 3, sixteenths.
        programs: Whether there are instruments and drums; otherwise all notes are
            the piano's and drums are left out.
        tags: Names of the tags, at most 32, most frequent first; found in the training
            pieces (their `genre`).
        home_keys: How many training pieces are in each key, from C major to B minor.
        metre_bars: How many bars of training pieces have each of `METRES`.
        lengths: Of training pieces in bars, of the shortest and the longest and 31 in
            equal parts between.
    """

    name: ClassVar[str] = "bar_events"
    fitted_fields: ClassVar = ("tags", "home_keys", "metre_bars", "lengths")

    steps_per_quarter: int = STEPS_PER_QUARTER
    lowest_pitch: int = 0
    highest_pitch: int = 127
    note_steps: int = 1
    num_velocity_bins: int = 32
    tempos: bool = True
    programs: bool = True
    tags: tuple[str, ...] = ()
    home_keys: tuple[int, ...] = ()
    metre_bars: tuple[int, ...] = ()
    lengths: tuple[int, ...] = ()

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
        self.check(
            self.note_steps in (1, 2, 3, 4, 6, 12), "note_steps", "1, 2, 3, 4, 6 or 12"
        )
        self.check(len(self.tags) <= MAX_TAGS, "tags", f"at most {MAX_TAGS}")

    @property
    def feature_specs(self) -> Mapping[str, FeatureSpec]:
        """Tokens, the key, and bars to come."""
        return {**super().feature_specs, **home_key.SPECS, **bars_left.SPECS}

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

    @property
    def keep_names(self) -> tuple[str, ...]:
        """The hands of piano music, which has dynamics; or parts of a band."""
        if self.programs:
            return ("melody", "drums")
        return ("right", "left") if self.has_dynamics else ()

    def always_known(self) -> tuple[str, ...]:
        """All tokens but the special ones, in the order of their ids."""
        return tuple(NAMES)

    def token_pitches(self) -> np.ndarray:
        """The pitch of each note but those of drums: bool [vocabulary size, 128]."""
        rows = np.flatnonzero(KINDS == PITCH)
        pitches = np.zeros((len(KINDS), NUM_PITCHES), bool)
        pitches[rows, VALUES[rows]] = True
        return pitches

    def token_labels(self) -> list[str]:
        """Each token for people to read, notes by name."""
        return [
            PITCH_NAMES[value] if kind == PITCH else token
            for token, kind, value in zip(
                self.vocabulary.tokens, KINDS, VALUES, strict=True
            )
        ]

    def silent_tokens(self) -> np.ndarray:
        """Bars: where one follows another, nothing is struck in it."""
        return KINDS == BAR

    def bars_begun(self) -> np.ndarray:
        """How many bars each token begins, int64 [vocabulary size].

        What says that the first bar is an upbeat takes one back.
        """
        return (KINDS == BAR).astype(np.int64) - (KINDS == UPBEAT)

    def bar_places(self) -> BarPlaces:
        """What tokens say of their places in bars."""
        return BarPlaces.of_tokens()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What the first tokens say of the whole piece."""
        return (
            Condition(
                "tag", ids(TAG), tuple(i + 0.5 for i in range(MAX_TAGS)), self.tags
            ),
            Condition("notes_per_quarter", ids(DENSITY), (TINY, *DENSITIES[1:])),
        )

    @property
    def metres(self) -> tuple[tuple[int, int], ...]:
        """Numerator and denominator of the metres of bars that a user may ask for."""
        return tuple(METRES[number] for number in well_known(self.metre_bars))

    def bars_of_metres(self) -> np.ndarray:
        """Which tokens music of one metre has, by its metre.

        Returns:
            Bool [1 + number of metres, vocabulary size]; in row 0 all.
        """
        metres = well_known(self.metre_bars)[:, np.newaxis]
        refused = (KINDS == BAR) & (metres != VALUES)
        refused |= (KINDS == UPBEAT) & (METRE_STEPS[metres] <= VALUES)
        return np.concatenate([np.ones((1, len(KINDS)), bool), ~refused])

    def token_grammar(self) -> TokenGrammar:
        """See `bar_grammar`; tokens of what is not kept never come."""
        unused = {
            TEMPO: not self.tempos,
            INSTRUMENT: not self.programs,
            DRUM: not self.programs,
            VELOCITY: not self.num_velocity_bins,
        }
        is_unused = np.isin(KINDS, [kind for kind, value in unused.items() if value])
        if self.num_velocity_bins:
            num_bins = (NUM_VELOCITIES - 1) // self._bin_size + 1
            is_unused |= (KINDS == VELOCITY) & (num_bins < VALUES)
        outside = (self.lowest_pitch > VALUES) | (self.highest_pitch < VALUES)
        return bar_grammar(~(is_unused | ((KINDS == PITCH) & outside)))

    def transpositions(self, semitones: Sequence[int]) -> Joint:
        """Other pitches, and another key."""
        tokens = super().transpositions(semitones)
        return Joint((tokens, home_key.transpositions(semitones)))

    def transposed_ids(self, semitones: int) -> np.ndarray:
        """Other pitches; drums stay. int64 [vocabulary size]."""
        row = np.arange(len(KINDS))
        pitches = np.arange(NUM_PITCHES)
        moved = move(pitches, semitones, NUM_PITCHES)
        inside = (moved >= self.lowest_pitch) & (moved <= self.highest_pitch)
        row[ids(PITCH)] = np.where(inside, ids(PITCH)[0] + moved, -1)
        return row

    def without_conditions(self) -> Variation:
        """Every choice of conditions that are said, the others being any."""
        rows = []
        for choice in range(2 ** len(self.conditions)):
            row = np.arange(len(KINDS))
            for i, condition in enumerate(self.conditions):
                if choice >> i & 1:
                    row[condition.ids] = condition.ids[0]
            rows.append(row)
        return Variation("tokens", stack(rows))

    def count(self, sequence: NoteSequence) -> collections.Counter:
        """The tag, the key, the length in bars, and the bars of each metre."""
        piece, _ = self.read(sequence)
        said = {
            "tag": tag_of(sequence),
            "key": piece.key,
            "bars": len(piece.bars) - bool(piece.bars.upbeat),
        }
        counts = collections.Counter(f"{k} {v}" for k, v in said.items() if v)
        return counts + collections.Counter(f"metre {m}" for m in piece.bars.metres)

    def fit_counts(self, counts: Mapping[str, int]) -> "BarEvents":
        """With the tags that most pieces have, of those that several have."""
        kinds = by_kind(counts)
        return dataclasses.replace(
            self,
            tags=most_common(kinds["tag"]),
            home_keys=in_order(kinds["key"], 1, home_key.NUM_KEYS),
            metre_bars=in_order(kinds["metre"], 0, len(METRES)),
            lengths=spread({int(n): c for n, c in kinds["bars"].items()}, _NUM_LENGTHS),
        )

    def encode_with_losses(
        self, sequence: NoteSequence
    ) -> tuple[Features, collections.Counter]:
        """Encodes a piece as the arrays that the class names.

        Losses besides those of `read_notes` are named in the class.
        """
        piece, losses = self.read(sequence)
        return self.features_of(piece), losses

    def as_beginning(self, features: Features) -> Features:
        """Without the number of bars to come."""
        return features | {bars_left.NAME: np.zeros_like(features[bars_left.NAME])}

    def decode(self, features: Features) -> NoteSequence:
        """Plays tokens, encoded or generated, as the class says."""
        keys = np.asarray(features[home_key.NAME])
        key = int(keys[0]) if len(keys) else 0
        return self._to_sequence(self.parse(self.musical_ids(features["tokens"]), key))

    def canonicalize(self, sequence: NoteSequence) -> NoteSequence:
        """The piece as it comes back from encoding."""
        return self._to_sequence(self.read(sequence)[0])

    def read_notes(
        self, sequence: NoteSequence
    ) -> tuple[NoteTable, collections.Counter]:
        """The notes that can be encoded; voices are programs, and `DRUMS`.

        Losses are those of all kinds, but drums only without `programs`.
        """
        columns = wire.columns(sequence, "notes", "program", "is_drum", "instrument")
        notes = rounded(NoteTable.of(sequence, self.grid), self.note_steps)
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

    def read(self, sequence: NoteSequence) -> tuple[Piece, collections.Counter]:
        """What the arrays of a piece are to say, and what that loses."""
        notes, losses = self.read_notes(sequence)
        notes, more = one_at_a_time(notes)
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
        conditions = condition_values(sequence, notes, self.tags)
        key = key_number(sequence, notes)
        return Piece(notes, bars, conditions, key), +(losses + more)

    def _known_tempos(self, bars: Bars) -> Bars:
        if self.tempos:
            return bars
        return dataclasses.replace(bars, tempos=np.full(len(bars), -1))

    def _to_sequence(self, piece: Piece) -> NoteSequence:
        notes, bars = piece.notes, piece.bars
        tempo_map = bars.tempo_map(self.qpm)
        sequence = NoteSequence(ticks_per_quarter=40 * STEPS_PER_QUARTER)
        wire.extend(sequence, "tempos", time=tempo_map.seconds, qpm=tempo_map.qpm)
        if len(bars):
            bars.add_signatures(sequence, tempo_map)
        add_tag(sequence, piece.conditions[0], self.tags)
        home_key.add_signature(sequence, {home_key.NAME: [piece.key]})
        order = np.lexsort((notes.pitches, notes.voices, notes.starts))
        notes = notes.take(order)
        # Instruments are numbered in the order in which they come in.
        voices, first = np.unique(notes.voices, return_index=True)
        numbers = np.argsort(np.argsort(first))
        for voice in voices[np.argsort(first)].tolist():
            sequence.instrument_infos.add(
                instrument=len(sequence.instrument_infos), name=instrument_name(voice)
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

    def features_of(self, piece: Piece) -> Features:
        """The arrays that say so."""
        tokens = self._write(piece)
        return {
            "tokens": tokens,
            home_key.NAME: np.full(len(tokens), piece.key, np.int8),
            **bars_left.encode_bars_left(self.bars_begun()[tokens]),
        }

    def _write(self, piece: Piece) -> np.ndarray:
        """Tokens of a piece, int32 [num_tokens]."""
        said = [
            c.ids[v] for c, v in zip(self.conditions, piece.conditions, strict=True)
        ]
        bins = self._bins(piece.notes.velocities) if self.num_velocity_bins else None
        return write_bars(said, piece.notes, piece.bars, bins, self.tempos)

    def parse(self, tokens: np.ndarray, key: int) -> Piece:
        """What tokens say, in any order, of a piece in a key."""
        kinds = KINDS[tokens]
        bar_rows = np.flatnonzero(kinds == BAR)
        said = np.flatnonzero((kinds >= CUT) & (kinds <= DRUM))
        if len(said) and (not len(bar_rows) or said[0] < bar_rows[0]):
            tokens = np.insert(tokens, said[0], ids(BAR)[COMMON])
            kinds = KINDS[tokens]
        values = VALUES[tokens]
        bars, bar, positions = parse_bars(kinds, values)
        bars = self._known_tempos(bars)
        rows = np.flatnonzero((kinds == PITCH) | (kinds == DRUM))
        is_drum = kinds[rows] == DRUM
        bar, positions = bar[rows], positions[rows]
        starts = bars.lines[bar] + positions
        starts = np.clip(starts, bars.starts[bar], (bars.starts + bars.spans)[bar] - 1)
        voices = np.where(
            is_drum, DRUMS, latest(kinds, values, INSTRUMENT, PIANO)[rows]
        )
        if not self.programs:
            rows, starts, voices = (x[~is_drum] for x in (rows, starts, voices * 0))
        velocities = np.full(len(rows), self.velocity)
        if self.num_velocity_bins:
            bins = latest(kinds, values, VELOCITY, 0)[rows]
            velocities = np.where(bins, self._velocities(bins), self.velocity)
        durations = latest(kinds, values, DURATION, STEPS_PER_QUARTER)[rows]
        notes = NoteTable(voices, values[rows], starts, starts + durations, velocities)
        inside = (notes.pitches >= self.lowest_pitch) & (
            notes.pitches <= self.highest_pitch
        )
        notes = notes.take(inside | (voices == DRUMS))
        notes, _ = one_at_a_time(notes)
        conditions = [
            next(iter(values[kinds == kind].tolist()), 0) for kind in (TAG, DENSITY)
        ]
        return Piece(notes, bars, tuple(conditions), key)

    def _bins(self, velocities: np.ndarray) -> np.ndarray:
        """Bins of velocities, 1..num_velocity_bins; zeros without dynamics."""
        if not self.num_velocity_bins:
            return np.zeros(len(velocities), np.int64)
        return (np.clip(velocities, 1, NUM_VELOCITIES) - 1) // self._bin_size + 1

    def _velocities(self, bins: np.ndarray) -> np.ndarray:
        """The lowest velocity of each bin; of bins not in use, the highest of all."""
        return np.minimum((bins - 1) * self._bin_size + 1, NUM_VELOCITIES)

    @property
    def _bin_size(self) -> int:
        return -(-NUM_VELOCITIES // self.num_velocity_bins)
