"""What a piece is like in numbers that any music has: notes, lengths, chords, ranges.

No number here says that music is good. They show what went wrong: a note held for ever,
silence, one chord again and again.
"""

import dataclasses

import numpy as np

from tfmusic.evaluation.note_arrays import NoteArrays, Segments
from tfmusic.evaluation.tonality import entropy
from tfmusic.evaluation.voices import VOICES
from tfmusic.notes import NoteSequence

RANGES = "Pitch ranges"
# Upper bounds of the note length classes in quarters, inclusive; then "longer".
LENGTH_BOUNDS = (0.25, 0.5, 1.0, 2.0, 4.0)
# In quarters: a note that a rounded tempo makes a hair too long keeps its class.
_TINY = 1e-3


@dataclasses.dataclass(frozen=True)
class MusicStatistics:
    """One piece in numbers. Drums are left out.

    What has no value in a piece without notes is None there; everything else is a
    number for every piece, also an empty one. A chord is the set of pitches that
    sound, one pitch being a chord too; a stroke is a moment in which at least one
    note starts.

    Attributes:
        num_notes: Notes.
        seconds: From time 0 to the end of the sequence, silence included.
        length_quarters: The same in quarters.
        notes_per_quarter: `num_notes / length_quarters`; 0 in a piece of no length.
        polyphony: Pitches that sound at once, the mean over the quarters in which any
            does (as MusPy has it); 0 if none ever does.
        silence_share: Share of `seconds` in which no pitch sounds; 1 in a piece of no
            length.
        longest_silence_quarters: The longest time without a sounding pitch.
        pitch_class_entropy: Of the pitch classes of all notes, in bits: 0 if they are
            all of one class, log2(12) = 3.58 if all are equally frequent.
        mean_length_quarters: Mean note length; None without notes.
        median_length_quarters: Median note length; None without notes.
        length_shares: Shares of the notes that are at most as long as each of
            `LENGTH_BOUNDS` but longer than the one before, then of those that are
            longer than the last; sums to 1, None without notes.
        num_distinct_chords: Different chords among those at the strokes.
        repeated_chord_share: Share of the strokes, after the first, whose chord is
            that of the stroke before; 0 for fewer than two strokes.
        most_repeats: How many strokes in a row have one chord, at most.
        longest_chord_quarters: The longest time in which the same chord sounds and
            nothing is struck; 0 if nothing sounds.
        pitch_ranges: Lowest and highest pitch, as MIDI numbers: of "all" notes, then
            of each part or instrument if there are several. Where there is one and it
            has four parts (four pitches sound in more than half of the sounding time),
            the pitches of each moment of four are Soprano, Alto, Tenor and Bass from
            the top. Empty without notes.
        unit: What lengths are in: quarters, or seconds where there is no beat.
    """

    num_notes: int
    seconds: float
    length_quarters: float
    notes_per_quarter: float
    polyphony: float
    silence_share: float
    longest_silence_quarters: float
    pitch_class_entropy: float
    mean_length_quarters: float | None
    median_length_quarters: float | None
    length_shares: tuple[float, ...] | None
    num_distinct_chords: int
    repeated_chord_share: float
    most_repeats: int
    longest_chord_quarters: float
    pitch_ranges: dict[str, tuple[int, int]]
    unit: str = "quarters"

    def rows(self) -> dict[str, float]:
        """The values that exist, by the label that tables give them.

        Labels that end in "%" hold fractions times 100.
        """
        rows = {
            label: getattr(self, name)
            for name, label in LABELS.items()
            if getattr(self, name) is not None
        }
        if self.length_shares is not None:
            rows |= zip(_LENGTH_LABELS, self.length_shares, strict=True)
        return {
            label.replace("quarter", self.unit.removesuffix("s")): (
                value * 100 if label.endswith("%") else value
            )
            for label, value in rows.items()
        }

    def sections(self) -> dict[str, dict[str, float]]:
        """All values by the section of a table and their label."""
        return {"Notes and chords": self.rows(), RANGES: self.range_rows()}

    def range_rows(self) -> dict[str, float]:
        """The pitch ranges, by the label that tables give them."""
        rows = {}
        for name, (low, high) in self.pitch_ranges.items():
            rows |= {f"lowest pitch, {name}": low, f"highest pitch, {name}": high}
        return rows


