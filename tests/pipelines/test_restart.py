import contextlib
import dataclasses
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.disks import IN_OWN_MOUNTS, needs_disk
from tests.pipelines.conftest import make_piece
from tests.pipelines.damage import running_status
from tests.pipelines.test_build_tfrecords import contents
from tests.test_sandbox import is_alive
from tfmusic.data.dataset import Dataset
from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.errors import UserError
from tfmusic.notes.writing import to_midi_bytes
from tfmusic.pipelines.building import build_datasets, write_datasets
from tfmusic.pipelines.elements import Job
from tfmusic.pipelines.planning import Settings, SourceNow, plan
from tfmusic.pipelines.resuming import take_over


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


def children_of(process):
    """The processes that one has started."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[1]) == process and fields[0] != "Z":
                found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGINT, "stopped by Ctrl-C"),
        pytest.param(signal.SIGTERM, "stopped by SIGTERM", marks=pytest.mark.slow),
    ],
)
def test_signal_ends_the_job_in_one_line_and_its_workers(
    number, words, config, many, tmp_path
):
    # A worker that does not even notice: it is busy with one file for minutes.
    music = tmp_path / "music"
    shutil.copytree(many, music)
    (music / "aaa.mid").write_bytes(running_status(30 * 2**20))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    work = tmp_path / "data.partial" / "work"
    environment = {**os.environ, "TMPDIR": str(temporary)}
    job = start(config, music, tmp_path / "data", num_workers=2, env=environment)
    wait_for(job, lambda: any(work.glob("read-*.json")))
    workers = children_of(job.pid)
    assert workers
    os.killpg(job.pid, number)  # as a terminal does: to the children as well
    _, log = job.communicate(timeout=30)
    assert job.returncode == 128 + number, log
    assert log.splitlines()[-1] == words
    assert "Traceback" not in log
    deadline = time.monotonic() + 10
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, workers))
    assert not os.listdir(temporary)
    # What was done is there for the next call, and nobody holds the directory.
    assert sorted(os.listdir(tmp_path)) == ["data.partial", "music", "tmp"]


def leave_behind(config, music, directory):
    """Does all work but the last: what a killed job may leave."""
    settings = Settings(num_workers=1)
    batches = SourceNow(str(music), settings).batches
    fields = {field.name for field in dataclasses.fields(Job)}
    job = Job(
        experiments=tuple(plan([config, config + ":tokens"])),
        source=str(music),
        fractions=settings.fractions,
        work_dir=f"{directory}.partial/work",
        **{
            name: getattr(settings, name)
            for name in fields - {"fractions"}
            if hasattr(settings, name)
        },
    )
    partial = f"{directory}.partial"
    take_over(job, batches, partial, overwrite=False)
    build_datasets(job, batches, partial, settings)


def test_resumed_job_reads_files_again_that_have_changed(config, tmp_path, caplog):
    music = tmp_path / "music"
    music.mkdir()
    for i in range(40):  # two batches
        (music / f"{i:02d}.mid").write_bytes(to_midi_bytes(make_piece(i)))
    leave_behind(config, music, tmp_path / "data")
    # What is damaged is made again.
    work = tmp_path / "data.partial" / "work"
    (work / "read-00000000.counts.json").write_text("{")
    (work / "encode-00000032.json").write_bytes(b"\xff\0")
    # Touched; of the same length; and with notes that no vocabulary knows.
    os.utime(music / "00.mid", (1, 1))
    new = make_piece(35)
    new.notes[3].pitch = 80
    data = to_midi_bytes(new)
    assert len(data) == (music / "35.mid").stat().st_size
    (music / "35.mid").write_bytes(data)
    configs = [config, config + ":tokens"]
    write_datasets(configs, str(music), str(tmp_path / "data"), num_workers=1)
    assert "1 files have changed since an earlier call read them, 35.mid" in caplog.text
    write_datasets(configs, str(music), str(tmp_path / "fresh"), num_workers=1)
    for name in ("roll", "tokens"):
        assert contents(tmp_path / "data" / name) == contents(tmp_path / "fresh" / name)


def test_directory_takes_one_build_at_a_time(config, music, tmp_path):
    code = (
        "import sys, time; from tfmusic.pipelines.locking import locked\n"
        "with locked(sys.argv[1]): print(flush=True); time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "data")], stdout=subprocess.PIPE
    )
    other.stdout.readline()
    expected = rf"another build writes there \(process {other.pid} on .*, since 20\d\d-"
    with pytest.raises(UserError, match=expected):
        write_datasets([config], str(music), str(tmp_path / "data"))
    other.kill()
    other.communicate()
    write_datasets([config], str(music), str(tmp_path / "data"))
    assert os.listdir(tmp_path) == ["data"]


@pytest.mark.parametrize("path", ["/", ".", "..", "", "data/../..", "s3://bucket"])
def test_directory_that_is_not_the_datasets_own_is_refused(
    path, config, music, tmp_path, monkeypatch
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UserError, match="--output_dir=.*a directory of its own|s3"):
        write_datasets([config], str(music), path)
    assert os.listdir(tmp_path) == ["here"]
    assert not os.listdir(tmp_path / "here")


@pytest.mark.slow
@needs_disk
@pytest.mark.parametrize("trouble", ["full", "nearly full", "read-only"])
def test_job_ends_in_one_line_where_it_cannot_write_at_all(
    trouble, config, music, tmp_path
):
    disk = tmp_path / "disk"
    disk.mkdir()
    spoil = {
        "full": f"cat /dev/zero > {disk}/zeros || true",
        "nearly full": f"head -c 32k /dev/zero > {disk}/zeros",
        "read-only": f"mount -o remount,ro {disk}",
    }[trouble]
    command = (
        f"{sys.executable} -m pipelines.build_tfrecords --config={config} "
        f"--source={music} --output_dir={disk}/data"
    )
    steps = [f"mount -t tmpfs -o size=40k tmpfs {disk}", spoil, command]
    run = subprocess.run(
        [*IN_OWN_MOUNTS, "\n".join(steps)], capture_output=True, text=True
    )
    assert run.returncode == 2, run.stderr
    assert "Traceback" not in run.stderr
    assert "cannot be written (" in run.stderr.splitlines()[-1]


def test_what_another_job_left_behind_is_not_continued(config, music, tmp_path):
    work = tmp_path / "data.partial" / "work"
    work.mkdir(parents=True)
    (work.parent / "job.json").write_text('"another"')
    (work / "read-00000000.json").write_text("{}")
    write_datasets([config], str(music), str(tmp_path / "data"))
    assert DatasetInfo.load(str(tmp_path / "data")).num_files == 16
    assert os.listdir(tmp_path) == ["data"]
