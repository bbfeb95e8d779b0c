"""What the input costs: windows made against windows that training consumes.

    python -m benchmarks.input_pipeline [--quick] [--data=PATH]

For each family's default experiment on the embedded chorales: how many windows a second
`Dataset.train` gives to a step that does nothing, how many the real training step
consumes in the same run, both with the augmentation of the experiment and, where it has
none, with transposition by up to five semitones. The step waits for its input
as it would in training; `waits` is the fraction of the time that goes by until a batch
is there.

The share that is claimed is stricter: the time in which all cores make a batch, over
the time from one training step to the next, as if the two could not go on at once.

Before that the same of music that is larger than memory: one, two and four times as
much, streamed with 256 MiB in a process each. All batches of a pass are made, so that
reading counts, then some are learned. The larger of `waits` and `share` is claimed; the
goal is 0.05. Memory is the peak of the process before it reads music, after the pass,
and after learning; the growth of the second, which no network hides, is claimed: the
goal is 1.15. The music is that of the folder or zip of MIDI files at PATH, such as
MAESTRO, else the chorales; it is repeated in other files until it takes as much as
MAESTRO.
"""

import dataclasses
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import ml_collections
import numpy as np
import tensorflow as tf
from absl import app, flags

from benchmarks import registry
from tfmusic.config import load_config
from tfmusic.data.dataset import Dataset
from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.data.groups import make_groups, step_bytes
from tfmusic.data.settings import DataSettings
from tfmusic.data.shards import Shards
from tfmusic.data.windows import Windows
from tfmusic.models import make_model
from tfmusic.models.base import MusicModel
from tfmusic.training.optimizers import make_optimizer

_QUICK = flags.DEFINE_bool("quick", False, "Fewer batches and steps.")
_DATA = flags.DEFINE_string(
    "data", None, "Folder or zip of MIDI files to stream; otherwise Bach's chorales."
)

FAMILIES = {
    **{name: registry.config_path(name) for name in registry.FAMILIES[:-1]},
    "one_hand": registry.config_path("two_hands_lstm:one_hand"),
}
SEMITONES = 5
STREAMED = "biaxial_lstm"
MEMORY_MEGABYTES = 256
STREAMED_BYTES = 120e6  # at least; MAESTRO's training split as that family encodes it


class Streamed(NamedTuple):
    """What was measured of music that is larger than memory.

    Attributes:
        data_bytes: What it would take in memory.
        num_groups: How many groups a pass has.
        num_batches: How many batches.
        made: Seconds in which a batch is made, over a pass.
        step: Seconds of a training step.
        wait: Seconds of these that it waits for its batch.
        peaks: Most memory in MiB before music is read, after the pass, after learning.
    """

    data_bytes: int
    num_groups: int
    num_batches: int
    made: float
    step: float
    wait: float
    peaks: tuple[float, float, float]


def write_records(names: list[str], source: str, output_dir: str) -> None:
    """Runs the job for the families' default experiments."""
    command = [
        *(sys.executable, "-m", "pipelines.build_tfrecords"),
        *(f"--config={FAMILIES[name]}" for name in names),
        *(f"--source={source}", f"--output_dir={output_dir}"),
    ]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    if result.returncode:
        sys.exit(result.stderr)


def write_datasets(folder: str) -> dict[str, str]:
    """The job's datasets of the chorales, by family."""
    *several, one_hand = FAMILIES
    write_records(several, "bach_chorales", folder)  # in directories of their names
    write_records([one_hand], "bach_chorales", os.path.join(folder, one_hand))
    return {name: os.path.join(folder, name) for name in FAMILIES}


def make_network(config: ml_collections.ConfigDict, data_dir: str) -> MusicModel:
    """The experiment's model, ready to train."""
    model = make_model(Dataset.open(data_dir).representation, config.model)
    model.build_model()
    model.compile_for_training(make_optimizer(config.optimizer, 100, 1))
    return model


def make_batches(
    config: ml_collections.ConfigDict,
    dataset: Dataset,
    model: MusicModel,
) -> tf.data.Dataset:
    """Endless batches, as `tfmusic.training.setup` makes them, and transposed."""
    return dataset.train(
        transposed_windows(config, model),
        model.example_fn,
        batch_size=config.train.batch_size,
        seed=config.seed,
    )


def transposed_windows(config: ml_collections.ConfigDict, model: MusicModel) -> Windows:
    """The experiment's windows, by five semitones if it does not transpose them."""
    semitones = config.data.transpose_semitones or SEMITONES
    settings = {**config.data, "transpose_semitones": semitones}
    return Windows(DataSettings.from_config(settings), model.learns_end)


