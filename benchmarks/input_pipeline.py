"""What the input costs: windows made against windows that training consumes.

    python -m benchmarks.input_pipeline [--quick]

For each family's default experiment on the embedded chorales: how many windows a second
`Dataset.train` gives to a step that does nothing, how many the real training step
consumes in the same run, both with the augmentation of the experiment and, where it has
none, with transposition by up to five semitones. The step waits for its input
as it would in training; `waits` is the share of the time that goes by until a batch is
there.

The share that is claimed is stricter: the time in which all cores make a batch, over
the time from one training step to the next, as if the two could not go on at once.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import ml_collections
import numpy as np
import tensorflow as tf
from absl import app, flags

from tfmusic.config import load_config
from tfmusic.data.dataset import Dataset
from tfmusic.data.settings import DataSettings
from tfmusic.data.windows import Windows
from tfmusic.models import make_model
from tfmusic.models.base import MusicModel
from tfmusic.training.optimizers import make_optimizer

_QUICK = flags.DEFINE_bool("quick", False, "Fewer batches and steps.")

FAMILIES = {
    "chord_lstm": "configs/chord_lstm.py",
    "skuldur_lstm": "configs/skuldur_lstm.py",
    "performance_lstm": "configs/performance_lstm.py",
    "two_hands_lstm": "configs/two_hands_lstm.py",
    "next_frame_lstm": "configs/next_frame_lstm.py",
    "frame_seq2seq": "configs/frame_seq2seq.py",
    "roll_lstm": "configs/roll_lstm.py",
    "biaxial_lstm": "configs/biaxial_lstm.py",
    "set_autoencoder": "configs/set_autoencoder.py",
    "one_hand": "configs/two_hands_lstm.py:one_hand",
}
SEMITONES = 5


def write_datasets(folder: str) -> dict[str, str]:
    """The job's datasets of the chorales, by family."""
    *several, one_hand = FAMILIES
    for names, output_dir in (
        (several, folder),  # each in a directory of its own name
        ([one_hand], os.path.join(folder, one_hand)),
    ):
        command = [
            *(sys.executable, "-m", "pipelines.build_tfrecords"),
            *(f"--config={FAMILIES[name]}" for name in names),
            *("--source=bach_chorales", f"--output_dir={output_dir}"),
        ]
        subprocess.run(command, check=True, capture_output=True)
    return {name: os.path.join(folder, name) for name in FAMILIES}


def make_network(config: ml_collections.ConfigDict, data_dir: str) -> MusicModel:
    """The experiment's model, ready to train."""
    model = make_model(Dataset.open(data_dir).representation, config.model)
    model.build_model()
    model.compile_for_training(make_optimizer(config.optimizer, 100, 1))
    return model


def make_batches(
    config: ml_collections.ConfigDict, data_dir: str, model: MusicModel
) -> Iterator:
    """Endless batches, as `tfmusic.training.setup` makes them, and transposed."""
    semitones = config.data.transpose_semitones or SEMITONES
    settings = {**config.data, "transpose_semitones": semitones}
    windows = Windows(DataSettings.from_config(settings), model.learns_end)
    return iter(
        Dataset.open(data_dir).train(
            windows,
            model.example_fn,
            batch_size=config.train.batch_size,
            seed=config.seed,
        )
    )


def seconds_to_make(batches: Iterator, num_batches: int) -> float:
    """Median over runs of batches of the seconds that one takes."""
    for _ in range(40):  # more than are made ahead
        next(batches)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(num_batches):
            next(batches)
        times.append((time.perf_counter() - start) / num_batches)
    return float(np.median(times))


def seconds_to_learn(
    model: MusicModel, batches: Iterator, num_steps: int, num_seconds: float
) -> tuple[float, float]:
    """Medians of the seconds of a training step, and of waiting for its batch.

    Slow steps are no more than fit into `num_seconds`, but at least one.
    """
    model.train_on_batch(*next(batches))  # traces
    steps, waits = [], []
    while len(steps) < num_steps and sum(steps) < num_seconds:
        start = time.perf_counter()
        batch = next(batches)
        waits.append(time.perf_counter() - start)
        model.train_on_batch(*batch)
        steps.append(time.perf_counter() - start)
    return float(np.median(steps)), float(np.median(waits))


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    num_batches, num_steps, num_seconds = (10, 5, 5) if _QUICK.value else (60, 20, 60)
    shares = {}
    print(
        f"{'':18}{'batch':>10}{'made/s':>10}{'learned/s':>11}{'ratio':>8}"
        f"{'waits':>9}{'share':>9}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, data_dir in write_datasets(folder).items():
            config = load_config(FAMILIES[name])
            model = make_network(config, data_dir)
            made = seconds_to_make(make_batches(config, data_dir, model), num_batches)
            step, wait = seconds_to_learn(
                model,
                make_batches(config, data_dir, model),
                num_steps,
                num_seconds,
            )
            size = config.train.batch_size
            shares[name] = made / step
            print(
                f"{name:18}{f'{size} x {config.data.window_steps}':>10}"
                f"{size / made:10,.0f}{size / step:11,.1f}{step / made:8,.0f}"
                f"{wait / step:9.2%}{shares[name]:9.2%}",
                flush=True,
            )
    print(
        f"\nWindows a second. TensorFlow {tf.__version__}, {os.cpu_count()} cores, "
        f"{tf.config.list_logical_devices()[-1].name}. Medians of 5 runs of "
        f"{num_batches} batches, and of at most {num_steps} steps."
    )
    for name, share in shares.items():
        print(f"input_pipeline.{name}_share = {share:.4f}")


if __name__ == "__main__":
    app.run(main)
