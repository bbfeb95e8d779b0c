"""Says what is installed, what is missing, and how to get it."""

import importlib.util
import os
import platform
import sys

import tfmusic
from tfmusic import command_line
from tfmusic.compat import import_tensorflow, installed_version
from tfmusic.config import CONFIGS, list_configs

NEEDED = (
    "absl-py",
    "keras",
    "matplotlib",
    "mido",
    "ml-collections",
    "music21",
    "note-seq",
    "numpy",
    "scipy",
    "tensorboard",
    "tensorflow",
)
# Distribution, what it is for, and the command that installs it.
OPTIONAL = (
    ("apache-beam", "writing datasets", 'pip install "tfmusic[pipelines]"'),
    ("tensorflow-io", "paths such as s3://bucket/data", 'pip install "tfmusic[s3]"'),
    (
        "tensorflow-serving-api",
        "warm-up requests, gRPC clients",
        'pip install "tfmusic[serving]"',
    ),
    (
        "starlette",
        "tfmusic serve, tfmusic studio, tfmusic play",
        'pip install "tfmusic[studio]"',
    ),
    ("tf2onnx", "tfmusic export --format=onnx", 'pip install "tfmusic[edge]"'),
    ("python-rtmidi", "MIDI ports of tfmusic live", 'pip install "tfmusic[live]"'),
    ("python-osc", "OSC of tfmusic live", 'pip install "tfmusic[live]"'),
    # It asks for pyaudio, which is hard to install and only plays to loudspeakers.
    (
        "tinysoundfont",
        "audio by real instruments",
        "pip install --no-deps tinysoundfont",
    ),
)


def main() -> None:
    """Prints the report; ends with status 1 if something needed is missing."""
    lines = [
        f"tfmusic      {tfmusic.__version__} in {tfmusic.__path__[0]}",
        f"Python       {platform.python_version()}, {platform.platform()}",
        f"experiments  {len(list_configs())} in {CONFIGS}",
        "",
    ]
    missing = []
    for name in NEEDED:
        version = installed_version(name)
        missing += [] if version else [name]
        lines.append(f"  {name:24s} {version or 'MISSING'}")
    lines.append("")
    for name, purpose, command in OPTIONAL:
        version = installed_version(name)
        how = f"not installed; for {purpose}: {command}"
        lines.append(f"  {name:24s} {version or how}")
    lines += ["", *_devices(), ""]
    if missing:
        lines.append(f"missing: pip install {' '.join(missing)}")
    else:
        lines.append("all that tfmusic needs is there")
    sys.stdout.write("\n".join(lines) + "\n")
    if missing:
        sys.exit(1)


def _devices() -> list[str]:
    """What TensorFlow runs on."""
    if importlib.util.find_spec("tensorflow") is None:
        return ["devices      unknown without TensorFlow"]
    tensorflow = import_tensorflow()
    from tfmusic.networks import fused
    from tfmusic.training.precision import processor_flags

    gpus = tensorflow.config.list_physical_devices("GPU")
    found = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    flags = [flag for flag in found if flag in processor_flags()]
    lines = [
        f"processor    {os.cpu_count()} cores, {' '.join(flags) or 'no AVX2'}",
        f"GPUs         {len(gpus) or 'none'}",
        f"LSTM layers  train by {fused.description()}",
    ]
    if installed_version("tensorflow-io"):
        from tfmusic.files import can_use_buckets

        works = "works" if can_use_buckets() else "does not load with this TensorFlow"
        lines.append(f"tensorflow-io {works}")
    return lines


if __name__ == "__main__":
    command_line.run(main, only_prints=True)
