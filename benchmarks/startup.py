"""How long commands take from nothing to their end, beside `import tensorflow` alone.

    python -m benchmarks.startup [--model=chorales] [--quick]

Each is a new process on one core, in turn; CPU seconds, of which other programs that
run beside change little: the median of all turns.
"""

import argparse
import contextlib
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

_BARE = "import tensorflow"


def cpu_seconds(command: list[str]) -> float:
    """The CPU seconds, of user and system, of a process on one core."""
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=sys.stderr)
    after = os.times()
    return (
        after.children_user
        + after.children_system
        - before.children_user
        - before.children_system
    )


def main(argv: list[str]) -> None:
    """Measures, and prints the table and the claim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="chorales", help="whose music to make")
    parser.add_argument("--quick", action="store_true", help="3 turns instead of 9")
    arguments = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with contextlib.suppress(AttributeError):  # where a core cannot be chosen
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    tfmusic = [sys.executable, "-m", "tfmusic"]
    with tempfile.TemporaryDirectory() as folder:
        generate = [*tfmusic, "generate", f"--model={arguments.model}"]
        generate += ["--num_outputs=1", f"--output_dir={folder}"]
        piece = str(pathlib.Path(folder, "piece_1.mid"))
        commands = {
            _BARE: [sys.executable, "-c", _BARE],
            "generate": [*generate, "--nopictures"],
            "generate, with a picture": generate,
            "generate --help": [*tfmusic, "generate", "--help"],
            "models": [*tfmusic, "models"],
            f"show {arguments.model}": [*tfmusic, "show", arguments.model],
            "import tfmusic": [sys.executable, "-c", "import tfmusic"],
            "read and draw a piece": [
                sys.executable,
                "-c",
                f"import tfmusic; tfmusic.plot_music(tfmusic.read_music({piece!r}))",
            ],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(4 if arguments.quick else 10):
            for name, command in commands.items():
                seconds = cpu_seconds(command)
                if turn:  # the first one reads from the disk
                    times[name].append(seconds)
    middle = {name: statistics.median(values) for name, values in times.items()}
    print("| | CPU seconds | of `import tensorflow` |\n|---|---|---|")
    for name, seconds in middle.items():
        print(f"| {name} | {seconds:.2f} | {seconds / middle[_BARE]:.2f} |")
    ratio = middle["generate"] / middle[_BARE]
    print(f"startup.generate_over_import_tensorflow = {ratio:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