# What tables call the values that every style has.
LABELS = {
    "num_notes": "notes",
    "length_quarters": "length, quarters",
    "notes_per_quarter": "notes per quarter",
    "polyphony": "pitches at once",
    "silence_share": "silence, %",
    "longest_silence_quarters": "longest silence, quarters",
    "pitch_class_entropy": "pitch class entropy, bits",
    "num_distinct_chords": "different chords",
    "repeated_chord_share": "repeated chords, %",
    "most_repeats": "most repeats of a chord",
    "longest_chord_quarters": "longest unchanged chord, quarters",
    "mean_length_quarters": "mean note length, quarters",
    "median_length_quarters": "median note length, quarters",
}
_LENGTH_LABELS = (
    f"notes up to {LENGTH_BOUNDS[0]:g} quarters, %",
    *(
        f"notes up to {bound:g}, over {below:g}, %"
        for below, bound in zip(LENGTH_BOUNDS, LENGTH_BOUNDS[1:], strict=False)
    ),
    f"notes over {LENGTH_BOUNDS[-1]:g} quarters, %",
)


def statistics(sequence: NoteSequence) -> MusicStatistics:
    """The numbers of one piece; see `MusicStatistics`."""
    notes = NoteArrays.of(sequence)
    return statistics_of(notes, Segments.of(notes))


def statistics_of(notes: NoteArrays, segments: Segments) -> MusicStatistics:
    """The numbers of one piece; see `MusicStatistics`."""
    durations, quarters = np.diff(segments.seconds), np.diff(segments.quarters)
    num_sounding = segments.sounding.sum(axis=1)
    silent = num_sounding == 0
    sounding_quarters = float(quarters[~silent].sum())
    num_notes = len(notes.pitch)
    seconds, length = notes.seconds, float(segments.quarters[-1])
    lengths = notes.end_quarters - notes.start_quarters
    chords = segments.sounding[segments.struck]
    repeated = (chords[1:] == chords[:-1]).all(axis=1)
    return MusicStatistics(
        num_notes=num_notes,
        seconds=seconds,
        length_quarters=length,
        notes_per_quarter=num_notes / length if length else 0.0,
        polyphony=float(num_sounding @ quarters) / (sounding_quarters or 1.0),
        silence_share=float(durations[silent].sum()) / seconds if seconds else 1.0,
        # Silence cannot be struck, so only the end of the music ends it.
        longest_silence_quarters=_longest(segments, silent, ~silent),
        pitch_class_entropy=entropy(np.bincount(notes.pitch % 12, minlength=12)),
        mean_length_quarters=float(lengths.mean()) if num_notes else None,
        median_length_quarters=float(np.median(lengths)) if num_notes else None,
        length_shares=_length_shares(lengths) if num_notes else None,
        num_distinct_chords=len({row.tobytes() for row in np.packbits(chords, axis=1)}),
        repeated_chord_share=float(repeated.mean()) if len(repeated) else 0.0,
        most_repeats=_longest_run(repeated) + 1 if len(chords) else 0,
        longest_chord_quarters=_longest(segments, ~silent, _changes(segments)),
        pitch_ranges=_pitch_ranges(notes, segments),
        unit=notes.unit,
    )


def _changes(segments: Segments) -> np.ndarray:
    """Whether a segment is not the mere continuation of the one before."""
    same = np.zeros(len(segments.struck), bool)
    same[1:] = (segments.sounding[1:] == segments.sounding[:-1]).all(axis=1)
    return ~same | segments.struck


def _longest(segments: Segments, wanted: np.ndarray, cuts: np.ndarray) -> float:
    """The longest stretch of wanted segments, in quarters; cuts begin a new one."""
    first = wanted & (cuts | ~np.roll(wanted, 1))
    first[:1] = wanted[:1]
    stretch = np.cumsum(first)
    lengths = np.bincount(
        stretch, weights=np.diff(segments.quarters) * wanted, minlength=1
    )
    return float(lengths.max())


def _longest_run(flags: np.ndarray) -> int:
    """The most flags that are set in a row."""
    gaps = np.flatnonzero(~np.concatenate([[False], flags, [False]]))
    return int(np.diff(gaps).max() - 1)


def _length_shares(lengths: np.ndarray) -> tuple[float, ...]:
    classes = np.searchsorted(np.add(LENGTH_BOUNDS, _TINY), lengths)
    counts = np.bincount(classes, minlength=len(LENGTH_BOUNDS) + 1)
    return tuple((counts / len(lengths)).tolist())


def _pitch_ranges(notes: NoteArrays, segments: Segments) -> dict[str, tuple[int, int]]:
    if not len(notes.pitch):
        return {}
    members = {"all": notes.pitch}
    if len(notes.voice_names) > 1:
        for i, name in enumerate(notes.voice_names):
            members[name] = notes.pitch[notes.voice == i]
    else:
        num_sounding = segments.sounding.sum(axis=1)
        durations = np.diff(segments.seconds)
        of_four = num_sounding == 4
        if 2 * durations[of_four].sum() > durations[num_sounding > 0].sum():
            pitches = np.nonzero(segments.sounding[of_four])[1].reshape(-1, 4)
            members |= zip(VOICES, pitches[:, ::-1].T, strict=True)
    return {name: (int(p.min()), int(p.max())) for name, p in members.items()}
