"""What TensorBoard shows of a run: curves, texts, vectors of tokens, a profile.

Runs in it: `training` and `validation`; `generated` and `held-out` are those of
`tfmusic.training.samples`.
"""

import math
import os

import keras
import ml_collections
import tensorflow as tf

from tfmusic.files import write_file
from tfmusic.models import MusicModel
from tfmusic.representations.chords import STEP_NAMES
from tfmusic.training.checkpoints import Progress

# Groups of curves, by what logs call them; the others are losses and metrics, which
# stand in one group too rather than in one each.
_GROUPS = {"steps_per_second": "speed", "input_share": "speed"}
# Steps of a call before the profiler begins: the first ones trace and allocate.
_STEPS_BEFORE_PROFILE = 10
_MAX_VECTORS = 10_000


class Curves(keras.callbacks.Callback):
    """Writes a point of every curve at the end of each epoch, and the run's texts."""

    def __init__(
        self,
        log_dir: str,
        config: ml_collections.ConfigDict,
        progress: Progress,
        seconds_per_batch: float,
    ):
        """Prepares the writers.

        Args:
            log_dir: It may be in a bucket.
            config: Shown as text.
            progress: How far the run has come.
            seconds_per_batch: Music in a training batch, in seconds.
        """
        super().__init__()
        self._writers = {
            name: tf.summary.create_file_writer(f"{log_dir}/{name}")
            for name in ("training", "validation")
        }
        self._config = config
        self._progress = progress
        self._seconds_per_batch = seconds_per_batch

    def on_train_begin(self, logs=None):
        """Writes the config and the model's weights as texts."""
        if int(self._progress.step):
            return
        config = self._config.to_json_best_effort(indent=1, sort_keys=True)
        with self._writers["training"].as_default(step=0):
            tf.summary.text("config", _verbatim(config))
            tf.summary.text("model", _weights_table(self.model))
        self._writers["training"].flush()

    def on_epoch_end(self, epoch, logs=None):
        """Writes the logs and the learning rates."""
        points = {"training": {}, "validation": {}}
        for name, value in logs.items():
            if name.startswith("val_"):
                points["validation"][_grouped(name.removeprefix("val_"))] = value
            else:
                points["training"][_grouped(name)] = value
        training = points["training"]
        training["speed/seconds_of_music_per_second"] = (
            logs["steps_per_second"] * self._seconds_per_batch
        )
        for optimizer in self.model.optimizers:
            several = len(self.model.optimizers) > 1
            name = f"learning_rate_{optimizer.name}" if several else "learning_rate"
            training[f"optimizer/{name}"] = float(optimizer.learning_rate)
        for name, writer in self._writers.items():
            with writer.as_default(step=int(self._progress.step)):
                for tag, value in points[name].items():
                    tf.summary.scalar(tag, value)
            writer.flush()


class Profile(keras.callbacks.Callback):
    """Runs TensorBoard's profiler over a few steps."""

    def __init__(self, log_dir: str, num_steps: int):
        """Prepares it.

        Args:
            log_dir: Where it writes.
            num_steps: How many steps.
        """
        super().__init__()
        self._log_dir = log_dir
        self._num_steps = num_steps
        self._steps_done = 0
        self._is_running = False

    def on_train_batch_begin(self, batch, logs=None):
        """Starts the profiler, and marks the step: it measures marked ones alone.

        Even of those it finds none where they hold while loops, as LSTMs without cuDNN
        do, and then shows operations and the trace alone.
        """
        if self._steps_done == _STEPS_BEFORE_PROFILE:
            tf.profiler.experimental.start(self._log_dir)
            self._is_running = True
        if self._is_running:
            self._mark = tf.profiler.experimental.Trace(
                "train", step_num=self._steps_done, _r=1
            )
            self._mark.__enter__()

    def on_train_batch_end(self, batch, logs=None):
        """Ends the step's mark, and stops the profiler."""
        if self._is_running:
            self._mark.__exit__(None, None, None)
        self._steps_done += 1
        if self._steps_done == _STEPS_BEFORE_PROFILE + self._num_steps:
            self.on_train_end()

    def on_train_end(self, logs=None):
        """Stops the profiler if the run had fewer steps than it was to look at."""
        if self._is_running:
            tf.profiler.experimental.stop()
            self._is_running = False


def write_token_vectors(model: MusicModel, directory: str) -> None:
    """Writes what TensorBoard's projector shows, if the model has vectors of tokens.

    Args:
        model: Any.
        directory: That of a run in TensorBoard.
    """
    vectors = model.token_vectors()
    if vectors is None:
        return
    kind = model.representation
    labels = ["token\tnumber of notes\tlowest note"]
    for label, sounding in zip(kind.token_labels(), kind.token_pitches(), strict=True):
        # Without its octave, for the projector colours by 50 values at most.
        bass = STEP_NAMES[sounding.argmax() % 12] if sounding.any() else "none"
        labels.append(f"{label}\t{sounding.sum()}\t{bass}")
    rows = ["\t".join(f"{value:.5g}" for value in vector) for vector in vectors]
    files = {
        "tokens.tsv": labels[: _MAX_VECTORS + 1],
        "vectors.tsv": rows[:_MAX_VECTORS],
        # Last, for it names the others.
        "projector_config.pbtxt": [
            "embeddings {",
            '  tensor_name: "tokens"',
            '  tensor_path: "vectors.tsv"',
            '  metadata_path: "tokens.tsv"',
            "}",
        ],
    }
    for name, lines in files.items():
        write_file(os.path.join(directory, name), "\n".join(lines) + "\n")


def _grouped(name: str) -> str:
    if name.startswith("gradient_norm"):
        return f"optimizer/{name}"
    return f"{_GROUPS.get(name, 'metrics')}/{name}"


def _weights_table(model: keras.Model) -> str:
    """Every weight with its shape, in Markdown.

    Keras' own summary is cut off at the width of a terminal.
    """
    lines = ["| weight | shape | numbers |", "| --- | --- | ---: |"]
    # First, for a card shows a dozen lines.
    lines.append(f"| all | | {model.count_params():,} |")
    for weight in model.weights:
        shape = " x ".join(map(str, weight.shape))
        lines.append(f"| `{weight.path}` | {shape} | {math.prod(weight.shape):,} |")
    return "\n".join(lines)


def _verbatim(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())
