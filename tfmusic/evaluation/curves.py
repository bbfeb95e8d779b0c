"""The losses of runs over their epochs: as a picture, and as a table."""

import csv
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfmusic.errors import UserError

Rows = Sequence[Mapping[str, Any]]

METRICS = "metrics.csv"
# Okabe and Ito's colours, which the colour-blind can tell apart as well.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
_INCHES = 11.0, 4.2
_DOTS_PER_INCH = 100
# What stands beside the loss: the first of these that all runs have.
_OTHERS = ("accuracy", "f1", "perplexity")
_MOST_LETTERS = 28


def read_run(run: str) -> list[dict[str, str]]:
    """The metrics of a run's epochs, as training writes them.

    Args:
        run: The folder of a run, or its metrics.csv.

    Raises:
        UserError: There are none.
    """
    path = os.path.join(run, METRICS) if os.path.isdir(run) else run
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, strict=True))
        if rows and all("val_loss" in row for row in rows):
            return check_rows(rows)
        found = "no epochs in it"
    except (OSError, ValueError, csv.Error) as error:
        found = getattr(error, "strerror", None) or str(error)
    raise UserError(
        f"{run}: expected the folder of a run that has done an epoch ({path}: {found})"
    )


def check_rows(rows: Iterable[dict[str | None, Any]]) -> list[dict[str, str]]:
    """Gives back the rows of a `metrics.csv` if they are whole.

    Raises:
        ValueError: One is not; says which.
    """
    found = []
    for number, row in enumerate(rows, 1):
        for name, text in row.items():
            try:
                # Metrics that came later have no value in earlier rows.
                _ = int(row["epoch"]), text == "" or float(text)
            except (KeyError, TypeError, ValueError):
                raise ValueError(f"epoch {number}: no number in {name!r:.40}") from None
        found.append(row)
    return found


def best_epoch(rows: Rows) -> int:
    """The row of the lowest validation loss, by which the best weights are kept."""
    losses = np.nan_to_num([_number(row, "val_loss") for row in rows], nan=np.inf)
    return int(np.argmin(losses))


def loss_name(row: Mapping[str, Any]) -> str:
    """The metric of an epoch that tells its loss, if possible without padding."""
    for name in ("nats_per_step", "loss_per_step"):
        # Empty where a run was resumed by a version with other metrics.
        if str(row.get(name, "")):
            return name
    return "loss"


def draw_curves(runs: Mapping[str, Rows]) -> bytes:
    """A PNG of the losses of runs, and of another metric beside them.

    Lines are validation, dots on them the best epochs; dashes are training.

    Args:
        runs: By name, the metrics of each epoch.
    """
    names = list(dict.fromkeys(loss_name(rows[-1]) for rows in runs.values()))
    common = set.intersection(*(set(rows[-1]) for rows in runs.values()))
    others = [name for name in _OTHERS if {name, f"val_{name}"} <= common]
    panels = [names[0] if len(names) == 1 else "loss", *others[:1]]
    figure = Figure(figsize=_INCHES, dpi=_DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    figure.subplots_adjust(0.07, 0.13, 0.98, 0.8, wspace=0.2)
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, name in zip(all_axes, panels, strict=True):
        for number, rows in enumerate(runs.values()):
            _draw(axes, name, rows, _COLOURS[number % len(_COLOURS)])
        _label(axes, name)
    handles = [axes for axes in all_axes[0].lines if axes.get_label()[0] != "_"]
    labels = ["validation", "training"]
    if len(runs) > 1:
        handles = handles[::2]
        labels = [_short(name) for name in runs]
    legend = figure.legend(
        handles,
        labels,
        loc="upper left",
        ncols=min(len(labels), 4),
        fontsize=9,
        frameon=False,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    return buffer.getvalue()


def _draw(axes: Axes, name: str, rows: Rows, colour: str) -> None:
    epochs = [int(row["epoch"]) + 1 for row in rows]
    best = best_epoch(rows)
    validation, training = (
        [_number(row, prefix + name) for row in rows] for prefix in ("val_", "")
    )
    marker = "." if len(rows) == 1 else ""
    axes.plot(epochs, validation, color=colour, marker=marker, label="validation")
    axes.plot(
        epochs, training, color=colour, linestyle="--", marker=marker, label="training"
    )
    axes.plot(
        epochs[best], validation[best], "o", color=colour, markersize=6, label="_best"
    )


def _label(axes: Axes, name: str) -> None:
    axes.set_title(name.replace("_per_", " a ").replace("_", " "), loc="left")
    axes.set_xlabel("epoch (dot: the best one; dashes: training)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#e4e4ea", linewidth=0.6)
    for spine in ("top", "right"):
        axes.spines[spine].set_visible(False)
    if name == "perplexity":
        axes.set_yscale("log")


def curves_table(runs: Mapping[str, Rows]) -> str:
    """The best and the last epoch of each run, steps and time, a line each."""
    heads = ("run", "loss", "epoch", "in validation", "in training", "steps", "time")
    lines = [heads]
    for name, rows in runs.items():
        loss = loss_name(rows[-1])
        for label, number in (("best", best_epoch(rows)), ("last", len(rows) - 1)):
            row = rows[number]
            lines.append(
                (
                    _short(name),
                    loss.replace("_per_", " a ").replace("_", " "),
                    f"{label}: {number + 1}",
                    f"{_number(row, f'val_{loss}'):.4f}",
                    f"{_number(row, loss):.4f}",
                    f"{int(float(row['step'])):,d}" if row.get("step") else "-",
                    _time(rows[: number + 1]),
                )
            )
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    texts = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
    return "\n".join(text.rstrip() for text in texts) + "\n"


def _time(rows: Rows) -> str:
    """What the training steps of some epochs took, without validation."""
    seconds, before = 0.0, 0.0
    for row in rows:
        rate, step = _number(row, "steps_per_second"), _number(row, "step")
        if math.isfinite(rate) and rate > 0:
            seconds += (step - before) / rate
        before = step
    if not math.isfinite(seconds):
        return "-"
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _number(row: Mapping[str, Any], name: str) -> float:
    """A value of a row; NaN where an older run has none."""
    value = row.get(name)
    return float(value) if value not in (None, "") else math.nan


def _short(name: str) -> str:
    return name if len(name) <= _MOST_LETTERS else f"...{name[3 - _MOST_LETTERS :]}"
