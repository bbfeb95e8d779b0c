"""What a file costs the process that leads the job that writes TFRecords.

    python -m benchmarks.many_files [--quick] [--sizes=5000,20000,60000]

Small MIDI files are made, each a melody of its own of 160 notes, 2,000 to a zip; every
tenth has a near-duplicate before it and every fiftieth is damaged. The job writes them
as binary rolls, in a process of its own, from folders that hold more and more of them.
The peak of its resident memory, without its workers, is divided by the number of files:
what is there before any file is left out, as the difference of two sizes shows it.
"""

import argparse
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import time
import zipfile

import numpy as np

_SIZES, _QUICK_SIZES = (5_000, 20_000, 60_000), (1_000, 5_000)
_FILES_PER_ZIP = 2_000
_NUM_NOTES = 160
_GOAL_FILES = 1_400_000
_CONFIG = "configs/performance_lstm.py"
_CHILD = """
import resource, sys
from tfmusic.pipelines.building import write_datasets
config, music, data = sys.argv[1:]
write_datasets([config], music, data)
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print("cpu", sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
"""


def main() -> None:
    """Prints the table and, last, the bytes that a file costs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5,000 files at most")
    parser.add_argument("--sizes", help="numbers of files, from the smallest up")
    parser.add_argument("--config", default=_CONFIG, help="experiment to write")
    arguments = parser.parse_args()
    sizes = _QUICK_SIZES if arguments.quick else _SIZES
    if arguments.sizes:
        sizes = [int(size) for size in arguments.sizes.split(",")]
    print(f"{'files':>9s}{'seconds':>9s}{'CPU s':>9s}{'peak MiB':>10s}{'B/file':>8s}")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for size in sizes:
            _make_files(folder / "music", size)
            rows.append((size, *_build(arguments.config, folder)))
            (first, _, _, least), (last, seconds, cpu, most) = rows[0], rows[-1]
            grown = f"{(most - least) / (last - first):8.0f}" if len(rows) > 1 else ""
            print(
                f"{size:9,d}{seconds:9.1f}{cpu:9.1f}{most / 2**20:10.1f}{grown}",
                flush=True,
            )
    (few, _, _, least), (many, _, _, most) = rows[0], rows[-1]
    per_file = (most - least) / (many - few)
    total = (most + per_file * (_GOAL_FILES - many)) / 2**30
    print(f"{_GOAL_FILES:,d} files would take {total:.1f} GiB")
    print(f"build_tfrecords.memory_per_file = {per_file:.0f}")


def _build(config: str, folder: pathlib.Path) -> tuple[float, float, int]:
    """Seconds by the clock, CPU seconds and peak bytes of the process that leads."""
    begin = time.perf_counter()
    command = [sys.executable, "-c", _CHILD, config]
    done = subprocess.run(
        [*command, str(folder / "music"), str(folder / "data")],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    seconds = time.perf_counter() - begin
    subprocess.run(["rm", "-rf", str(folder / "data")], check=True)
    found = dict(line.split() for line in done.stdout.splitlines()[-2:])
    return seconds, float(found["cpu"]), int(found["peak"]) * 1024


def _make_files(folder: pathlib.Path, size: int) -> None:
    """Adds zips until there are so many files."""
    folder.mkdir(exist_ok=True)
    for start in range(0, size, _FILES_PER_ZIP):
        path = folder / f"{start:07d}.zip"
        number = min(_FILES_PER_ZIP, size - start)
        if path.exists() and number == _FILES_PER_ZIP:
            with zipfile.ZipFile(path) as archive:
                if len(archive.namelist()) == number:
                    continue
        with zipfile.ZipFile(path, "w") as archive:
            for i in range(start, start + number):
                archive.writestr(f"composer {i % 97}/piece {i:07d}.mid", _midi(i))


def _midi(number: int) -> bytes:
    """A file of MIDI, laid out here, as they are many."""
    if number % 50 == 49:
        return b"MThd"
    # A near-duplicate has the same melody with another end.
    seed = number - 1 if number % 10 == 9 else number
    rng = np.random.default_rng(seed)
    pitches = 48 + np.cumsum(rng.integers(-9, 10, _NUM_NOTES)) % 36
    if seed != number:
        pitches[-10:] += 1
    notes = np.zeros((_NUM_NOTES, 8), np.uint8)
    notes[:, [1, 3, 5]] = 0x90, 80, 0x80  # delta, note-on, delta, note-off
    notes[:, [2, 6]] = pitches[:, np.newaxis]
    notes[:, 4] = rng.choice([24, 48], _NUM_NOTES)  # an eighth or a quarter
    track = notes.tobytes() + b"\0\xff\x2f\0"
    head = struct.pack(">4sIHHH4sI", b"MThd", 6, 0, 1, 48, b"MTrk", len(track))
    return head + track


if __name__ == "__main__":
    main()
