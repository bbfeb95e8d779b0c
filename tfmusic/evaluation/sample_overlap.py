"""How near short samples come to held-out music: numbers, histograms, overlaps.

After Yang and Lerch, "On the evaluation of generative models in music", 2018: each
sample is described by a few numbers, and two sets of samples by how much of the
distributions of each number they share. What is played when and how loud is pooled into
histograms besides. Independent chunks of real music have those histograms almost by
definition; that they are no music the numbers of each sample tell.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tfmusic.evaluation.music_statistics import statistics
from tfmusic.evaluation.note_arrays import NoteArrays
from tfmusic.notes import NoteSequence, wire
from tfmusic.notes.keys import best_key, in_scale_rate

_PEDALS = {64: "damper", 66: "sostenuto", 67: "soft"}
_NUM_BINS = 20
# Bounds of the classes of lengths of time, in seconds: four to an octave.
_SECONDS = np.concatenate([[0.0], 2.0 ** np.arange(-7, 3.25, 0.25), [np.inf]])


@dataclasses.dataclass(frozen=True)
class SampleStatistics:
    """A set of samples.

    Attributes:
        numbers: Of each sample, float64 `[sample]`, by name; NaN where a sample has
            none.
        histograms: Counts over all samples, by name.
    """

    numbers: dict[str, np.ndarray]
    histograms: dict[str, np.ndarray]

    @classmethod
    def of(cls, samples: Sequence[NoteSequence], seconds: float) -> "SampleStatistics":
        """Describes samples.

        Args:
            samples: At least one.
            seconds: How long they are, silence at the end included.
        """
        parts = [_describe(sample, seconds) for sample in samples]
        return cls(
            {name: np.array([n[name] for n, _ in parts]) for name in parts[0][0]},
            {name: sum(h[name] for _, h in parts) for name in parts[0][1]},
        )

    def overlaps(self, other: "SampleStatistics") -> dict[str, float]:
        """The area that the distributions of both sets share, 0 to 1, by name."""
        areas = {}
        for name, values in self.numbers.items():
            both = [v[np.isfinite(v)] for v in (values, other.numbers[name])]
            bins = np.histogram_bin_edges(np.concatenate(both), _NUM_BINS)
            areas[name] = _shared(*(np.histogram(v, bins)[0] for v in both))
        for name, counts in self.histograms.items():
            areas[name] = _shared(counts, other.histograms[name])
        return areas

    def means(self) -> dict[str, float]:
        """The mean of each number over the samples that have it; 0 if none has."""
        return {
            name: float(np.nanmean(values)) if np.any(np.isfinite(values)) else 0.0
            for name, values in self.numbers.items()
        }


def _shared(counts: np.ndarray, others: np.ndarray) -> float:
    shares = [c / max(c.sum(), 1e-9) for c in (counts, others)]
    return float(np.minimum(*shares).sum())


def _describe(
    sample: NoteSequence, seconds: float
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """The numbers and the histograms of a sample."""
    notes = NoteArrays.of(sample)
    music = statistics(sample)
    strokes = np.unique(notes.start_seconds)
    intervals = np.diff(strokes)
    velocities = wire.columns(sample, "notes", "velocity")["velocity"]
    lengths = notes.end_seconds - notes.start_seconds
    pedals = {number: _pedal(sample, number, seconds) for number in _PEDALS}
    has_notes = len(notes.pitch) > 0
    numbers = {
        "notes_per_second": len(notes.pitch) / seconds,
        "pitches_at_once": music.polyphony,
        "pitch_range": float(np.ptp(notes.pitch)) if has_notes else np.nan,
        "pitch_class_entropy": music.pitch_class_entropy,
        "in_scale_rate": _in_scale_rate(sample) if lengths.any() else np.nan,
        "mean_velocity": float(np.mean(velocities)) if has_notes else np.nan,
        "velocity_spread": float(np.std(velocities)) if has_notes else np.nan,
        "interval_seconds": float(np.median(intervals)) if len(intervals) else np.nan,
        "damper_share": float(pedals[64][1:].sum() / pedals[64].sum()),
    }
    histograms = {
        "pitches": np.bincount(notes.pitch, minlength=128).astype(np.float64),
        "pitch_classes": np.bincount(notes.pitch % 12, minlength=12).astype(float),
        "velocities": np.histogram(velocities, np.arange(0, 136, 8))[0].astype(float),
        "intervals": np.histogram(intervals, _SECONDS)[0].astype(float),
        "lengths": np.histogram(lengths, _SECONDS)[0].astype(float),
    }
    histograms |= {name: pedals[number] for number, name in _PEDALS.items()}
    return numbers, histograms


def _in_scale_rate(sample: NoteSequence) -> float:
    # Keys are found from durations, so notes of no length have none.
    return in_scale_rate(sample, best_key(sample))


def _pedal(sample: NoteSequence, number: int, seconds: float) -> np.ndarray:
    """For how many seconds a pedal is up, and then in each quarter of its values."""
    names = ("time", "control_number", "control_value")
    columns = wire.columns(sample, "control_changes", *names)
    rows = np.flatnonzero(columns["control_number"] == number)
    rows = rows[np.argsort(columns["time"][rows], kind="stable")]
    times = np.concatenate([[0.0], columns["time"][rows], [seconds]])
    times = np.minimum(times, seconds)
    values = np.concatenate([[0.0], columns["control_value"][rows]])
    return np.histogram(values, [0, 1, 33, 65, 97, 128], weights=np.diff(times))[
        0
    ].astype(float)


def format_comparison(
    groups: Mapping[str, SampleStatistics], reference: SampleStatistics
) -> str:
    """A table in Markdown: means of numbers, and overlaps with held-out samples.

    Args:
        groups: Sets of samples by their headings.
        reference: Held-out samples that are in none of them.
    """
    overlaps = {heading: g.overlaps(reference) for heading, g in groups.items()}
    means = {heading: g.means() for heading, g in groups.items()}
    rows = [["", *groups], ["---", *("---:" for _ in groups)]]
    for name in reference.numbers:
        rows.append([name, *(f"{means[heading][name]:.2f}" for heading in groups)])
    for name in [*reference.numbers, *reference.histograms]:
        cells = (f"{overlaps[heading][name]:.2f}" for heading in groups)
        rows.append([f"overlap of {name}", *cells])
    for title, names in (
        ("numbers of each sample", reference.numbers),
        ("histograms", reference.histograms),
    ):
        cells = (f"{_mean(overlaps[heading], names):.2f}" for heading in groups)
        rows.append([f"mean overlap of {title}", *cells])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = (
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "".join(f"| {line} |\n" for line in lines)


def compare_samples(
    groups: Mapping[str, SampleStatistics], reference: SampleStatistics
) -> dict[str, float]:
    """The same for programs.

    Returns:
        By "GROUP.NAME" and "GROUP.overlap.NAME"; the mean overlaps by
        "GROUP.overlap_of_numbers" and "GROUP.overlap_of_histograms".
    """
    result = {}
    for heading, group in groups.items():
        overlaps = group.overlaps(reference)
        result |= {f"{heading}.{name}": v for name, v in group.means().items()}
        result |= {f"{heading}.overlap.{name}": v for name, v in overlaps.items()}
        result[f"{heading}.overlap_of_numbers"] = _mean(overlaps, group.numbers)
        result[f"{heading}.overlap_of_histograms"] = _mean(overlaps, group.histograms)
    return result


def _mean(values: Mapping[str, float], names: Iterable[str]) -> float:
    return float(np.mean([values[name] for name in names]))
