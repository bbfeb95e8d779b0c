"""Keras callbacks that the stock ones do not cover."""

import csv
import io
import math
import os
import time

import keras
import tensorflow as tf
from absl import logging

from tfmusic.errors import UserError
from tfmusic.evaluation.curves import check_rows, draw_curves
from tfmusic.files import write_file
from tfmusic.stored import reading
from tfmusic.training.checkpoints import (
    Checkpoints,
    Patience,
    Progress,
    metric_values,
)
from tfmusic.training.distribution import Distribution
from tfmusic.training.stopping import Stopped, StopSignals

# Between two pictures of the curves.
_PICTURE_SECONDS = 10


class SaveProgress(keras.callbacks.Callback):
    """Counts steps, keeps the best weights, stops early and saves, in one place.

    The best loss, the patience used up, the metrics of an epoch that is not over and
    the weights are saved together, so a run that is killed and called again decides
    everything as an undisturbed one would.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        distribution: Distribution,
        signals: StopSignals,
        patience: Patience,
        save_every_steps: int,
    ):
        """Prepares the callback.

        Args:
            checkpoints: Where to save.
            distribution: All workers leave when one of them is told to.
            signals: Tell whether the run has to leave.
            patience: When the run stops early.
            save_every_steps: Steps between two states within an epoch; 0: none.
        """
        super().__init__()
        self._checkpoints = checkpoints
        self._distribution = distribution
        self._signals = signals
        self._patience = patience
        self._save_every = save_every_steps

    def on_train_batch_end(self, batch, logs=None):
        """Counts one step, and saves if it is time to."""
        progress = self._checkpoints.progress
        progress.step.assign_add(1)
        told = self._told()
        # The end of an epoch is saved once it is validated.
        is_due = self._save_every and int(progress.step) % self._save_every == 0
        if told or (is_due and batch + 1 < self.params["steps"]):
            self._check(self.model.get_metrics_result()["loss"])
            self._checkpoints.save()
        if told:
            self._leave(told)

    def on_test_begin(self, logs=None):
        """Keeps the metrics of training, which validation overwrites.

        Saves the first epoch before anything is written about it, so that whatever a
        run leaves in its directory has a state beside it.
        """
        self._metrics = [variable.numpy() for variable in metric_values(self.model)]
        if not self._checkpoints.has_state:
            self._check(self.model.get_metrics_result()["loss"])
            self._checkpoints.save()

    def on_test_batch_end(self, batch, logs=None):
        """Saves the state before the validation if the run has to leave."""
        if told := self._told():
            variables = metric_values(self.model)
            for variable, value in zip(variables, self._metrics, strict=True):
                variable.assign(value)
            self._checkpoints.save()
            self._leave(told)

    def on_epoch_end(self, epoch, logs=None):
        """Judges the epoch by its validation loss, then saves."""
        self._check(logs["loss"] + logs["val_loss"])
        progress = self._checkpoints.progress
        progress.epoch.assign(epoch + 1)
        progress.epoch_begin.assign(progress.step)
        loss = float(logs["val_loss"])
        if loss < float(progress.best_loss):
            progress.best_loss.assign(loss)
            progress.best_step.assign(progress.step)
            progress.epochs_without_gain.assign(0)
            self._checkpoints.save_best()
        else:
            progress.epochs_without_gain.assign_add(1)
        if progress.out_of_patience(self._patience):
            logging.info(
                "stopped early: no lower validation loss for %d epochs",
                int(progress.epochs_without_gain),
            )
            self.model.stop_training = True
        self._checkpoints.save()
        if told := self._told():
            self._leave(told)

    def _check(self, loss: float) -> None:
        """Refuses to save after a NaN or infinite loss: no other follows."""
        if not math.isfinite(loss):
            raise UserError(
                f"the loss is {float(loss)} at step "
                f"{int(self._checkpoints.progress.step)}; try a lower "
                "optimizer.learning_rate, or optimizer.clip_norm, in another workdir "
                "(this one keeps what it had saved before)"
            )

    def _told(self) -> int:
        """The signal that came to any of the workers; 0: none."""
        return self._distribution.largest(self._signals.received)

    def _leave(self, told: int) -> None:
        stopped = Stopped(told)
        logging.info(
            "saved at step %d and stopped by %s; the same command resumes there",
            int(self._checkpoints.progress.step),
            stopped.signal_name,
        )
        raise stopped


class MetricsFile(keras.callbacks.Callback):
    """A CSV file with a row for each epoch, and a picture of it.

    It is written anew each time: a run that was killed between this and its checkpoint
    goes through the epoch again, and buckets cannot append. Short epochs share a
    picture, for one takes as long as many a step.
    """

    def __init__(self, path: str, progress: Progress):
        """Prepares the file.

        Args:
            path: It may be in a bucket; the picture is beside it, with the ending .png.
            progress: How far the run has come; rows of later epochs are dropped.
        """
        super().__init__()
        self._path, self._progress = path, progress
        num_epochs = int(progress.epoch)
        rows = read_metrics(path)
        self._rows = [row for row in rows if int(row["epoch"]) < num_epochs]
        self._drawn_rows, self._drawn_time = 0, -math.inf

    def on_epoch_end(self, epoch, logs=None):
        """Adds a row."""
        step = int(self._progress.step)
        self._rows.append({"epoch": epoch, "step": step, **logs})
        text = io.StringIO()
        names = dict.fromkeys(name for row in self._rows for name in row)
        writer = csv.DictWriter(text, names)
        writer.writeheader()
        writer.writerows(self._rows)
        write_file(self._path, text.getvalue())
        if time.monotonic() - self._drawn_time > _PICTURE_SECONDS:
            self._draw()

    def on_train_end(self, logs=None):
        """Draws what is not drawn yet."""
        if len(self._rows) > self._drawn_rows:
            self._draw()

    def _draw(self) -> None:
        name = os.path.basename(os.path.dirname(self._path)) or "run"
        picture = os.path.splitext(self._path)[0] + ".png"
        write_file(picture, draw_curves({name: self._rows}))
        self._drawn_rows, self._drawn_time = len(self._rows), time.monotonic()


def read_metrics(path: str) -> list[dict[str, str]]:
    """The rows that `MetricsFile` wrote; none where there is no file."""
    if not tf.io.gfile.exists(path):
        return []
    remedy = "put it back from a copy, or remove it: the curves then begin anew"
    words = "the metrics of a run's epochs"
    with reading(path, words, remedy), tf.io.gfile.GFile(path) as file:
        return check_rows(csv.DictReader(io.StringIO(file.read()), strict=True))
