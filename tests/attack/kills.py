"""Builds and trainings that are killed at any moment and called again: 20 of each."""

import functools
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from tests.attack.runner import (
    Case,
    Choose,
    Outcome,
    Report,
    ignore,
    preload,
    process,
    run_cases,
)
from tests.attack.victims import scratch, victims

_NUMBER = 20
_NUM_FILES = 60


def _build(directory: str) -> list[str]:
    return [
        "build",
        f"--config={victims().config}",
        f"--source={_music()}",
        f"--output_dir={directory}",
        "--num_workers=2",
    ]


def _train(directory: str) -> list[str]:
    return [
        "train",
        f"--config={victims().config}",
        f"--data_dir={victims().data}",
        f"--workdir={directory}",
        "--config.train.num_epochs=4",
        "--config.train.steps_per_epoch=25",
        "--config.train.save_every_steps=10",
    ]


@functools.cache
def _music() -> str:
    """A folder of music, and of files that are none."""
    folder = pathlib.Path(victims().folder) / "to_build"
    folder.mkdir()
    data = pathlib.Path(victims().music).read_bytes()
    for i in range(_NUM_FILES):
        # Of different lengths, so that no two are the same music.
        cut = data if i % 10 else data[: len(data) // 2]
        (folder / f"{i}.mid").write_bytes(cut.replace(b"\x90\x3c", bytes([0x90, i])))
    return str(folder)


def _start(arguments: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tfmusic", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@functools.cache
def _whole(make: Callable[[str], list[str]]) -> tuple[str, float]:
    """What an undisturbed call makes, and in how many seconds."""
    directory = scratch("whole_")
    begin = time.monotonic()
    process(*make(directory))
    return directory, time.monotonic() - begin


def _case(name: str, make, compare, moment: float) -> Case:
    whole, seconds = _whole(make)

    def attempt() -> None:
        directory = scratch("killed_")
        first = _start(make(directory))
        time.sleep(moment * seconds)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        process(*make(directory))
        compare(pathlib.Path(whole), pathlib.Path(directory))

    return Case(f"{name} killed after {moment:.2f} of its time", attempt)


def same_files(whole: pathlib.Path, other: pathlib.Path) -> None:
    """Raises where two datasets differ in a byte, or one has more files."""
    contents = [
        {path.name: path.read_bytes() for path in folder.iterdir()}
        for folder in (whole, other)
    ]
    if contents[0] != contents[1]:
        names = sorted({**contents[0], **contents[1]})
        differ = [n for n in names if contents[0].get(n) != contents[1].get(n)]
        raise ValueError(f"other bytes: {differ}")


def same_weights(whole: pathlib.Path, other: pathlib.Path) -> None:
    """Raises where two runs end with other weights, or learned otherwise."""
    import tensorflow as tf

    readers = [
        tf.train.load_checkpoint(
            str(max(folder.glob("latest/*.index"), key=_step))[:-6]
        )
        for folder in (whole, other)
    ]
    names = [set(reader.get_variable_to_shape_map()) for reader in readers]
    if names[0] != names[1]:
        raise ValueError(f"other variables: {names[0] ^ names[1]}")
    for name in _of_numbers(readers[0]):
        one, two = (reader.get_tensor(name) for reader in readers)
        if not np.array_equal(one, two):
            raise ValueError(f"other weights: {name}")
    rows = [_losses(folder) for folder in (whole, other)]
    if rows[0] != rows[1]:
        raise ValueError("other losses")


def _of_numbers(reader) -> list[str]:
    """The variables that are numbers; others say how a checkpoint was written."""
    types = reader.get_variable_to_dtype_map()
    return sorted(name for name, kind in types.items() if kind.is_floating)


def _step(path: pathlib.Path) -> int:
    return int(path.stem.rpartition("-")[2])


def _losses(folder: pathlib.Path) -> list[str]:
    """The rows of a run without the time that they took."""
    header, *rows = (folder / "metrics.csv").read_text().splitlines()
    columns = header.split(",")
    of_time = ("steps_per_second", "input_share")
    kept = [i for i, name in enumerate(columns) if name not in of_time]
    return [",".join(row.split(",")[i] for i in kept) for row in rows]


def cases(seed: int) -> list[Case]:
    """Builds, then trainings."""
    rng = random.Random(seed)
    return [
        _case(name, make, compare, rng.random())
        for name, make, compare in (
            ("build", _build, same_files),
            ("train", _train, same_weights),
        )
        for _ in range(_NUMBER)
    ]


def run(seed: int, choose: Choose, report: Report = ignore) -> list[Outcome]:
    """Tries them."""
    preload()
    return run_cases(cases(seed), choose, seconds=300, report=report)
