"""Keras callbacks that the stock ones do not cover."""

import keras
import tensorflow as tf
from absl import logging

from tfmusic.training.checkpoints import Checkpoints


class SaveProgress(keras.callbacks.Callback):
    """Counts steps, keeps the best weights, stops early and saves, in one place.

    The best loss, the patience used up and the weights are saved together, so a run
    that is killed and called again decides everything as an undisturbed one would.
    """

    def __init__(self, checkpoints: Checkpoints, patience: int):
        """Prepares the callback.

        Args:
            checkpoints: Where to save.
            patience: Epochs without a lower validation loss before the run stops;
                0 never stops early.
        """
        super().__init__()
        self._checkpoints = checkpoints
        self._patience = patience

    def on_train_batch_end(self, batch, logs=None):
        """Counts one step."""
        self._checkpoints.progress.step.assign_add(1)

    def on_epoch_end(self, epoch, logs=None):
        """Judges the epoch by its validation loss, then saves."""
        progress = self._checkpoints.progress
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
                "stopped early: no lower validation loss for %d epochs", self._patience
            )
            self.model.stop_training = True
        self._checkpoints.save()


class Scalars(keras.callbacks.Callback):
    """Writes metrics for TensorBoard: training and validation as two runs."""

    def __init__(self, log_dir: str):
        """Prepares the writers under `log_dir`, which may be in a bucket."""
        super().__init__()
        self._writers = {
            name: tf.summary.create_file_writer(f"{log_dir}/{name}")
            for name in ("training", "validation")
        }

    def on_epoch_end(self, epoch, logs=None):
        """Writes the metrics at the global step."""
        step = int(self.model.optimizer.iterations)
        for name, value in (logs or {}).items():
            is_validation = name.startswith("val_")
            writer = self._writers["validation" if is_validation else "training"]
            with writer.as_default(step=step):
                tf.summary.scalar(name.removeprefix("val_"), value)
        with self._writers["training"].as_default(step=step):
            tf.summary.scalar("learning_rate", self.model.optimizer.learning_rate)
        for writer in self._writers.values():
            writer.flush()
