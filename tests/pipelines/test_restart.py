import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from tests.pipelines.conftest import make_piece
from tests.pipelines.test_build_tfrecords import contents
from tfmusic.data.dataset import Dataset
from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.errors import UserError
from tfmusic.notes.writing import to_midi_bytes
from tfmusic.pipelines.building import write_datasets


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    for i in range(450):
        path = folder / f"piece{i}.mid"
        path.write_bytes(to_midi_bytes(make_piece(i, num_notes=500)))
    (folder / "junk.mid").write_bytes(b"MThd")
    return folder


def start(config, music, directory, num_workers=1, **options):
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "pipelines.build_tfrecords"),
            *(f"--config={config}", f"--config={config}:tokens"),
            *(f"--source={music}", f"--output_dir={directory}"),
            f"--num_workers={num_workers}",
        ],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # a group of its own, as in a terminal
        **options,
    )


def wait_for(process, seen):
    deadline = time.monotonic() + 60
    while not seen() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)


def kill_when(process, seen):
    """Kills a job, as a lost machine would, once something can be seen of it."""
    wait_for(process, seen)
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
def test_killed_job_leaves_no_dataset_and_is_continued(config, many, tmp_path):
    write_datasets([config, config + ":tokens"], str(many), str(tmp_path / "expected"))
    data, work = tmp_path / "data", tmp_path / "data.partial" / "work"
    done = {}
    # In the middle of reading, of encoding with what was fitted, and of writing.
    for stage in ("read-00000064.json", "encode-00000064.json", "../data/*/train*"):
        job = start(config, many, data)
        kill_when(job, lambda stage=stage: any(work.glob(stage)))
        assert job.returncode == -signal.SIGKILL
        assert not data.exists()
        # What an earlier call has done was not done again.
        assert all(path.stat().st_mtime_ns == time for path, time in done.items())
        for unfinished in (work, *work.parent.glob("data/*")):
            with pytest.raises(UserError, match="expected a dataset"):
                DatasetInfo.load(str(unfinished))
            with pytest.raises(UserError, match="expected a dataset"):
                Dataset.open(str(unfinished)).pieces("train")
        done = {path: path.stat().st_mtime_ns for path in work.glob("*.json")}
    job = start(config, many, data)
    _, log = job.communicate(timeout=120)
    assert job.returncode == 0, log
    assert "continuing" in log
    for name in ("roll", "tokens"):
        assert contents(data / name) == contents(tmp_path / "expected" / name)
    assert sorted(os.listdir(tmp_path)) == ["data", "expected"]


def test_job_that_cannot_write_keeps_what_it_has_and_is_continued(
    config, music, tmp_path
):
    def keep_files_small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (400, resource.RLIM_INFINITY))

    job = start(config, music, tmp_path / "data", preexec_fn=keep_files_small)
    _, log = job.communicate(timeout=120)
    assert job.returncode == 2, log
    assert "records cannot be written (" in log.splitlines()[-1]
    assert os.listdir(tmp_path) == ["data.partial"]
    assert not os.listdir(tmp_path / "data.partial" / "work")
    job = start(config, music, tmp_path / "data")
    _, log = job.communicate(timeout=120)
    assert job.returncode == 0, log
    assert "continuing what" in log
    assert os.listdir(tmp_path) == ["data"]


def test_ctrl_c_ends_the_job_in_one_line(config, many, tmp_path):
    work = tmp_path / "data.partial" / "work"
    job = start(config, many, tmp_path / "data", num_workers=2)
    wait_for(job, lambda: any(work.glob("read-*.json")))
    os.killpg(job.pid, signal.SIGINT)  # as a terminal does: to the children as well
    _, log = job.communicate(timeout=30)
    assert job.returncode == 128 + signal.SIGINT, log
    assert log.splitlines()[-1] == "stopped by Ctrl-C"
    assert "Traceback" not in log


def test_what_another_job_left_behind_is_not_continued(config, music, tmp_path):
    work = tmp_path / "data.partial" / "work"
    work.mkdir(parents=True)
    (work.parent / "job.json").write_text('"another"')
    (work / "read-00000000.json").write_text("{}")
    write_datasets([config], str(music), str(tmp_path / "data"))
    assert DatasetInfo.load(str(tmp_path / "data")).num_files == 16
    assert os.listdir(tmp_path) == ["data"]
