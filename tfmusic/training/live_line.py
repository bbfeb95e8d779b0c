"""What a run shows while it trains: a line that moves, and one for each epoch."""

import math
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any

import keras

from tfmusic.compat import in_notebook
from tfmusic.evaluation.curves import loss_name
from tfmusic.training.checkpoints import Progress

# Seconds between two changes of the line that moves.
_SECONDS = 0.5
_CLEAR = "\x1b[K"
_NOTEBOOK_COLUMNS = 120


class LiveLine(keras.callbacks.Callback):
    """Says how far training has come and how long it may yet take.

    A terminal and a notebook get a line that moves, whatever else only a line after
    each epoch.
    """

    def __init__(self, progress: Progress, num_steps: int, unit: str, num_batches: int):
        """Prepares the line.

        Args:
            progress: How far the run has come; this callback stands before the one that
                moves it on.
            num_steps: Training steps of the whole run.
            unit: Of the loss, such as "nats a token"; empty: none.
            num_batches: Of a validation.
        """
        super().__init__()
        self._progress = progress
        self._num_steps = num_steps
        self._unit = unit
        self._num_batches = num_batches
        self._start, self._first = time.monotonic(), int(progress.step)
        self._shown = 0.0
        self._length = 0  # of the line that moves, which a notebook does not clear

    def on_train_begin(self, logs=None):
        """Starts the clock."""
        # The time before has built the graph, and says nothing of the steps to come.
        self._start = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        """Moves the line on."""
        words = f", loss {loss_in_words(loss_of(logs), self._unit)}" if logs else ""
        # Not counted yet: that is the last callback's part.
        step = int(self._progress.step) + 1
        self._show(f"step {batch + 1} of {self.params['steps']}{words}", step)

    def on_test_batch_end(self, batch, logs=None):
        """Says that it is validation that takes the time."""
        text = f"validating, batch {batch + 1} of {self._num_batches}"
        self._show(text, int(self._progress.step))

    def on_epoch_end(self, epoch, logs=None):
        """Says what the epoch came to."""
        step = int(self._progress.step)
        is_best = logs["val_loss"] < float(self._progress.best_loss)
        learned = loss_in_words(loss_of(logs), self._unit)
        found = loss_in_words(loss_of(logs, "val_"), self._unit)
        text = (
            f"epoch {epoch + 1} of {self.params['epochs']}, step {step:,d} of "
            f"{self._num_steps:,d}: loss {learned} in training, {found} in validation"
            f"{', the lowest so far' if is_best else ''}{self._time_left(step)}"
        )
        say(self._over(text))

    def _show(self, text: str, step: int) -> None:
        now = time.monotonic()
        if not shows_progress() or now - self._shown < _SECONDS:
            return
        self._shown = now
        epoch = int(self._progress.epoch) + 1
        text = (
            f"epoch {epoch} of {self.params['epochs']}, {text}{self._time_left(step)}"
        )
        # Back to the line's beginning, so that what else is written replaces it.
        width = _NOTEBOOK_COLUMNS
        if sys.stdout.isatty():
            width = shutil.get_terminal_size().columns - 1
        sys.stdout.write(f"{self._over(text[:width])}\r")
        sys.stdout.flush()

    def _over(self, text: str) -> str:
        """A text in the place of the line that moves."""
        if sys.stdout.isatty():
            return f"{_CLEAR}{text}"
        text, self._length = text.ljust(self._length), len(text)
        return text

    def _time_left(self, step: int) -> str:
        done = step - self._first
        if done < 1 or step >= self._num_steps:
            return ""
        seconds = (time.monotonic() - self._start) / done * (self._num_steps - step)
        return f"; at most {duration(seconds)} left"


def shows_progress() -> bool:
    """Whether a line that moves can be shown."""
    return sys.stdout.isatty() or in_notebook()


def say(text: str) -> None:
    """Writes a line to be seen at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def loss_of(logs: Mapping[str, Any], prefix: str = "") -> float:
    """The loss of an epoch, by what has no padding in it where there is such a metric.

    `loss` itself is the mean over all steps of the batches, with those of padding.

    Args:
        logs: Metrics by name.
        prefix: "val_" for validation.
    """
    return float(logs[prefix + loss_name(logs)])


def loss_in_words(loss: float, unit: str) -> str:
    """A loss with its unit; of tokens also the probability that it stands for."""
    if unit != "nats a token" or loss < 0:
        return f"{loss:.3f}{' ' if unit else ''}{unit}"
    return f"{loss:.2f} {unit} ({100 * math.exp(-loss):.2g} % for the right one)"


def explain_loss(unit: str, meaning: str) -> str:
    """What the numbers of an epoch are, for who has never seen any.

    Args:
        unit: Of the loss, such as "nats a token"; empty: none.
        meaning: Of the loss, see `MusicModel.LOSS_MEANING`.
    """
    meaning += "; lower is better"
    if unit:
        step = unit.rpartition(" ")[2]
        meaning += (
            f"; in nats: 0 if it always knew the next {step}, 0.7 more for each time "
            "that it is half as sure"
        )
    return f"loss: {meaning}; validation is on music that it does not learn from"


def duration(seconds: float) -> str:
    """Such as "40 s", "12 min" or "3 h 20 min"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return (
        f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
    )
