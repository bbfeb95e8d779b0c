"""What it costs to train on several devices or in several processes.

    python -m benchmarks.distribution [--quick] [--family=NAME,...] [--variant=NAME]

Each family, or those named, trains on Bach's chorales as `python -m tfmusic.train`
does: on one device; on the processor split into two logical devices (MirroredStrategy);
and in two processes that talk over this machine's network
(MultiWorkerMirroredStrategy). All have the same cores and the same global batch, so a
ratio of 1 is what costs nothing; more speed needs more machines. Figures are of the
epochs after the first, in which TensorFlow traces.
"""

import contextlib
import csv
import io
import json
import os
import socket
import subprocess
import sys
import tempfile

import numpy as np
from absl import app, flags

import tfmusic
from benchmarks import registry

_QUICK = flags.DEFINE_bool("quick", False, "Fewer steps.")
_FAMILY = flags.DEFINE_list("family", registry.FAMILIES, "Names of configs.")
_VARIANT = flags.DEFINE_string("variant", "smoke", "Their variant; empty: the default.")

# How the processor is divided, the flags of `tfmusic.train`, and the processes.
WAYS = {
    "one device": (["distribute=none"], 1),
    "two devices": (["distribute=mirrored", "num_cpu_devices=2"], 1),
    "two workers": (["distribute=multi_worker"], 2),
}


def free_port() -> int:
    """A port on this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def start(command: list[str], num_workers: int) -> list[subprocess.Popen]:
    """Starts a training, one process for each worker."""
    workers = [f"localhost:{free_port()}" for _ in range(num_workers)]
    processes = []
    for index in range(num_workers):
        task = {"type": "worker", "index": index}
        cluster = json.dumps({"cluster": {"worker": workers}, "task": task})
        environment = {**os.environ}
        if num_workers > 1:
            environment["TF_CONFIG"] = cluster
        processes.append(
            subprocess.Popen(
                command,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return processes


def config_of(name: str) -> str:
    """The config of a family, in the variant that is asked for."""
    return registry.config_path(f"{name}:{_VARIANT.value}")


def make_data(name: str, folder: str) -> str:
    """A family's dataset; latents come from an autoencoder that has hardly learned."""
    data_dir, run, model, latents = (
        os.path.join(folder, part) for part in ("data", "run", "model", "latents")
    )
    is_latent = name == "latent_wgan"
    config = config_of("set_autoencoder" if is_latent else name)
    with contextlib.redirect_stdout(io.StringIO()):  # the job's table
        tfmusic.build_dataset(tfmusic.load_config(config), "bach_chorales", data_dir)
    if not is_latent:
        return data_dir
    for module, *arguments in (
        (
            "tfmusic.train",
            f"--config={config}",
            f"--data_dir={data_dir}",
            f"--workdir={run}",
            "--config.train.num_epochs=1",
            "--config.train.steps_per_epoch=10",
            "--config.train.sample_every_epochs=0",
        ),
        ("tfmusic.export", f"--workdir={run}", f"--export_dir={model}"),
        (
            "pipelines.encode_latents",
            f"--data_dir={data_dir}",
            f"--model_dir={model}",
            f"--output_dir={latents}",
        ),
    ):
        command = [sys.executable, "-m", module, *arguments]
        subprocess.run(command, check=True, capture_output=True)
    return latents


def windows_per_second(name: str, data_dir: str, workdir: str, way: str) -> float:
    """Trains for three epochs in one way; the best of the last two."""
    config = config_of(name)
    settings, num_workers = WAYS[way]
    settings = [
        *settings,
        "num_epochs=3",
        f"steps_per_epoch={10 if _QUICK.value else 50}",
        "sample_every_epochs=0",
        "early_stopping_epochs=0",
    ]
    command = [sys.executable, "-m", "tfmusic.train", f"--config={config}"]
    command += [f"--data_dir={data_dir}", f"--workdir={workdir}"]
    command += [f"--config.train.{setting}" for setting in settings]
    for process in start(command, num_workers):
        _, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{name}, {way}: {errors}")
    with open(os.path.join(workdir, "metrics.csv"), encoding="utf-8") as file:
        speeds = [float(row["steps_per_second"]) for row in csv.DictReader(file)]
    batch = tfmusic.load_config(config).train.batch_size
    return batch * float(np.max(speeds[1:]))


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    ratios = {}
    print(f"{'windows a second':20}" + "".join(f"{way:>14}" for way in WAYS))
    for name in _FAMILY.value:
        with tempfile.TemporaryDirectory() as folder:
            data_dir = make_data(name, folder)
            speeds = {
                way: windows_per_second(
                    name, data_dir, os.path.join(folder, way.replace(" ", "_")), way
                )
                for way in WAYS
            }
        print(f"{name:20}" + "".join(f"{s:14,.1f}" for s in speeds.values()))
        one, *others = speeds.values()
        for way, speed in zip(list(WAYS)[1:], others, strict=True):
            ratios[f"{name}_{way.replace(' ', '_')}"] = speed / one
    print(f"\n{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}.")
    for name, ratio in ratios.items():
        print(f"distribution.{name}_ratio = {ratio:.2f}")


if __name__ == "__main__":
    app.run(main)
