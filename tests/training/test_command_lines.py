"""The command lines as users call them: how they answer a mistake."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = "configs/chord_lstm.py"


def run(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [f"--config={CONFIG}", "--config.model.unit=3"],
            "error: field of config.model: unknown 'unit' (did you mean 'units'?); it",
        ),
        (
            [f"--config={CONFIG}:refrence"],
            "it can be bach_chorales, chorales, frames, reference, reference_gru",
        ),
        (["--config=configs/nothing.py"], "configs/nothing.py"),
        (
            [f"--config={CONFIG}", "--wrkdir=x"],
            "unknown flag --wrkdir; did you mean --workdir?",
        ),
        (["--confg=x"], "expected --config=...; is --confg meant to be it?"),
        ([f"--config={CONFIG}", "--data_dir="], "--data_dir=: expected a value"),
        ([f"--config={CONFIG}", "run"], "unexpected argument 'run'"),
        ([f"--config={CONFIG}", "--data_dir=configs"], "found no dataset_info.json"),
    ],
    ids=["field", "variant", "file", "flag", "needed", "empty", "argument", "dataset"],
)
def test_mistake_in_training_ends_with_one_line_and_status_2(
    arguments, message, tmp_path
):
    flags = ["--data_dir=none", f"--workdir={tmp_path}", *arguments]
    status, errors = run("tfmusic.train", *flags)
    assert status == 2
    assert message in errors
    assert errors.count("\n") == 1
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["tfmusic.evaluate", "--data_dir=none", "--workdir=configs"], "train first"),
        (["tfmusic.export", "--export_dir=none", "--workdir=configs"], "train first"),
        (
            ["tfmusic.generate", "--output_dir=none", "--model_dir=configs"],
            "found no exported model",
        ),
        (["tfmusic.listening", "--output_dir=none"], "--real: expected music"),
        (
            ["tfmusic.evaluate", "--data_dir=x", "--workdir=x", "--temperature=1"],
            "--temperature: unknown; if it steers music, add --pieces=64",
        ),
    ],
    ids=["evaluate", "export", "generate", "listening", "control"],
)
def test_directory_of_another_kind_is_refused_in_one_line(command, message):
    status, errors = run(*command)
    assert status == 2
    assert message in errors
    assert errors.count("\n") == 1
    assert not (ROOT / "none").exists()
