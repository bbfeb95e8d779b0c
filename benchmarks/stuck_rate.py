"""How often generated music stands still, with the guards off and on.

    python -m benchmarks.stuck_rate [--quick] [--model_dir=NAME=DIR ...]

Of 64 outputs of 512 steps it counts those in which one and the same frame or token
comes 16 times in a row or more. `--model_dir` gives a name and an export or a run's
directory, best of a model that is trained half the way. Without it each family's config
learns one of the two short epochs of its variant `smoke` from the chorales that music21
carries, in a temporary directory.

Drawn music seldom stands still, greedy music often does, so both are looked at.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np
from absl import app, flags

from benchmarks.registry import STEP_BY_STEP, config_path
from tfmusic.serving.player import Player, versions
from tfmusic.serving.requests import request_music

_QUICK = flags.DEFINE_bool("quick", False, "A quarter of the outputs and steps.")
_MODEL_DIRS = flags.DEFINE_multi_string(
    "model_dir", [], "NAME=DIR: an export or a run to look at; may be repeated."
)

NUM_STUCK = 16
GUARDS = ("max_repeats", "max_silence", "max_held")
TEMPERATURES = (0.0, 0.5, 1.0)


def run_module(*arguments: str) -> None:
    """Runs one of the project's own commands; its lines go to standard error."""
    command = [sys.executable, "-m", *arguments]
    subprocess.run(command, check=True, stdout=sys.stderr)


def train_half(folder: str) -> dict[str, str]:
    """Trains a small model of each family to its half; the runs' directories."""
    configs = {n: config_path(f"{n}:smoke") for n in STEP_BY_STEP}
    for name, config in configs.items():
        data, workdir = (os.path.join(folder, name, part) for part in ("data", "run"))
        run_module(
            "pipelines.build_tfrecords",
            f"--config={config}",
            "--source=bach_chorales",
            f"--output_dir={data}",
        )
        run_module(
            "tfmusic.train",
            f"--config={config}",
            f"--data_dir={data}",
            f"--workdir={workdir}",
            "--config.train.num_epochs=1",
        )
    return {name: os.path.join(folder, name, "run") for name in configs}


def load(path: str, folder: str, name: str) -> Player:
    """The model of an export or of a run, which is exported first."""
    if os.path.exists(os.path.join(path, "config.json")) and not versions(path):
        export_dir = os.path.join(folder, name, "model")
        run_module("tfmusic.export", f"--workdir={path}", f"--export_dir={export_dir}")
        path = export_dir
    return Player(path)


def longest_runs(frames: np.ndarray, num_steps: np.ndarray) -> np.ndarray:
    """How often a frame comes in a row at most, int `[piece]`.

    Args:
        frames: `[piece, time, ...]`.
        num_steps: How many steps of each piece count, `[piece]`.
    """
    longest = []
    for piece, length in zip(frames, num_steps, strict=True):
        flat = piece[:length].reshape(length, -1)
        changes = np.flatnonzero((flat[1:] != flat[:-1]).any(axis=1)) + 1
        longest.append(np.diff([0, *changes, length]).max())
    return np.array(longest)


def stuck_share(
    player: Player, num_outputs: int, num_steps: int, controls: dict[str, float]
) -> tuple[float, float]:
    """The share of outputs that stand still, and of steps that guards changed."""
    if "min_steps" in player.controls:
        controls = {**controls, "min_steps": num_steps}
    request = request_music(
        player.card,
        player.representation,
        num_outputs=num_outputs,
        num_steps=num_steps,
        controls=controls,
    )
    outputs = player.call(request.endpoint, request.inputs)
    name, *_ = player.representation.feature_specs  # what is drawn comes first
    runs = longest_runs(outputs[name], outputs["num_steps"])
    guarded = outputs["guarded_steps"].sum() / outputs["num_steps"].sum()
    return float(np.mean(runs >= NUM_STUCK)), float(guarded)


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    num_outputs, num_steps = (16, 128) if _QUICK.value else (64, 512)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        given = dict(item.split("=", 1) for item in _MODEL_DIRS.value)
        paths = given or train_half(folder)
        print(f"{'':20}{'temperature':>12}{'guards off':>12}{'on':>8}{'changed':>10}")
        for family, path in paths.items():
            player = load(path, folder, family)
            off = {name: 0.0 for name in GUARDS if name in player.controls}
            for temperature in TEMPERATURES:
                drawing = {"temperature": temperature}
                free, _ = stuck_share(player, num_outputs, num_steps, off | drawing)
                kept, changed = stuck_share(player, num_outputs, num_steps, drawing)
                print(
                    f"{family:20}{temperature:12g}{free:12.1%}{kept:8.1%}{changed:10.2%}"
                )
                lines.append(f"stuck_rate.{family}_t{temperature:g}_off = {free:.4f}")
                lines.append(f"stuck_rate.{family}_t{temperature:g}_on = {kept:.4f}")
    print(
        f"\n{num_outputs} outputs of {num_steps} steps: the share with {NUM_STUCK} "
        "equal frames in a row, and the share of steps that guards changed."
    )
    print("\n".join(lines))


if __name__ == "__main__":
    app.run(main)
