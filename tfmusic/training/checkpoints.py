"""What a run needs to go on where it was stopped, kept in one checkpoint."""

import math
import os
import tempfile
from collections.abc import Iterable

import keras
import tensorflow as tf
from absl import logging

from tfmusic.data.writing import first_line, writing
from tfmusic.errors import UserError
from tfmusic.models import MusicModel

# What TensorFlow raises for a checkpoint of another network or a damaged one; an index
# error where the file of the values is cut off.
UNREADABLE = (AssertionError, IndexError, ValueError, tf.errors.OpError)


class Progress(tf.Module):
    """How far a run has come; saved with its weights.

    Attributes:
        step: Training steps done.
        epoch: Epochs done, their validation included.
        epoch_begin: The step at which the epoch after them began.
        best_loss: The lowest validation loss so far.
        best_step: The step that reached it.
        epochs_without_gain: Epochs since then.
    """

    def __init__(self):
        super().__init__()
        self.step = tf.Variable(0, dtype=tf.int64)
        self.epoch = tf.Variable(0, dtype=tf.int64)
        self.epoch_begin = tf.Variable(0, dtype=tf.int64)
        self.best_loss = tf.Variable(math.inf, dtype=tf.float32)
        self.best_step = tf.Variable(0, dtype=tf.int64)
        self.epochs_without_gain = tf.Variable(0, dtype=tf.int64)

    def out_of_patience(self, patience: int) -> bool:
        """Whether the run stops early; a patience of 0 epochs has no end."""
        return 0 < patience <= int(self.epochs_without_gain)


class Checkpoints:
    """The checkpoints of a workdir.

    `latest/` holds the newest states of the whole run (weights, optimizers, metrics of
    the epoch so far, progress); `best/` the weights with the lowest validation loss.
    TensorFlow writes each under a temporary name first, so a run killed while saving
    finds the one before.
    """

    def __init__(
        self, workdir: str, model: MusicModel, keep: int = 2, is_chief: bool = True
    ):
        """Prepares to save and restore.

        Args:
            workdir: The run's directory; it may be in a bucket.
            model: Built and compiled, its optimizers and metrics built as well.
            keep: How many of the newest states stay on disk.
            is_chief: Whether this process writes to `workdir`. The other workers have
                to save at the same time, for some values are sums over all of them, but
                what they write is thrown away.
        """
        self.progress = Progress()
        self.directory = os.path.join(workdir, "latest")
        self._is_chief = is_chief
        weights = _values(model.variables)
        self._latest = tf.train.CheckpointManager(
            tf.train.Checkpoint(
                weights=weights,
                optimizers=[_values(o.variables) for o in model.optimizers],
                metrics=metric_values(model),
                progress=self.progress,
            ),
            self.directory,
            max_to_keep=keep,
        )
        self._best = tf.train.CheckpointManager(
            tf.train.Checkpoint(weights=weights),
            os.path.join(workdir, "best"),
            max_to_keep=1,
        )

    def restore(self) -> bool:
        """Restores the newest state; False where there is none yet.

        Raises:
            UserError: None of the states that are there can be read.
        """
        paths = list(reversed(self._latest.checkpoints))
        for path in paths:
            try:
                self._latest.checkpoint.restore(path).assert_existing_objects_matched()
                return True
            except UNREADABLE as error:
                logging.warning(
                    "checkpoint %s cannot be read (%s); trying the one before",
                    path,
                    first_line(error),
                )
        if paths:
            raise UserError(
                f"{self._latest.directory}: expected a readable checkpoint, found "
                f"{len(paths)} that cannot be restored; use another --workdir"
            )
        return False

    def save(self) -> None:
        """Saves the state of the whole run.

        Raises:
            UserError: It cannot be written: the disk is full, for one.
        """
        self._save(self._latest)

    def save_best(self) -> None:
        """Saves the weights as the best so far; raises as `save` does."""
        self._save(self._best)

    def _save(self, manager: tf.train.CheckpointManager) -> None:
        if not self._is_chief:
            with tempfile.TemporaryDirectory() as directory:
                manager.checkpoint.write(os.path.join(directory, "unused"))
            return
        step = int(self.progress.step)
        with writing(f"{manager.directory}: the checkpoint of step {step}"):
            try:
                manager.save(checkpoint_number=step)
            except (OSError, tf.errors.OpError):
                _remove(tf.io.gfile.glob(f"{manager.directory}/*{step}*temp*"))
                raise


def has_checkpoint(workdir: str) -> bool:
    """Whether a run has come as far as to its first state."""
    return bool(tf.io.gfile.glob(os.path.join(workdir, "latest", "ckpt-*.index")))


def restore_weights(model: keras.Model, workdir: str) -> str:
    """Gives a model the best weights of a run, or the newest where none were best yet.

    Args:
        model: Built as the run's config says.
        workdir: The run's directory.

    Returns:
        The path of the checkpoint.

    Raises:
        UserError: The directory holds no checkpoint, or one of another network.
    """
    for name in ("best", "latest"):
        path = tf.train.latest_checkpoint(os.path.join(workdir, name))
        if path:
            break
    else:
        raise UserError(
            f"{workdir}: expected a directory that tfmusic.train wrote, found no "
            "checkpoint in it; train first, or check --workdir"
        )
    try:
        status = tf.train.Checkpoint(weights=_values(model.variables)).restore(path)
        status.assert_existing_objects_matched().expect_partial()
    except UNREADABLE as error:
        raise UserError(
            f"{path}: expected a whole checkpoint of the network of "
            f"{workdir}/config.json, but {first_line(error)}; train anew, or restore "
            "the files from a copy"
        ) from error
    return path


def metric_values(model: MusicModel) -> list[tf.Variable]:
    """The variables of all metrics of training, those of the optimizers included."""
    metrics = [*model.metrics, *optimizer_metrics(model).values()]
    return _values(variable for metric in metrics for variable in metric.variables)


def optimizer_metrics(model: MusicModel) -> dict[str, keras.metrics.Metric]:
    """Each optimizer's gradient norm, by the name that logs give it."""
    metrics = {o.name: o.gradient_norm for o in model.optimizers}
    if len(metrics) == 1:
        return {"gradient_norm": metrics.popitem()[1]}
    return {f"gradient_norm_{name}": metric for name, metric in metrics.items()}


def _remove(paths: Iterable[str]) -> None:
    """Removes the leavings of a failed save, as far as that is possible."""
    for path in paths:
        try:
            if tf.io.gfile.isdir(path):
                tf.io.gfile.rmtree(path)
            else:
                tf.io.gfile.remove(path)
        except tf.errors.OpError:
            logging.warning("%s is left over from a failed save", path)


def _values(variables: Iterable[keras.Variable]) -> list[tf.Variable]:
    """Keras' variables as TensorFlow's, in the order of their making.

    One by one, since TensorFlow does not find those that Keras keeps in lists; random
    generators' states are among a model's.
    """
    return [variable.value for variable in variables]
