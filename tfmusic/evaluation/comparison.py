"""Generated music beside real music: statistics, nearness, variety, what is copied."""

import dataclasses
import functools
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfmusic.evaluation.description import Description, describe
from tfmusic.evaluation.distances import Distances, Nearness
from tfmusic.evaluation.memorisation import CopiedPassage, TrainingMusic
from tfmusic.evaluation.music_statistics import RANGES
from tfmusic.evaluation.note_arrays import has_beat as find_beat
from tfmusic.evaluation.tables import (
    BOUNDS,
    Aggregate,
    aggregate,
    align,
    format_table,
    interval,
    labels_by_section,
    resamples,
)
from tfmusic.files import write_file
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import TempoMap
from tfmusic.notes.transforms import crop

GENERATED, HELD_OUT = "generated", "held-out"
AS_WRITTEN = "held-out, as written"
COPIES = "Copies"
# A transposed piece is as good; what is copied is counted as it is.
_NOT_COMPARED = (RANGES, COPIES)
_NUM_RESAMPLES = 100  # of distributions, which take longer than means
_LEGEND = """\
Means over pieces, in brackets their 95 % intervals (bootstrap over pieces).
Overlap: how much the distribution of a row shares with that of {reference} music
(Yang and Lerch 2020), 0 to 1; 1 is as alike as its pieces are to each other.
Divergence: the same as a Kullback-Leibler divergence, in nats; 0 is best.
"""


@dataclasses.dataclass(frozen=True)
class PieceReport:
    """What is known about one piece.

    Attributes:
        name: Its file name, may be empty.
        description: The piece in numbers.
        shared: What it has in common with the other pieces of its set.
        copied: What it has in common with the training music, if that was given.
        copied_from: File name of the training piece that holds the longest passage.
    """

    name: str
    description: Description
    shared: CopiedPassage | None
    copied: CopiedPassage | None
    copied_from: str | None

    def sections(self) -> dict[str, dict[str, float]]:
        """All values by section and label."""
        passages = self.copied.rows() if self.copied else {}
        if self.shared is not None:
            label = (
                f"in passages of {self.shared.min_strokes} or more notes or chords "
                "that another piece of the set has, %"
            )
            passages[label] = 100 * self.shared.copied_share
        return {**self.description.sections, COPIES: passages}


