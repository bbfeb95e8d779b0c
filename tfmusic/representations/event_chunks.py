"""Sets of events, notes and pedals alike, one set for each chunk of time."""

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from tfmusic.errors import UserError
from tfmusic.notes import NoteSequence
from tfmusic.representations import event_vectors, events
from tfmusic.representations.base import (
    EncodeError,
    Features,
    FeatureSpec,
    Representation,
)
from tfmusic.representations.events import DURATION, ID, INTENSITY, START
from tfmusic.representations.note_table import ranges
from tfmusic.representations.variation import (
    EventStretch,
    Variation,
    move,
    stack,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EventChunks(Representation):
    """What begins in each chunk of time: notes with their velocity, and pedals.

    "events", uint16 [chunk, event, feature] with features id (0..87 keys, 88 damper,
    89 sostenuto, 90 soft pedal), start in the chunk, duration (which may reach beyond
    it) and intensity (1..127); "num_events", uint8 [chunk]: how many of them there
    are, the rest being zeros. They stand in order of start and id, which means
    nothing. Times are in steps of the grid, by default 1/960 second. The last chunk is
    the one in which the last event begins.

    The encoding of "TimeStepMusic", a set autoencoder with a GAN over its codes, which
    has chunks of 0.25 s and 15 events in code, 0.5 s and 30 in its text. `to_vectors`
    gives its five encodings for networks. Its defects, mended: the first chunk held
    one event fewer, a key struck again had a note without duration before it.

    The sustain pedal is not applied to the notes, it is kept: see
    `events.pedal_events` for how the values of pedals become few events. Where more
    events begin in a chunk than fit (loss `overflows`) the shortest are left out, of
    equally short ones the softest; the original left out those that begin last.

    It holds dynamics and pedals, but beyond what no kind holds it cannot express: two
    notes at once of one pitch (the longer stays: loss `unisons`, or the older ends:
    `cut_notes`), notes longer than 65,535 steps (`clamped_durations`), values of pedals
    within a bin, pedals after the end of the piece, whose pedal it is, who plays which
    note, and silence after the last event.

    Decoding takes any arrays: events of other ids or of keys out of range are passed
    over, other numbers are brought into their ranges; for the rest see
    `events.to_sequence`.

    Attributes:
        steps_per_second: Steps, called ticks in MIDI, of the grid in real time.
        chunk_seconds: Length of a chunk, a whole number of steps.
        max_events: That fit in a chunk, 1..255.
        pedal_bins: Bins of the values of pedals, 1..127; 127 keeps them all.
        split_pedals: Whether a pedal that stays down is an event of each chunk in
            which it does, and not only of the first. A chunk then tells by itself
            whether the pedal is down, without which generators hardly learn it.
        duration_lognormal: What `fit` finds: standard deviation of the logarithm of
            durations, and their median in steps; empty before. Only `to_vectors` and
            `from_vectors` need it.
    """

    name: ClassVar[str] = "event_chunks"
    fitted_fields: ClassVar[tuple[str, ...]] = ("duration_lognormal",)
    max_steps: ClassVar[int] = 1 << 26  # 19 hours

    steps_per_quarter: int = 0
    steps_per_second: float = 960.0
    chunk_seconds: float = 0.5
    max_events: int = 30
    pedal_bins: int = 4
    split_pedals: bool = False
    duration_lognormal: tuple[float, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        self.check(
            self.steps_per_second > 0,
            "steps_per_second",
            "above 0: chunks need a grid in real time",
        )
        self.check(
            self.chunk_steps >= 1
            and abs(self.chunk_seconds * self.steps_per_second - self.chunk_steps)
            < 1e-6,
            "chunk_seconds",
            f"a multiple of a step, 1/{self.steps_per_second:g} s",
        )
        longest = f"at most {events.LONGEST} steps"
        self.check(self.chunk_steps <= events.LONGEST, "chunk_seconds", longest)
        self.check(1 <= self.max_events <= 255, "max_events", "1..255")
        self.check(1 <= self.pedal_bins <= 127, "pedal_bins", "1..127")
        low, high = events.LOWEST_PITCH, events.LOWEST_PITCH + events.NUM_KEYS - 1
        self.check(low <= self.lowest_pitch, "lowest_pitch", f"{low} or more")
        self.check(self.highest_pitch <= high, "highest_pitch", f"{high} or less")

    @property
    def step_seconds(self) -> float:
        """How long a chunk lasts."""
        return self.chunk_seconds

    @property
    def has_dynamics(self) -> bool:
        """Decoded notes have velocities of their own."""
        return True

    @property
    def chunk_steps(self) -> int:
        """Steps of a chunk."""
        return round(self.chunk_seconds * self.steps_per_second)

    @property
    def feature_specs(self) -> Mapping[str, FeatureSpec]:
        """Events of each chunk, and how many."""
        return {
            "events": FeatureSpec(
                (None, self.max_events, events.NUM_COLUMNS),
                "uint16",
                "[chunk, event, feature]; id, start, duration, intensity",
                (events.NUM_IDS - 1, *[events.LONGEST] * (events.NUM_COLUMNS - 1)),
            ),
            "num_events": FeatureSpec(
                (None,), "uint8", "[chunk]; events in use", self.max_events
            ),
        }

    def encode_with_losses(
        self, sequence: NoteSequence
    ) -> tuple[Features, collections.Counter]:
        """Encodes a piece; see `Representation.encode`."""
        rows, losses = self._read_events(sequence)
        chunks, starts = np.divmod(rows[:, START], self.chunk_steps)
        counts = np.bincount(chunks)
        rows[:, START] = starts
        array = np.zeros((len(counts), self.max_events, events.NUM_COLUMNS), np.uint16)
        array[chunks, ranges(counts)] = rows
        return {"events": array, "num_events": counts.astype(np.uint8)}, losses

    def decode(self, features: Features) -> NoteSequence:
        """Plays chunks of events, encoded or generated, as the class says."""
        array = np.asarray(features["events"], np.int64)
        counts = np.asarray(features["num_events"], np.int64)
        used = np.arange(array.shape[1]) < counts[:, None]
        chunks, _ = np.nonzero(used)
        rows = array[used]
        rows[:, START] = np.clip(rows[:, START], 0, self.chunk_steps - 1)
        rows[:, START] += chunks * self.chunk_steps
        rows[:, DURATION] = np.clip(rows[:, DURATION], 1, events.LONGEST)
        rows[:, INTENSITY] = np.clip(rows[:, INTENSITY], 1, events.LARGEST_INTENSITY)
        pitches = rows[:, ID] + events.LOWEST_PITCH
        is_key = (pitches >= self.lowest_pitch) & (pitches <= self.highest_pitch)
        is_pedal = (rows[:, ID] >= events.NUM_KEYS) & (rows[:, ID] < events.NUM_IDS)
        return events.to_sequence(rows[is_key | is_pedal], self.grid)

    def canonicalize(self, sequence: NoteSequence) -> NoteSequence:
        """The piece as it comes back from encoding."""
        return events.to_sequence(self._read_events(sequence)[0], self.grid)

    def count(self, sequence: NoteSequence) -> collections.Counter:
        """How often each duration, in steps, occurs."""
        durations = self._read_events(sequence)[0][:, DURATION]
        values, counts = np.unique(durations, return_counts=True)
        return collections.Counter(
            dict(zip(values.tolist(), counts.tolist(), strict=True))
        )

    def fit_counts(self, counts: Mapping[int, int]) -> "EventChunks":
        """A representation with the likeliest log-normal distribution of durations."""
        if not counts:
            return self
        # In order, so that the sums do not depend on who counted first.
        durations = np.array(sorted(counts), np.float64)
        weights = np.array([counts[duration] for duration in sorted(counts)])
        logarithms = np.log(durations)
        mean = np.average(logarithms, weights=weights)
        variance = np.average((logarithms - mean) ** 2, weights=weights)
        # A spread of nothing, where all are equal, would tell no others apart.
        shape = max(math.sqrt(variance), 0.1)
        fitted = (round(shape, 6), round(math.exp(mean), 6))
        return dataclasses.replace(self, duration_lognormal=fitted)

    def transpositions(self, semitones: Sequence[int]) -> Variation:
        """Other keys within the range of pitches; pedals stay."""
        ids = np.arange(events.NUM_IDS)
        first = self.lowest_pitch - events.LOWEST_PITCH
        keys = slice(first, first + self.num_keys)
        rows = np.tile(ids, (len(semitones), 1))
        for row, steps in zip(rows, semitones, strict=True):
            moved = move(np.arange(self.num_keys), steps, self.num_keys)
            row[keys] = np.where(moved < 0, -1, first + moved)
        return Variation("events", stack(rows), of="rows")

    def stretches(self, factors: Sequence[float]) -> EventStretch:
        """Times to the nearest step; events may get into other chunks.

        Pedals that were split at borders (`split_pedals`) then end elsewhere: within a
        chunk, or in the next, of which they are no event.
        """
        return EventStretch("events", "num_events", self.chunk_steps, tuple(factors))

    def velocity_shifts(self, shifts: Sequence[int]) -> Variation:
        """Other intensities of notes; pedals stay."""
        rows = []
        for shift in shifts:
            moved = move(
                np.arange(events.LARGEST_INTENSITY), shift, events.LARGEST_INTENSITY
            )
            rows.append(np.append(0, np.where(moved < 0, -1, moved + 1)))
        return Variation(
            "events",
            stack(rows),
            of="rows",
            column=INTENSITY,
            num_ids=events.NUM_KEYS,
        )

    @property
    def scale(self) -> event_vectors.EventScale:
        """What `to_vectors` measures by.

        Raises:
            UserError: It is not fitted.
        """
        if not self.duration_lognormal:
            raise UserError(
                f"representation {self.name} does not know how long events last; call "
                "fit with the training pieces, or load the representation of a dataset "
                "or an export"
            )
        return event_vectors.EventScale(self.chunk_steps, *self.duration_lognormal)

    def to_vectors(self, array: np.ndarray, encoding: str) -> np.ndarray:
        """Events [..., event, 4] as vectors; see `event_vectors.to_vectors`."""
        return event_vectors.to_vectors(array, encoding, self.scale)

    def from_vectors(self, vectors: np.ndarray, encoding: str) -> np.ndarray:
        """Vectors as events [..., event, 4]; see `event_vectors.from_vectors`."""
        return event_vectors.from_vectors(vectors, encoding, self.scale)

    def _read_events(
        self, sequence: NoteSequence
    ) -> tuple[np.ndarray, collections.Counter]:
        """All events that fit, int64 [num_events, 4] in order of start, and losses."""
        notes, losses = self.read_notes(sequence)
        notes, more = notes.one_at_a_time()
        losses += more
        losses["clamped_durations"] = np.sum(
            notes.ends - notes.starts > events.LONGEST
        ).item()
        end = int(self.grid.to_steps(sequence, sequence.total_time))
        instrument = None
        if self.first_instrument_only:
            instrument = min(n.instrument for n in sequence.notes if not n.is_drum)
        pedals = events.pedal_events(
            sequence, self.grid, self.pedal_bins, max(end, notes.num_steps), instrument
        )
        longest = self.chunk_steps if self.split_pedals else events.LONGEST
        pedals = events.split(pedals, longest, at_chunks=self.split_pedals)
        rows = np.concatenate([events.note_events(notes), pedals])
        self.check_length(rows[:, START].max().item())
        rows, losses["overflows"] = self._fitting(rows)
        if not np.any(rows[:, ID] < events.NUM_KEYS):
            raise EncodeError(
                "no_notes",
                f"expected notes, found pedals alone in all chunks: {self.max_events} "
                f"events are too few, or {self.pedal_bins} bins of pedals too many",
            )
        return rows[np.lexsort((rows[:, ID], rows[:, START]))], +losses

    def _fitting(self, rows: np.ndarray) -> tuple[np.ndarray, int]:
        """The events that fit in their chunks, and how many others there are."""
        chunks = rows[:, START] // self.chunk_steps
        order = np.lexsort(
            (
                rows[:, ID],
                rows[:, START],
                -rows[:, INTENSITY],
                -rows[:, DURATION],
                chunks,
            )
        )
        kept = order[ranges(np.bincount(chunks)) < self.max_events]
        return rows[kept], len(rows) - len(kept)
