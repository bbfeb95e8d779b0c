"""What a run needs to go on where it was stopped, kept in one checkpoint."""

import math
import os

import keras
import tensorflow as tf
from absl import logging

from tfmusic.errors import UserError


class Progress(tf.Module):
    """How far a run has come; saved with its weights.

    Attributes:
        step: Training steps done.
        best_loss: The lowest validation loss so far.
        best_step: The step that reached it.
        epochs_without_gain: Epochs since then.
    """

    def __init__(self):
        super().__init__()
        self.step = tf.Variable(0, dtype=tf.int64)
        self.best_loss = tf.Variable(math.inf, dtype=tf.float32)
        self.best_step = tf.Variable(0, dtype=tf.int64)
        self.epochs_without_gain = tf.Variable(0, dtype=tf.int64)

    def out_of_patience(self, patience: int) -> bool:
        """Whether the run stops early; a patience of 0 epochs has no end."""
        return 0 < patience <= int(self.epochs_without_gain)


class Checkpoints:
    """The checkpoints of a workdir.

    `latest/` holds the newest states of the whole run (weights, optimizer, progress);
    `best/` the weights with the lowest validation loss. TensorFlow writes each under a
    temporary name first, so a run killed while saving finds the one before.
    """

    def __init__(self, workdir: str, model: keras.Model, keep: int = 2):
        """Prepares to save and restore.

        Args:
            workdir: The run's directory; it may be in a bucket.
            model: Built and compiled, its optimizer built as well.
            keep: How many of the newest states stay on disk.
        """
        self.progress = Progress()
        self._latest = tf.train.CheckpointManager(
            tf.train.Checkpoint(
                weights=_values(model),
                optimizer=_values(model.optimizer),
                progress=self.progress,
            ),
            os.path.join(workdir, "latest"),
            max_to_keep=keep,
        )
        self._best = tf.train.CheckpointManager(
            tf.train.Checkpoint(weights=_values(model)),
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
            except (tf.errors.OpError, ValueError) as error:
                logging.warning(
                    "checkpoint %s cannot be read (%s); trying the one before",
                    path,
                    str(error).splitlines()[0],
                )
        if paths:
            raise UserError(
                f"{self._latest.directory}: expected a readable checkpoint, found "
                f"{len(paths)} that cannot be restored; use another --workdir"
            )
        return False

    def save(self) -> None:
        """Saves the state of the whole run."""
        self._latest.save(checkpoint_number=self.progress.step)

    def save_best(self) -> None:
        """Saves the weights as the best so far."""
        self._best.save(checkpoint_number=self.progress.step)


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
        status = tf.train.Checkpoint(weights=_values(model)).restore(path)
        status.assert_existing_objects_matched().expect_partial()
    except (AssertionError, ValueError) as error:
        raise UserError(
            f"{path}: the checkpoint does not fit the network of {workdir}/config.json "
            f"({str(error).splitlines()[0]})"
        ) from error
    return path


def _values(owner: keras.Model | keras.optimizers.Optimizer) -> list[tf.Variable]:
    """All variables of a model or an optimizer, in the order of their making.

    One by one, since TensorFlow does not find those that Keras keeps in lists; random
    generators' states are among them.
    """
    return [variable.value for variable in owner.variables]
