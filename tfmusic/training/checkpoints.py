"""The states from which a run resumes, and its best weights."""

import dataclasses
import math
import os
import tempfile
from collections.abc import Iterable

import keras
import tensorflow as tf
from absl import logging

from tfmusic.errors import UserError, first_line
from tfmusic.files import make_directory, writing
from tfmusic.models import MusicModel
from tfmusic.training.checkpoint_files import (
    UNREADABLE,
    checkpoints_in,
    files_of,
    free_path,
    has_begun,
    loss_of,
    read_progress,
    readable,
    remove_checkpoints,
    step_of,
    write_record,
)


@dataclasses.dataclass(frozen=True)
class Patience:
    """When a run stops early.

    Attributes:
        num_epochs: After so many without a lower validation loss; 0: never.
        min_steps: Not before so many steps.
    """

    num_epochs: int = 0
    min_steps: int = 0


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

    def out_of_patience(self, patience: Patience) -> bool:
        """Whether the run stops early."""
        waited = int(self.epochs_without_gain)
        is_long = int(self.step) >= patience.min_steps
        return is_long and 0 < patience.num_epochs <= waited


class Checkpoints:
    """The checkpoints of a workdir.

    `latest/` holds the newest states of the whole run (weights, optimizers, metrics of
    the epoch so far, progress); `best/` the weights with the lowest validation loss. A
    checkpoint is written under another name and renamed when it is complete, and only
    then are older ones removed, so a run that is killed while it saves finds the state
    before.

    Attributes:
        progress: How far the run has come.
        directory: Where the states are.
        has_state: Whether there is a state from which the run could resume.
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
        self.has_state = False
        self._workdir = workdir
        self._best_directory = os.path.join(workdir, "best")
        self._is_chief = is_chief
        self._keep = keep
        self._corrupted = set()
        self._best_losses = {}  # of the weights in best/, by path
        weights = _values(model.variables)
        self._state = tf.train.Checkpoint(
            weights=weights,
            optimizers=[_values(o.variables) for o in model.optimizers],
            metrics=metric_values(model),
            progress=self.progress,
        )
        self._best = tf.train.Checkpoint(weights=weights, progress=self.progress)

    def restore(self) -> bool:
        """Restores the newest state that is whole; False where there is none yet.

        Raises:
            UserError: None of the states can be read, or they are gone.
        """
        if not has_begun(self._workdir):
            return False
        for path in checkpoints_in(self.directory):
            try:
                with readable(path) as prefix:
                    status = self._state.read(prefix)
                # Earlier versions saved a counter of their own as well.
                status.assert_existing_objects_matched().expect_partial()
                if int(self.progress.step) != step_of(path):
                    raise ValueError(f"it is of step {int(self.progress.step)}")
            except UNREADABLE as error:
                self._corrupted.add(path)
                logging.warning(
                    "checkpoint %s cannot be read (%s); trying the one before",
                    path,
                    first_line(error),
                )
            else:
                self.has_state = True
                self._find_best()
                return True
        names = ", ".join(sorted(map(os.path.basename, self._corrupted)))
        raise UserError(
            f"{self.directory}: expected a readable checkpoint, but {names} cannot be "
            "restored; put one back from a copy, or use another --workdir"
        )

    def save(self) -> None:
        """Saves the state of the whole run, then removes those that are too many.

        Raises:
            UserError: It cannot be written: the disk is full, for one.
        """
        path = self._save(self._state, self.directory)
        self.has_state = True
        if self._is_chief:
            paths = checkpoints_in(self.directory)
            older = paths[paths.index(path) + 1 :]
            spare = [p for p in older if p not in self._corrupted][: self._keep - 1]
            remove_checkpoints(self.directory, set(older) - set(spare))

    def save_best(self) -> None:
        """Saves the weights as the best so far; raises as `save` does.

        Better ones that are there already stay: after a return to an older state, those
        of a newer one that was lost.
        """
        loss = float(self.progress.best_loss)
        for path, other in self._best_losses.items():
            if other < loss:
                logging.warning(
                    "%s stays the best: its validation loss is %.4f, that of step %d "
                    "is %.4f",
                    path,
                    other,
                    int(self.progress.step),
                    loss,
                )
                return
        saved = self._save(self._best, self._best_directory)
        worse = {path for path, other in self._best_losses.items() if other >= loss}
        if self._is_chief:
            remove_checkpoints(self._best_directory, worse)
        for path in worse:
            del self._best_losses[path]
        self._best_losses[saved] = loss

    def _save(self, checkpoint: tf.train.Checkpoint, directory: str) -> str:
        """Writes a checkpoint; gives its path."""
        step = int(self.progress.step)
        name = f"ckpt-{step}"
        if not self._is_chief:
            with tempfile.TemporaryDirectory() as unused:
                checkpoint.write(os.path.join(unused, name))
            return os.path.join(directory, name)
        with writing(f"{directory}: the checkpoint of step {step}"):
            make_directory(directory)
            path = free_path(os.path.join(directory, name))
            partial = f"{path}.partial"
            try:
                checkpoint.write(partial)
                # The index comes last: it makes a checkpoint of the other files.
                for name in sorted(files_of(partial)):
                    target = name.replace(".partial.", ".")
                    tf.io.gfile.rename(
                        os.path.join(directory, name), os.path.join(directory, target)
                    )
                write_record(path)
            except (OSError, tf.errors.OpError):
                remove_checkpoints(directory, set())
                raise
        return path

    def _find_best(self) -> None:
        """Looks for the best weights that the restored state speaks of.

        Where they are gone, the next epoch's are the best again.
        """
        step, loss = int(self.progress.best_step), float(self.progress.best_loss)
        for path in checkpoints_in(self._best_directory):
            found = loss_of(path)
            # Earlier versions did not keep the loss with the weights.
            is_it = math.isnan(found) and step_of(path) == step
            self._best_losses[path] = loss if is_it else found
        if not step or any(found <= loss for found in self._best_losses.values()):
            return
        if step == int(self.progress.step):
            self.save_best()  # they have just been restored
            return
        logging.warning(
            "%s: the weights of step %d, with the lowest validation loss so far "
            "(%.4f), are gone; the next epoch's are kept as the best instead",
            self._best_directory,
            step,
            loss,
        )
        self.progress.best_loss.assign(math.inf)


def restore_weights(
    model: keras.Model, workdir: str, checkpoint: str | int = "best"
) -> str:
    """Gives a model weights of a run.

    Args:
        model: Built as the run's config says.
        workdir: The run's directory.
        checkpoint: "best": those with the lowest validation loss, or the newest where
            no epoch is validated yet; "latest": the newest; or a step.

    Returns:
        The path of the checkpoint.

    Raises:
        UserError: The directory holds no such checkpoint, or one of another network, or
            the best weights are gone.
    """
    path = _find_weights(workdir, str(checkpoint))
    try:
        with readable(path) as prefix:
            read_weights(model, prefix)
    except UNREADABLE as error:
        raise UserError(
            f"{path}: expected a whole checkpoint of the network of "
            f"{workdir}/config.json, as this version makes it, but "
            f"{first_line(error)}; train anew, or restore the files from a copy"
        ) from error
    return path


def read_weights(model: keras.Model, prefix: str) -> None:
    """Gives a model the weights of a checkpoint, or of an export's `variables`.

    Raises:
        ValueError, AssertionError: They are those of another network.
    """
    values = _values(model.variables)
    shapes = tf.train.load_checkpoint(prefix).get_variable_to_shape_map()
    for number, value in enumerate(values):
        shape = value.shape.as_list()
        found = shapes.get(f"weights/{number}/.ATTRIBUTES/VARIABLE_VALUE", shape)
        if found != shape:  # TensorFlow's own refusal leaves warnings behind
            raise ValueError(f"weights of shape {found} stand where {shape} are needed")
    status = tf.train.Checkpoint(weights=values).read(prefix).expect_partial()
    status.assert_existing_objects_matched()


def _find_weights(workdir: str, checkpoint: str) -> str:
    """The path of the checkpoint that `restore_weights` means."""
    best = checkpoints_in(os.path.join(workdir, "best"))
    if checkpoint == "best":
        losses = {path: loss_of(path) for path in best}
        # Those with a loss that is known first; of equal ones, the newest.
        order = sorted(best, key=lambda p: (math.isnan(losses[p]), losses[p]))
        return order[0] if order else _newest_without_best(workdir)
    latest = checkpoints_in(os.path.join(workdir, "latest"))
    if checkpoint == "latest" and latest:
        return latest[0]
    for path in (*latest, *best):
        if str(step_of(path)) == checkpoint:
            return path
    if not latest and not best:
        raise _no_checkpoint(workdir)
    steps = sorted({step_of(path) for path in (*latest, *best)})
    raise UserError(
        f"{workdir}: expected checkpoint to be best, latest or a step that is kept "
        f"({', '.join(map(str, steps))}), got {checkpoint!r}; "
        "train.keep_checkpoints says how many of the newest are kept"
    )


def _no_checkpoint(workdir: str) -> UserError:
    return UserError(
        f"{workdir}: expected a directory that tfmusic train wrote, found no "
        "checkpoint in it; train first, or check --workdir"
    )


def _newest_without_best(workdir: str) -> str:
    """The newest state of a run, which has no best weights yet.

    Raises:
        UserError: There is no state, or it speaks of best weights that are gone.
    """
    paths = checkpoints_in(os.path.join(workdir, "latest"))
    if not paths:
        raise _no_checkpoint(workdir)
    for path in paths:
        try:
            progress = read_progress(path)
        except UNREADABLE:
            continue
        if progress["best_step"] == progress["step"]:
            return path  # they are the best
        if progress["best_step"]:
            raise UserError(
                f"{workdir}/best: the weights of step {progress['best_step']:.0f}, "
                f"with the lowest validation loss ({progress['best_loss']:.4f}), are "
                f"gone; put them back from a copy, or copy {path}.* there to use the "
                "newest weights"
            )
        logging.warning(
            "no epoch is validated yet: taking the newest weights, %s", path
        )
        return path
    return paths[0]


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


def _values(variables: Iterable[keras.Variable]) -> list[tf.Variable]:
    """Keras' variables as TensorFlow's, in the order of their making.

    One by one, since TensorFlow does not find those that Keras keeps in lists; random
    generators' states are among a model's.
    """
    return [variable.value for variable in variables]
