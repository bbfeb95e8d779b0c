"""Sets of pieces side by side: means with their uncertainty, as a table."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

NUM_RESAMPLES = 1000
# Of bootstrap intervals: 95 % of the resamples lie between.
BOUNDS = (2.5, 97.5)


@dataclasses.dataclass(frozen=True)
class Aggregate:
    """One statistic over several pieces.

    Attributes:
        mean: Over the pieces that have a value.
        std: Standard deviation between those pieces (divided by their number).
        low: Lower end of the 95 % interval of the mean, by the bootstrap over pieces.
        high: Its upper end.
        num_pieces: How many pieces have a value.
    """

    mean: float
    std: float
    low: float
    high: float
    num_pieces: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Aggregate":
        """Sums up the values of pieces, of which there is at least one."""
        values = np.asarray(values, np.float64)
        low, high = np.percentile(values[resamples(len(values))].mean(axis=1), BOUNDS)
        return cls(float(values.mean()), float(values.std()), low, high, len(values))


def resamples(num_pieces: int, number: int = NUM_RESAMPLES) -> np.ndarray:
    """Indices of pieces drawn with replacement; int64 [number, num_pieces].

    They are the same every time.
    """
    random = np.random.default_rng(0)
    return random.integers(num_pieces, size=(number, num_pieces))


class Rows(Protocol):
    """Anything that a table can show."""

    def sections(self) -> Mapping[str, Mapping[str, float]]:
        """The values that exist, by section and label."""


def aggregate(pieces: Sequence[Rows]) -> dict[str, Aggregate]:
    """Sums up each statistic over pieces, by its label.

    A statistic that no piece has, such as the lowest pitch of empty pieces, is left
    out; so is everything if there is no piece.
    """
    values = collections.defaultdict(list)
    for piece in pieces:
        for rows in piece.sections().values():
            for label, value in rows.items():
                values[label].append(value)
    return {label: Aggregate.of(column) for label, column in values.items()}


def labels_by_section(pieces: Sequence[Rows]) -> dict[str, list[str]]:
    """The labels that at least half of the pieces have, in order, by section."""
    counts = collections.defaultdict(collections.Counter)
    for piece in pieces:
        for section, rows in piece.sections().items():
            counts[section].update(rows.keys())
    found = {
        section: [label for label, n in labels.items() if 2 * n >= len(pieces)]
        for section, labels in counts.items()
    }
    return {section: labels for section, labels in found.items() if labels}


def format_table(
    groups: Mapping[str, Sequence[Rows]],
    extra: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """Lays sets of pieces side by side; Markdown that also reads as plain text.

    Cells are "mean [95 % interval]". Where only some of the pieces have a value, their
    number follows; where none has, the cell is "-".

    Args:
        groups: The pieces of each set, by its heading. Those after the first decide
            which rows there are: those that at least half of the pieces of one of them
            have a value for. What real music of a kind lacks, such as four voices, is
            no matter of comparison.
        extra: More columns: texts by label, by heading.
    """
    extra = extra or {}
    columns = {heading: aggregate(pieces) for heading, pieces in groups.items()}
    first, *others = groups.values()
    rows: dict[str, dict[str, None]] = {}
    for pieces in filter(None, reversed(others or [first])):
        for section, labels in labels_by_section(pieces).items():
            rows.setdefault(section, {}).update(dict.fromkeys(labels))
    table = [
        ["", *groups, *extra],
        ["pieces", *(str(len(pieces)) for pieces in groups.values())],
    ]
    for section, labels in rows.items():
        table.append([f"**{section}**"])
        for label in labels:
            cells = (
                _cell(columns[heading].get(label), len(pieces))
                for heading, pieces in groups.items()
            )
            more = (column.get(label, "") for column in extra.values())
            table.append([label, *cells, *more])
    return align(table)


def align(table: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, its first row the headings; missing cells are empty."""
    width = len(table[0])
    table = [[*row, *[""] * (width - len(row))] for row in table]
    widths = [max(len(row[i]) for row in table) for i in range(width)]
    rules = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for row in [table[0], rules, *table[1:]]:
        first, *others = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append(f"| {' | '.join([first, *others])} |")
    return "\n".join(lines) + "\n"


def interval(mean: float, low: float, high: float) -> str:
    """A number with its interval, in as many digits as it is worth."""
    largest = max(map(abs, (mean, low, high)))
    digits = 0 if largest >= 100 else 1 if largest >= 10 else 2
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _cell(value: Aggregate | None, num_pieces: int) -> str:
    if value is None:
        return "-"
    text = interval(value.mean, value.low, value.high)
    missing = value.num_pieces < num_pieces
    return f"{text} ({value.num_pieces} of {num_pieces})" if missing else text
