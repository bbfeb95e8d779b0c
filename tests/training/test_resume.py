"""Runs that are stopped or killed go on to the weights of an undisturbed one."""

import csv
import glob
import os
import re
import signal
import threading
import time

import pytest

from tests.data.builders import write_dataset
from tests.experiments import (
    CONFIGS,
    assert_same_run,
    family_experiment,
    start_training,
    tiny_config,
)
from tfmusic.data.groups import make_groups
from tfmusic.data.shards import Shards
from tfmusic.representations import make_representation
from tfmusic.training.setup import train_and_evaluate
from tfmusic.training.stopping import Stopped


def metrics_rows(workdir):
    timings = {"steps_per_second", "input_share"}
    with open(f"{workdir}/metrics.csv") as file:
        return [
            {name: value for name, value in row.items() if name not in timings}
            for row in csv.DictReader(file)
        ]


def newest_step(workdir):
    # Not pathlib, which raises when a directory is renamed while it looks.
    files = glob.glob(f"{workdir}/**/*.index", recursive=True)
    steps = re.findall(r"ckpt-(\d+)\.index", " ".join(files))
    return max(map(int, steps), default=0)


def send_at(number, workdir, step):
    """Sends a signal to this process once there is a checkpoint of some step."""

    def watch():
        while newest_step(f"{workdir}/latest") < step:
            time.sleep(0.001)
        os.kill(os.getpid(), number)

    threading.Thread(target=watch, daemon=True).start()


@pytest.mark.parametrize("every", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_stopped_run_saves_and_goes_on_to_the_same_weights_and_metrics(
    every, tiny_data, whole_run, tmp_path, caplog
):
    caplog.set_level("INFO", logger="absl")
    workdir = str(tmp_path / "run")
    config = tiny_config(save_every_steps=every)
    for number, step in ((signal.SIGTERM, 2), (signal.SIGINT, 6)):
        send_at(number, workdir, step)
        with pytest.raises(Stopped) as stopped:
            train_and_evaluate(config, tiny_data, workdir)
        assert stopped.value.code == 128 + number
        name = signal.Signals(number).name
        assert f"stopped by {name}; the same command resumes there" in caplog.text
    train_and_evaluate(config, tiny_data, workdir)
    assert_same_run(whole_run, workdir)
    assert metrics_rows(workdir) == metrics_rows(whole_run)


def test_old_signal_handlers_come_back(tiny_data, whole_run):
    before = signal.getsignal(signal.SIGTERM)
    train_and_evaluate(tiny_config(), tiny_data, whole_run)
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_killed_run_of_every_family_goes_on_to_the_same_weights(name, tmp_path):
    data_dir = tmp_path / "data"
    config = family_experiment(
        name, data_dir, dropout=True, steps_per_epoch=40, save_every_steps=7
    )
    config.train.early_stopping_epochs = 0
    whole = start_training(config, data_dir, tmp_path / "whole")
    _, errors = whole.communicate(timeout=900)
    assert whole.returncode == 0, errors
    workdir = tmp_path / "killed"
    moments = (signal.SIGKILL, 7), (signal.SIGTERM, 28), (signal.SIGKILL, 56)
    for number, step in moments:
        run = start_training(config, data_dir, workdir)
        while newest_step(workdir / "latest") < step:
            assert run.poll() is None, run.stderr.read()
            time.sleep(0.01)
        run.send_signal(number)
        _, errors = run.communicate(timeout=300)
        if number == signal.SIGKILL:
            assert run.returncode == -number
        else:
            assert run.returncode == 128 + number, errors
            assert f"saved at step {newest_step(workdir / 'latest')}" in errors
    run = start_training(config, data_dir, workdir)
    _, errors = run.communicate(timeout=900)
    assert run.returncode == 0, errors
    assert "going on from step" in errors
    assert_same_run(tmp_path / "whole", workdir)
    assert metrics_rows(workdir) == metrics_rows(tmp_path / "whole")


@pytest.mark.slow
def test_run_killed_within_the_third_of_four_groups_goes_on_to_the_same_weights(
    tmp_path,
):
    config = tiny_config(
        num_epochs=1, steps_per_epoch=256, save_every_steps=80, memory_megabytes=1
    )
    config.data.update(window_steps=128, window_stride=128)
    representation = make_representation(config.representation)
    data_dir, workdir = str(tmp_path / "data"), str(tmp_path / "killed")
    lengths = {"train": [63 * 128] * 8, "validation": [200]}  # 64 windows a piece
    info = write_dataset(data_dir, lengths, representation, num_shards=8)
    groups = make_groups(Shards(data_dir, info, "train"), 1)
    assert (groups.num_groups, groups.size) == (4, 2)  # 32 batches each
    whole = start_training(config, data_dir, tmp_path / "whole")
    _, errors = whole.communicate(timeout=900)
    assert whole.returncode == 0, errors
    run = start_training(config, data_dir, workdir)
    while newest_step(f"{workdir}/latest") < 80:
        assert run.poll() is None, run.stderr.read()
        time.sleep(0.01)
    run.kill()
    run.communicate(timeout=300)
    assert newest_step(f"{workdir}/latest") == 80
    run = start_training(config, data_dir, workdir)
    _, errors = run.communicate(timeout=900)
    assert run.returncode == 0, errors
    assert "going on from step 80" in errors
    assert_same_run(tmp_path / "whole", workdir)
    assert metrics_rows(tmp_path / "whole") == metrics_rows(workdir)