def write_repeated(folder: str) -> Iterator[tuple[int, str]]:
    """Datasets of 1, 2 and 4 times as much music; each is there until the next."""
    data_dir = os.path.join(folder, "data")
    write_records([STREAMED], _DATA.value or "bach_chorales", data_dir)
    info = DatasetInfo.load(data_dir)
    specs = info.make_representation().feature_specs
    num_bytes = info.splits["train"]["num_steps"] * step_bytes(specs)
    copies = max(round(STREAMED_BYTES / num_bytes), 1)
    for factor in (1, 2, 4):
        with tempfile.TemporaryDirectory(dir=folder) as repeated:
            repeat_music(data_dir, factor * copies, repeated)
            yield factor, repeated


def repeat_music(data_dir: str, copies: int, output_dir: str) -> None:
    """Writes a dataset whose training split is that of another, several times."""
    info = DatasetInfo.load(data_dir)
    split = dict(info.splits["train"])
    originals = split["shards"]
    split["shards"] = [f"{i}-{name}" for i in range(copies) for name in originals]
    for name in split["shards"]:
        original = name.partition("-")[2]
        shutil.copyfile(f"{data_dir}/{original}", f"{output_dir}/{name}")
    for name in ("num_pieces", "num_steps", "shard_pieces", "piece_steps"):
        split[name] = split[name] * copies
    dataclasses.replace(info, splits={"train": split}).save(output_dir)


def measure_streamed(data_dir: str, num_steps: int, num_seconds: float) -> Streamed:
    """Makes all batches of a pass, then learns some of the next."""
    config = load_config(FAMILIES[STREAMED])
    dataset = Dataset.open(data_dir, MEMORY_MEGABYTES)
    model = make_network(config, data_dir)
    num_batches = dataset.num_train_batches(
        transposed_windows(config, model), config.train.batch_size
    )
    batches = iter(make_batches(config, dataset, model))
    before = peak_megabytes()
    start = time.perf_counter()
    for _ in range(num_batches):
        next(batches)
    made = (time.perf_counter() - start) / num_batches
    after_pass = peak_megabytes()
    step, wait = seconds_to_learn(model, batches, num_steps, num_seconds)
    groups = make_groups(Shards(data_dir, dataset.info, "train"), MEMORY_MEGABYTES)
    return Streamed(
        int(groups.shard_bytes.sum()),
        groups.num_groups,
        num_batches,
        made,
        step,
        wait,
        (before, after_pass, peak_megabytes()),
    )


def peak_megabytes() -> float:
    """The most memory that this process ever had, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def compare_streamed(num_steps: int, num_seconds: float) -> None:
    """Prints the table of one, two and four times as much music, and the claims."""
    size = load_config(FAMILIES[STREAMED]).train.batch_size
    print(
        f"{STREAMED:18}{'groups':>8}{'batches':>9}{'made/s':>9}{'learned/s':>11}"
        f"{'waits':>8}{'share':>8}{'MiB before':>12}{'pass':>7}{'learning':>10}"
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for factor, data_dir in write_repeated(folder):
            # A process is told its parent's memory as its own, so these come first.
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                arguments = data_dir, num_steps, num_seconds
                row = pool.submit(measure_streamed, *arguments).result()
            rows.append(row)
            before, after_pass, after_learning = row.peaks
            print(
                f"{f'{factor} x, {row.data_bytes / 2**20:,.0f} MiB':18}"
                f"{row.num_groups:8}{row.num_batches:9,}{size / row.made:9,.0f}"
                f"{size / row.step:11,.1f}{row.wait / row.step:8.2%}"
                f"{row.made / row.step:8.2%}"
                f"{before:12,.0f}{after_pass:7,.0f}{after_learning:10,.0f}",
                flush=True,
            )
    share = max(max(row.made, row.wait) / row.step for row in rows)
    growth = rows[-1].peaks[1] / rows[0].peaks[1]
    print(f"input_pipeline.streaming_share = {share:.4f}")
    print(f"input_pipeline.streaming_memory_growth = {growth:.3f}\n", flush=True)


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
    compare_streamed(num_steps, num_seconds)
    shares = {}
    print(
        f"{'':18}{'batch':>10}{'made/s':>10}{'learned/s':>11}{'ratio':>8}"
        f"{'waits':>9}{'share':>9}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, data_dir in write_datasets(folder).items():
            config = load_config(FAMILIES[name])
            model = make_network(config, data_dir)
            batches = make_batches(config, Dataset.open(data_dir), model)
            made = seconds_to_make(iter(batches), num_batches)
            step, wait = seconds_to_learn(model, iter(batches), num_steps, num_seconds)
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
