"""The files of checkpoints: which there are, whether they are whole, what they hold.

The files alone say what there is. Each checkpoint holds how far the run had come, so
that no record beside them is needed, which could be lost or say something else.
TensorFlow's own, the file `checkpoint`, is written for other programs and never read.
"""

import contextlib
import math
import os
import re
import tempfile
from collections.abc import Iterator

import tensorflow as tf
from absl import logging

from tfmusic.errors import UserError
from tfmusic.files import write_file

# What TensorFlow raises for a checkpoint of another network or a corrupted one; an
# index error where the file of the values is cut off.
UNREADABLE = (AssertionError, IndexError, ValueError, tf.errors.OpError)
# Two checkpoints of one step have different names: no file is ever written over.
_ENDING = r"\.(?:index|data-\d+-of-\d+)"
_FILE = re.compile(rf"(ckpt-(\d+)(?:-(\d+))?){_ENDING}")
_PATTERN_CHARACTERS = set("[*?\\") - {os.sep}


def checkpoints_in(directory: str) -> list[str]:
    """Lists the checkpoints in a directory, complete or not, the newest first.

    Args:
        directory: It may be in a bucket, or not there.

    Returns:
        Their paths, without the endings of their files.
    """
    found = {}
    for name in _names_in(directory):
        if match := _FILE.fullmatch(name):
            found[match[1]] = int(match[2]), int(match[3] or 1)
    return [
        os.path.join(directory, name)
        for name in sorted(found, key=found.get, reverse=True)
    ]


def has_begun(workdir: str) -> bool:
    """Whether there are states of a run, complete or not.

    The first state is saved before all else that a run learns is written.

    Raises:
        UserError: There is no state but something that came after it: a run whose
            states are gone is never begun anew.
    """
    if checkpoints_in(os.path.join(workdir, "latest")):
        return True
    traces = [f"best/{os.path.basename(p)}" for p in checkpoints_in(f"{workdir}/best")]
    if tf.io.gfile.exists(os.path.join(workdir, "latest", "checkpoint")):
        traces.append("latest/checkpoint")
    metrics = os.path.join(workdir, "metrics.csv")
    if tf.io.gfile.exists(metrics):
        try:
            with tf.io.gfile.GFile(metrics, "rb") as file:
                num_epochs = len(file.read().splitlines()) - 1
        except tf.errors.OpError:
            num_epochs = 0  # no file; who reads it says so
        if num_epochs > 0:
            traces.append(f"metrics.csv of {num_epochs} epochs")
    if traces:
        raise UserError(
            f"{workdir} holds a run whose states are gone: found "
            f"{', '.join(traces)}, but no checkpoint in latest/; put them back from a "
            "copy, or use another --workdir; to begin anew in this one, remove it first"
        )
    return False


def read_progress(path: str) -> dict[str, float]:
    """Reads a checkpoint in full; gives the `Progress` in it, by name.

    Empty for weights that earlier versions wrote; raises one of `UNREADABLE`.
    """
    progress = {}
    with readable(path) as prefix:
        reader = tf.train.load_checkpoint(prefix)
        for name in reader.get_variable_to_shape_map():
            value = reader.get_tensor(name)  # checks its sum, too
            if name.startswith("progress/"):
                progress[name.split("/")[1]] = float(value)
    return progress


def loss_of(path: str) -> float:
    """The validation loss of weights in best/.

    Infinite for corrupted ones; NaN where it is not known: for those that earlier
    versions wrote, or states that someone has put there.
    """
    try:
        progress = read_progress(path)
    except UNREADABLE:
        return math.inf
    if not progress or progress["best_step"] != progress["step"]:
        return math.nan
    return progress["best_loss"]


@contextlib.contextmanager
def readable(path: str) -> Iterator[str]:
    """Gives a path by which TensorFlow can read a checkpoint.

    It takes some characters of directories for patterns.
    """
    if not _PATTERN_CHARACTERS & set(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as copy:
        for name in files_of(path):
            target = os.path.join(copy, name)
            tf.io.gfile.copy(os.path.join(os.path.dirname(path), name), target)
        yield os.path.join(copy, os.path.basename(path))


def step_of(path: str) -> int:
    """The training step that a checkpoint's name gives."""
    return int(os.path.basename(path).split("-")[1])


def short_name(path: str) -> str:
    """A checkpoint's name in its run, such as best/ckpt-500."""
    folder, name = os.path.split(path)
    return f"{os.path.basename(folder)}/{name}"


def free_path(path: str) -> str:
    """A path of which there is no checkpoint yet."""
    taken = set(checkpoints_in(os.path.dirname(path)))
    number, free = 1, path
    while free in taken:
        number += 1
        free = f"{path}-{number}"
    return free


def write_record(path: str) -> None:
    """Tells programs that ask `tf.train.latest_checkpoint` of a new checkpoint."""
    directory, name = os.path.split(path)
    content = f'model_checkpoint_path: "{name}"\n'
    write_file(os.path.join(directory, "checkpoint"), content)


def files_of(path: str) -> list[str]:
    """The names of a checkpoint's files."""
    pattern = re.compile(re.escape(os.path.basename(path)) + _ENDING)
    return [n for n in _names_in(os.path.dirname(path)) if pattern.fullmatch(n)]


def _names_in(directory: str) -> list[str]:
    try:
        return [name.rstrip("/") for name in tf.io.gfile.listdir(directory)]
    except tf.errors.NotFoundError:
        return []


def remove_checkpoints(directory: str, paths: set[str]) -> None:
    """Removes checkpoints, and what killed saves have left behind."""
    for name in _names_in(directory):
        match = _FILE.fullmatch(name)
        is_rest = ".partial" in name or "_temp" in name
        if is_rest or (match and os.path.join(directory, match[1]) in paths):
            _remove(os.path.join(directory, name))


def _remove(path: str) -> None:
    """Removes a file or directory, as far as that is possible."""
    try:
        if tf.io.gfile.isdir(path):
            tf.io.gfile.rmtree(path)
        else:
            tf.io.gfile.remove(path)
    except tf.errors.OpError:
        logging.warning("%s cannot be removed; it is not needed any more", path)
