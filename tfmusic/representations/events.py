"""Notes and pedals as events of one kind: rows of id, start, duration, intensity."""

import numpy as np

from tfmusic.notes import NoteSequence, wire
from tfmusic.notes.grid import Grid
from tfmusic.representations.note_table import NoteTable, ranges
from tfmusic.representations.tokens import INSTRUMENTS

# Columns of a row.
ID, START, DURATION, INTENSITY = range(4)
NUM_COLUMNS = 4

LOWEST_PITCH = 21  # of id 0
NUM_KEYS = 88
# Damper, sostenuto and soft pedal: ids from `NUM_KEYS` on, by their control numbers.
PEDALS = (64, 66, 67)
NUM_IDS = NUM_KEYS + len(PEDALS)
LARGEST_INTENSITY = 127
# In steps; what 16 bits hold.
LONGEST = np.iinfo(np.uint16).max


def note_events(notes: NoteTable) -> np.ndarray:
    """Notes as events, int64 [num_notes, 4]; those that last too long are cut."""
    return np.stack(
        [
            notes.pitches - LOWEST_PITCH,
            notes.starts,
            np.minimum(notes.ends - notes.starts, LONGEST),
            np.clip(notes.velocities, 1, LARGEST_INTENSITY),
        ],
        axis=-1,
    )


def pedal_events(
    sequence: NoteSequence,
    grid: Grid,
    num_bins: int,
    end: int,
    instrument: int | None = None,
) -> np.ndarray:
    """The pedals of a piece as events.

    A pedal's values lie in bins: 0 alone, and 1..127 in `num_bins` bins of equal size.
    As long as a pedal stays in a bin that is one event, whose intensity is the mean
    over time of its values; there is none where the value is 0. At one step, the last
    value counts. All instruments work the same pedals.

    Args:
        sequence: A piece.
        grid: What to round times to.
        num_bins: 1..127.
        end: In steps; pedals that are still down go up there.
        instrument: Read the pedals of this one alone.

    Returns:
        int64 [num_events, 4], of each pedal in order of start, however long.
    """
    names = ("instrument", "time", "control_number", "control_value", "is_drum")
    controls = wire.columns(sequence, "control_changes", *names)
    used = ~controls["is_drum"]
    if instrument is not None:
        used &= controls["instrument"] == instrument
    steps = np.maximum(grid.to_steps(sequence, controls["time"]), 0)
    values = np.clip(controls["control_value"], 0, LARGEST_INTENSITY)
    events = [np.zeros((0, NUM_COLUMNS), np.int64)]
    for pedal, number in enumerate(PEDALS, NUM_KEYS):
        rows = np.flatnonzero(used & (controls["control_number"] == number))
        rows = rows[steps[rows] < end]
        rows = rows[np.argsort(steps[rows], kind="stable")]
        if len(rows):
            runs = _runs(steps[rows], values[rows], num_bins, end)
            events.append(np.insert(runs, ID, pedal, axis=1))
    return np.concatenate(events)


def split(events: np.ndarray, steps: int, at_chunks: bool = False) -> np.ndarray:
    """The same events [num_pieces, 4], those that last longer than `steps` as several.

    Args:
        events: int64 [num_events, 4].
        steps: How long a piece may be.
        at_chunks: Whether pieces end at multiples of `steps`, rather than so long after
            their event's start: none then lasts from one chunk of time into the next.
    """
    starts, ends = events[:, START], events[:, START] + events[:, DURATION]
    first = starts - starts % steps if at_chunks else starts
    counts = -(-(ends - first) // steps)
    pieces = np.repeat(events, counts, axis=0)
    borders = np.repeat(first, counts) + steps * ranges(counts)
    pieces[:, START] = np.maximum(pieces[:, START], borders)
    ends = np.minimum(np.repeat(ends, counts), borders + steps)
    pieces[:, DURATION] = ends - pieces[:, START]
    return pieces


def to_sequence(events: np.ndarray, grid: Grid) -> NoteSequence:
    """Plays events.

    A note ends where its key is struck again. A pedal is where the newest of its events
    that last has it, of those that began together the longest: one that lasts beyond
    those after it resumes. Events of recorded music do not overlap, those that a
    network makes do, as most of them are short steps on a pedal's way down or up.

    Args:
        events: int64 [num_events, 4] in any order, of known ids, with durations and
            intensities above 0.
        grid: Turns steps into seconds.
    """
    is_note = events[:, ID] < NUM_KEYS
    ids, starts, durations, intensities = events[is_note].T
    notes, _ = NoteTable(
        voices=np.zeros(len(ids), np.int64),
        pitches=ids + LOWEST_PITCH,
        starts=starts,
        ends=starts + durations,
        velocities=intensities,
    ).one_at_a_time()
    sequence = notes.to_sequence(grid, INSTRUMENTS)

    changes = np.concatenate(
        [
            _changes(events[events[:, ID] == pedal], number)
            for pedal, number in enumerate(PEDALS, NUM_KEYS)
        ]
    )
    steps, numbers, values = changes[np.lexsort(changes[:, 1::-1].T)].T
    wire.extend(
        sequence,
        "control_changes",
        time=grid.to_seconds(steps),
        control_number=numbers,
        control_value=values,
    )
    last = float(grid.to_seconds(steps.max(initial=0)))
    sequence.total_time = max(sequence.total_time, last)
    return sequence


def _changes(events: np.ndarray, number: int) -> np.ndarray:
    """Step, control number and value wherever a pedal moves; `events` are its own."""
    events = events[np.lexsort((events[:, DURATION], events[:, START]))]
    starts, ends = events[:, START], events[:, START] + events[:, DURATION]
    steps = np.unique(np.concatenate([starts, ends]))
    values = np.zeros(len(steps), np.int64)  # from each step on
    spans = np.searchsorted(steps, [starts, ends]).T
    # The newest event comes last.
    for intensity, (begin, end) in zip(
        events[:, INTENSITY], spans.tolist(), strict=True
    ):
        values[begin:end] = intensity
    moves = np.flatnonzero(np.diff(values, prepend=0))
    return np.stack([steps[moves], np.full(len(moves), number), values[moves]], axis=-1)


def _runs(steps: np.ndarray, values: np.ndarray, num_bins: int, end: int) -> np.ndarray:
    """Spans in which a pedal stays in a bin that is not 0.

    Args:
        steps: When its values change, int64 [n], ascending.
        values: To what, int64 [n].
        num_bins: See `pedal_events`.
        end: Above all steps.

    Returns:
        Start, duration and mean value, int64 [num_spans, 3].
    """
    lengths = np.diff(steps, append=end)  # 0 but for the last value at a step
    steps, values, lengths = (a[lengths > 0] for a in (steps, values, lengths))
    bin_size = -(-LARGEST_INTENSITY // num_bins)
    bins = (values + bin_size - 1) // bin_size
    begins = np.flatnonzero(np.diff(bins, prepend=-1))
    durations = np.add.reduceat(lengths, begins)
    sums = np.add.reduceat(values * lengths, begins)
    means = (2 * sums + durations) // (2 * durations)  # to the nearest, halves up
    runs = np.stack([steps[begins], durations, means], axis=-1)
    return runs[bins[begins] > 0]
