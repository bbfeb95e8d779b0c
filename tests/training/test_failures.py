"""What goes wrong while a run is under way: nothing is lost, and a line says what."""

import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.disks import IN_OWN_MOUNTS, needs_disk
from tests.experiments import (
    assert_same_run,
    start_training,
    tiny_config,
    write_config,
)
from tests.training.test_distribution import assert_same_curves, finish, start_workers
from tests.training.test_resume import newest_step

TRAIN = f"{sys.executable} -m tfmusic.train"


@pytest.mark.slow
@needs_disk
@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_run_ends_in_one_line_where_it_cannot_write_and_then_goes_on(
    trouble, tiny_data, whole_run, tmp_path
):
    disk = tmp_path / "disk"
    disk.mkdir()
    config = write_config(tiny_config(), tmp_path / "config.py")
    train = f"{TRAIN} --config={config} --data_dir={tiny_data} --workdir={disk}/run"
    spoil = {
        # What is there stays, with a few kilobytes besides.
        "full": f"mount -o remount,size=$(($(du -sk {disk} | cut -f1) + 8))k {disk}",
        "read-only": f"mount -o remount,ro {disk}",
    }[trouble]
    steps = [
        f"mount -t tmpfs -o size=64m tmpfs {disk}",
        f"{train} --config.train.num_epochs=1",
        spoil,
        f"if {train} 2> {tmp_path}/errors; then exit 9; else test $? = 2; fi",
        f"mount -o remount,rw,size=64m {disk}",
        f"{train} 2> {tmp_path}/second",
        f"cp -r {disk}/run {tmp_path}/run",
    ]
    done = subprocess.run(
        [*IN_OWN_MOUNTS, "\n".join(steps)],
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    errors = (tmp_path / "errors").read_text()
    assert "Traceback" not in errors
    last = errors.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "cannot be written" in last
    reason = {"full": "No space left", "read-only": "Read-only file system"}[trouble]
    assert reason in last
    assert "going on from step" in (tmp_path / "second").read_text()
    assert_same_run(whole_run, tmp_path / "run")


def wait_until_saved(workers, workdir):
    """Waits until workers have come as far as to a state of step 20."""
    while newest_step(workdir / "latest") < 20:
        assert all(worker.poll() is None for worker in workers)
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [1, 0], ids=["second", "chief"])
def test_workers_leave_when_one_dies_and_go_on_when_called_again(
    victim, tiny_data, tmp_path
):
    config = tiny_config(steps_per_epoch=60, num_epochs=2, save_every_steps=10)
    config.model.dropout = 0.0  # each worker draws its own
    finish(start_training(config, tiny_data, tmp_path / "one"))
    config.train.distribute = "multi_worker"
    workdir = tmp_path / "workers"
    workers = start_workers(config, tiny_data, workdir)
    wait_until_saved(workers, workdir)
    workers[victim].send_signal(signal.SIGKILL)
    _, errors = workers[1 - victim].communicate(timeout=300)
    workers[victim].communicate()
    assert workers[1 - victim].returncode == 2, errors
    assert "Traceback" not in errors
    last = errors.strip().splitlines()[-1]
    assert "a worker of TF_CONFIG no longer answers" in last
    workers = start_workers(config, tiny_data, workdir)
    for worker in workers:
        _, errors = worker.communicate(timeout=570)
        assert worker.returncode == 0, errors
        assert "going on from step" in errors
    assert_same_curves(workdir, tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("told", "number"),
    [(1, signal.SIGINT), (0, signal.SIGTERM)],
    ids=["second", "chief"],
)
def test_workers_save_and_leave_together_when_one_is_told_to(
    told, number, tiny_data, tmp_path
):
    config = tiny_config(steps_per_epoch=2000, num_epochs=1, save_every_steps=10)
    config.train.distribute = "multi_worker"
    workdir = tmp_path / "workers"
    workers = start_workers(config, tiny_data, workdir)
    wait_until_saved(workers, workdir)
    workers[told].send_signal(number)
    for worker in workers:
        _, errors = worker.communicate(timeout=300)
        assert worker.returncode == 128 + number, errors
        assert "Traceback" not in errors
        saved = f"saved at step {newest_step(workdir / 'latest')} and stopped by "
        assert saved + number.name in errors
