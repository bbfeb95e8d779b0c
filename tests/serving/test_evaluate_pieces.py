"""`tfmusic evaluate --pieces`: the table of pieces that a run's weights make."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def evaluate(run, *flags):
    data_dir, workdir = run
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "tfmusic.evaluate",
            f"--workdir={workdir}",
            f"--data_dir={data_dir}",
            "--pieces=3",
            *flags,
        ],
        cwd=ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_table_of_new_pieces_stands_below_the_scores(tiny_run, tmp_path):
    path = tmp_path / "scores.json"
    flags = ["--split=validation", "--num_steps=24", f"--json={path}"]
    done = evaluate(tiny_run, *flags, "--temperature=0.8")
    assert done.returncode == 0, done.stderr
    scores, table = done.stdout.split("\n\n", 1)
    assert "log_likelihood_per_step" in scores
    cells = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in table.splitlines()
        if line.startswith("|")
    }

    assert cells["pieces"][:2] == ["3", "2"]
    assert "notes that begin on the beat, %" in cells
    assert "longest copied passage, notes or chords" in cells
    result = json.loads(path.read_text())
    assert result["split"] == "validation"
    assert result["music"]["generated"]["num_pieces"] == 3
    assert "length, quarters" in result["music"]["held-out"]["summary"]
    # What is kept with the run, and goes into exports, are the scores alone.
    kept = pathlib.Path(tiny_run[1], "scores_validation.json")
    assert "music" not in json.loads(kept.read_text())


@pytest.mark.slow
def test_mistake_in_a_control_is_told_before_the_scoring(tiny_run):
    done = evaluate(tiny_run, "--temprature=0.8")
    assert done.returncode == 2
    assert "did you mean 'temperature'" in done.stderr
    assert "log_likelihood" not in done.stdout