@dataclasses.dataclass(frozen=True)
class NearnessInterval:
    """How near a set comes to the reference in one row, and how sure that is.

    Attributes:
        overlap: 0 to 1; see `Nearness`.
        overlap_low: Lower end of its 95 % interval, by the bootstrap over pieces.
        overlap_high: Its upper end.
        divergence: In nats.
        divergence_low: Lower end of its 95 % interval.
        divergence_high: Its upper end.
        spread: The mean distance between pieces of the set, as a multiple of that
            between pieces of the reference; None if those are all equal.
    """

    overlap: float
    overlap_low: float
    overlap_high: float
    divergence: float
    divergence_low: float
    divergence_high: float
    spread: float | None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Sets of pieces side by side.

    Attributes:
        groups: The reports of each set, by its heading. The first is compared with the
            last one, the reference.
    """

    groups: dict[str, list[PieceReport]]

    def __repr__(self):
        return self.table()

    @functools.cached_property
    def nearness(self) -> dict[str, NearnessInterval]:
        """How near the first set comes to the last, by label or name of a histogram.

        Of rows that at least half of the reference has, if three pieces on either side
        have a value. Pitch ranges and copies are left out.
        """
        return {name: found for name, (found, _) in self._nearness.items()}

    @functools.cached_property
    def mean_overlap(self) -> Aggregate | None:
        """The mean of all overlaps with its interval; None if there is none."""
        found = list(self._nearness.values())
        if not found:
            return None
        # Resample i draws the same pieces for all rows that no piece lacks.
        means = np.mean([samples for _, samples in found], axis=0)
        overlaps = [nearness.overlap for nearness, _ in found]
        low, high = np.percentile(means, BOUNDS)
        return Aggregate(
            float(np.mean(overlaps)), float(np.std(overlaps)), low, high, len(overlaps)
        )

    @property
    def variety(self) -> float | None:
        """How far apart pieces of the first set are, in units of the reference's.

        The median over rows; None if there is none.
        """
        spreads = [n.spread for n in self.nearness.values() if n.spread is not None]
        return float(np.median(spreads)) if spreads else None

    def table(self) -> str:
        """A table in Markdown that also reads as plain text; see `format_table`."""
        extra, summary = {}, ""
        if self.nearness:
            extra = {
                "overlap": {
                    name: interval(n.overlap, n.overlap_low, n.overlap_high)
                    for name, n in self.nearness.items()
                },
                "divergence": {
                    name: f"{n.divergence:.2f}" for name, n in self.nearness.items()
                },
            }
            summary = self._summary()
        return format_table(self.groups, extra) + summary

    def to_json(self) -> str:
        """The same for programs: `to_dict`, and every piece of each set."""
        found = self.to_dict()
        for heading, pieces in self.groups.items():
            found[heading]["pieces"] = [_plain(piece) for piece in pieces]
        return json.dumps(found, indent=1)

    def to_dict(self) -> dict[str, Any]:
        """The `summary` of each set by its heading, and `nearness`."""
        found: dict[str, Any] = {}
        for heading, pieces in self.groups.items():
            values = aggregate(pieces).items()
            summary = {label: dataclasses.asdict(value) for label, value in values}
            found[heading] = {"num_pieces": len(pieces), "summary": summary}
        mean = self.mean_overlap
        found["nearness"] = {
            "reference": list(self.groups)[-1],
            "mean_overlap": dataclasses.asdict(mean) if mean else None,
            "variety": self.variety,
            "rows": {n: dataclasses.asdict(v) for n, v in self.nearness.items()},
        }
        return found

    def write(self, output_dir: str) -> None:
        """Writes `statistics.md` and `statistics.json` into a directory."""
        os.makedirs(output_dir, exist_ok=True)
        write_file(os.path.join(output_dir, "statistics.md"), self.table())
        path = os.path.join(output_dir, "statistics.json")
        write_file(path, self.to_json() + "\n")

    @functools.cached_property
    def _nearness(self) -> dict[str, tuple[NearnessInterval, np.ndarray]]:
        first, *_, last = self.groups.values()
        found = {}
        values = [[_values(piece) for piece in pieces] for pieces in (first, last)]
        for name in _names(last):
            columns = [[v[name] for v in pieces if name in v] for pieces in values]
            if not all(columns):
                continue
            distances = Distances(*map(np.array, columns))
            nearness = distances.nearness()
            if nearness is not None:
                found[name] = _with_interval(distances, nearness, columns)
        return found

    def _summary(self) -> str:
        """What holds of the sets as a whole: below the table, and how to read it."""
        mean, reference = self.mean_overlap, list(self.groups)[-1]
        rows = [["", "overlap", "divergence"]]
        for name in _histogram_names(self.groups[reference]):
            if name in self.nearness:
                n = self.nearness[name]
                overlap = interval(n.overlap, n.overlap_low, n.overlap_high)
                rows.append([f"{name}, distribution", overlap, f"{n.divergence:.2f}"])
        overlap = interval(mean.mean, mean.low, mean.high)
        rows.append([f"**mean overlap of all {mean.num_pieces}**", f"**{overlap}**"])
        text = "\n" + align(rows) + "\n" + _LEGEND.format(reference=reference)
        if self.variety is not None:
            text += (
                f"Variety: two pieces of the first set differ {self.variety:.2f} times "
                f"as much as two of the {reference} ones (median over rows).\n"
            )
        return text


def report(
    pieces: Sequence[NoteSequence],
    training: Sequence[NoteSequence] = (),
    has_beat: bool = True,
    are_whole: bool = True,
) -> list[PieceReport]:
    """Measures the pieces of a set.

    Args:
        pieces: The set.
        training: What each may copy from.
        has_beat: Whether their tempos mean anything.
        are_whole: Whether they have their own ends, and were not cut.
    """
    music = TrainingMusic.of(training) if training else None
    own = TrainingMusic.of(pieces) if len(pieces) > 1 else None
    reports = []
    for number, piece in enumerate(pieces):
        copied = music.find(piece) if music else None
        source = None if copied is None else copied.source
        reports.append(
            PieceReport(
                name=piece.filename,
                description=describe(piece, has_beat, are_whole),
                shared=own.find(piece, apart_from=number) if own else None,
                copied=copied,
                copied_from=None if source is None else training[source].filename,
            )
        )
    return reports


def compare(
    generated: Sequence[NoteSequence],
    held_out: Sequence[NoteSequence],
    training: Sequence[NoteSequence] = (),
    as_written: Sequence[NoteSequence] = (),
    has_beat: bool | None = None,
) -> Comparison:
    """Compares generated with held-out pieces.

    If most held-out pieces are longer than the longest generated one, all are cut to
    its length, as much that is measured grows with it; cut pieces have no endings.

    Args:
        generated: What a model made.
        held_out: What it should resemble. If it has gone through the model's
            representation, a generated piece can have all that it has.
        training: What it learned from: adds how much of it each piece copies. That of
            held-out pieces is what the style shares without copying. It should have
            gone through the same representation, or altered passages are not found.
        as_written: The held-out pieces before they were encoded: what music is like to
            which no representation has done anything. They are the reference if given.
        has_beat: Whether the tempos mean anything; None finds that out from the
            reference.
    """
    groups = {GENERATED: generated, HELD_OUT: held_out, AS_WRITTEN: as_written}
    if not as_written:
        del groups[AS_WRITTEN]
    if has_beat is None:
        has_beat = find_beat(as_written or held_out)
    lengths = {
        heading: [_length(piece, has_beat) for piece in pieces]
        for heading, pieces in groups.items()
    }
    longest = max(lengths[GENERATED], default=0.0)
    is_cut = np.median(lengths[HELD_OUT] or [0.0]) > longest > 0
    if is_cut:
        for heading in list(groups)[1:]:
            groups[heading] = [_cut(p, longest, has_beat) for p in groups[heading]]
    return Comparison(
        {
            heading: report(
                pieces,
                # What was not encoded has no passages in common with what was.
                () if heading == AS_WRITTEN else training,
                has_beat,
                are_whole=not is_cut,
            )
            for heading, pieces in groups.items()
        }
    )


def _length(piece: NoteSequence, has_beat: bool) -> float:
    """The length of a piece in quarters, or in seconds where there is no beat."""
    if not has_beat:
        return piece.total_time
    return float(TempoMap.of(piece).to_quarters(piece.total_time))


def _cut(piece: NoteSequence, length: float, has_beat: bool) -> NoteSequence:
    """The beginning of a piece, if it is longer than so many quarters or seconds."""
    end = float(TempoMap.of(piece).to_seconds(length)) if has_beat else length
    return crop(piece, 0.0, end) if end < piece.total_time else piece


def _plain(piece: PieceReport) -> dict[str, Any]:
    fields = dataclasses.asdict(piece)
    description = fields.pop("description")
    return {
        "name": fields.pop("name"),
        "statistics": description["statistics"],
        "sections": piece.sections(),
        "histograms": description["histograms"],
        **fields,
    }


def _values(piece: PieceReport) -> dict[str, Any]:
    """All that pieces are compared by: numbers by label, histograms by name."""
    values = dict(piece.description.histograms)
    for rows in piece.sections().values():
        values.update(rows)
    return values


def _names(pieces: Sequence[PieceReport]) -> list[str]:
    sections = labels_by_section(pieces)
    labels = (sections[name] for name in sections if name not in _NOT_COMPARED)
    return [*(n for names in labels for n in names), *_histogram_names(pieces)]


def _histogram_names(pieces: Sequence[PieceReport]) -> list[str]:
    return list(dict.fromkeys(n for p in pieces for n in p.description.histograms))


def _with_interval(
    distances: Distances, nearness: Nearness, columns: Sequence[Sequence]
) -> tuple[NearnessInterval, np.ndarray]:
    """The interval of a nearness, and the overlap of each resample."""
    draws = (resamples(len(column), _NUM_RESAMPLES) for column in columns)
    drawn = [
        distances.nearness(*pieces) or nearness for pieces in zip(*draws, strict=True)
    ]
    ends, overlaps = [], []
    for name, limit in (("overlap", 1.0), ("divergence", np.inf)):
        values = np.array([getattr(n, name) for n in drawn])
        # Drawing pieces makes two sets less alike than they are, by as much again as
        # drawing the pieces themselves did: the bias that the bootstrap shows.
        values = np.clip(values - values.mean() + getattr(nearness, name), 0.0, limit)
        ends.append([getattr(nearness, name), *np.percentile(values, BOUNDS)])
        overlaps.append(values)
    return NearnessInterval(*ends[0], *ends[1], distances.spread), overlaps[0]
