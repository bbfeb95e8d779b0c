"""Files and directories, here and in buckets: whole, or not there."""

import errno
import os
import pathlib
import subprocess
import sys
import types

import pytest
import tensorflow as tf

from tests.disks import IN_OWN_MOUNTS, needs_disk
from tfmusic import command_line, files
from tfmusic.errors import UserError
from tfmusic.files import (
    exists,
    make_directory,
    move_directory,
    prepare_path,
    read_json,
    replacing,
    write_file,
    writing,
)

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(params=["local", "bucket"])
def folder(request, tmp_path):
    """A directory on this machine, and one of a file system that needs TensorFlow."""
    if request.param == "local":
        yield str(tmp_path)
    else:
        tf.io.gfile.makedirs("ram://files/run")
        yield "ram://files/run"
        tf.io.gfile.rmtree("ram://files")


def names(folder):
    return sorted(tf.io.gfile.listdir(folder))


def contents(path):
    with tf.io.gfile.GFile(path, "rb") as file:
        return file.read()


def test_a_file_holds_what_was_written_and_nothing_is_left_beside_it(folder):
    write_file(f"{folder}/a.txt", "Für Elise\n")
    assert contents(f"{folder}/a.txt") == b"F\xc3\xbcr Elise\n"
    write_file(f"{folder}/a.txt", b"\x00\xff")
    assert contents(f"{folder}/a.txt") == b"\x00\xff"
    write_file(f"{folder}/none.txt", "")
    assert contents(f"{folder}/none.txt") == b""
    write_file(f"{folder}/a.json", '{"key": "C"}')
    assert read_json(f"{folder}/a.json") == {"key": "C"}
    assert names(folder) == ["a.json", "a.txt", "none.txt"]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, UserError])
def test_an_error_while_it_is_written_leaves_the_old_file_alone(folder, error):
    write_file(f"{folder}/a.mid", "old")
    with pytest.raises(error), replacing(f"{folder}/a.mid") as partial:
        with tf.io.gfile.GFile(partial, "w") as file:
            file.write("ha")
        assert len(names(folder)) == 2
        raise error
    assert names(folder) == ["a.mid"]
    assert contents(f"{folder}/a.mid") == b"old"


def test_an_error_before_there_is_a_file_is_not_hidden_by_its_removal(folder):
    with pytest.raises(ZeroDivisionError), replacing(f"{folder}/a.mid"):
        raise ZeroDivisionError
    assert names(folder) == []


def test_two_may_write_the_same_file_at_once(folder):
    with replacing(f"{folder}/a.mid") as first, replacing(f"{folder}/a.mid") as second:
        write_file(first, "first")
        write_file(second, "second")
    assert contents(f"{folder}/a.mid") == b"first"  # it ended last
    assert names(folder) == ["a.mid"]


def test_the_partial_file_has_the_ending_and_lies_where_it_is_told(tmp_path):
    (tmp_path / "work").mkdir()
    with replacing(tmp_path / "a.mid", str(tmp_path / "work")) as partial:
        partial = pathlib.Path(partial)
        assert partial.parent == tmp_path / "work"
        assert partial.suffix == ".mid"
        partial.write_bytes(b"music")
    assert (tmp_path / "a.mid").read_bytes() == b"music"
    assert not list((tmp_path / "work").iterdir())


def test_a_relative_path_is_one_of_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_file("a.txt", "notes")
    assert names(tmp_path) == ["a.txt"]


def test_a_directory_of_that_name_stays_and_is_told(tmp_path):
    path = tmp_path / "a.txt"
    path.mkdir()
    with pytest.raises(UserError) as caught:
        write_file(path, "notes")
    assert str(caught.value) == (
        f"{path} cannot be written (Is a directory); move the directory of that name "
        "away, and start the same command again: what was saved is whole"
    )
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("new/a.txt", "No such file or directory.; make the directory first, "),
        ("song/a.txt", "Not a directory.; choose a path that leads through no file, "),
    ],
)
def test_a_directory_that_is_not_there_is_told(tmp_path, name, told):
    (tmp_path / "song").write_text("a file")
    with pytest.raises(UserError, match=f"{name} cannot be written .{told}"):
        write_file(tmp_path / name, "notes")


def test_errors_of_tensorflow_are_told_in_one_line():
    with pytest.raises(UserError) as caught, writing("ram://files/a"):
        tf.io.gfile.rename("ram://files/none", "ram://files/a")
    assert str(caught.value).startswith("ram://files/a cannot be written (")
    assert "\n" not in str(caught.value)
    told = "ckpt cannot be written .full.; make room, or give permission"
    with pytest.raises(UserError, match=told), writing("ckpt"):
        raise tf.errors.ResourceExhaustedError(None, None, "full\nat file.cc:3")


def test_a_place_that_cannot_be_looked_at_is_told_in_one_line():
    with pytest.raises(UserError, match="foo://a/b: cannot be looked at .File system"):
        exists("foo://a/b")


@needs_disk
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ("true", "No space left on device"),
        ("mount -o remount,ro DISK", "Read-only file system"),
    ],
    ids=["full", "read-only"],
)
def test_a_disk_that_takes_no_more_keeps_the_old_file(tmp_path, spoil, reason):
    disk = tmp_path / "disk"
    disk.mkdir()
    code = (
        "import os, sys; from tfmusic.files import write_file\n"
        f"try: write_file('{disk}/a.txt', 'x' * 100_000)\n"
        f"except ValueError as error: print(error, os.listdir('{disk}'))\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    steps = [
        f"mount -t tmpfs -o size=64k tmpfs {disk}",
        f"printf old > {disk}/a.txt",
        spoil.replace("DISK", str(disk)),
        f'{sys.executable} -c "{code}"',
        f"cat {disk}/a.txt",
    ]
    done = subprocess.run(
        [*IN_OWN_MOUNTS, "\n".join(steps)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        f"{disk}/a.txt cannot be written ({reason}); make room, or give permission, "
        "and start the same command again: what was saved is whole ['a.txt']\nold"
    )


def test_local_paths_need_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    for path in ("data", "/data/x.mid", "C:/data", "gs://bucket/data", "~/a:b//c"):
        prepare_path(path)


def test_bucket_without_tensorflow_io_is_a_users_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    with pytest.raises(UserError, match="s3:// need tensorflow-io.*tfmusic.s3.") as e:
        prepare_path("s3://bucket/data")
    assert "\n" not in str(e.value)


def test_tensorflow_io_that_does_not_load_is_a_users_error(monkeypatch):
    # With a TensorFlow that it was not built for it comes, but brings no file systems.
    monkeypatch.setitem(sys.modules, "tensorflow_io", types.ModuleType("empty"))
    # The others may be known from tests before this one.
    monkeypatch.setattr(files, "_TENSORFLOW_IO_SCHEMES", ("new",))
    with pytest.raises(UserError, match="does not load with TensorFlow .*tfmusic.s3."):
        prepare_path("new://bucket/data")


def test_directories_are_made_but_for_a_bucket_which_is_there(tmp_path):
    make_directory(str(tmp_path / "deep" / "data"))
    assert (tmp_path / "deep" / "data").is_dir()
    for bucket in ("s3://bucket", "s3://bucket/"):
        make_directory(bucket)


def test_directory_moves_with_its_files(tmp_path):
    (tmp_path / "new").mkdir()
    for name in ("info.json", "train"):
        (tmp_path / "new" / name).write_text(name)
    target = tmp_path / "deep" / "data"
    move_directory(str(tmp_path / "new"), str(target), last="info.json")
    assert sorted(path.name for path in target.iterdir()) == ["info.json", "train"]
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_no_more_ends_any_command_in_one_line(number, capsys):
    with pytest.raises(SystemExit) as end, command_line.ends_well():
        raise OSError(number, os.strerror(number), "piece_1.mid")
    assert end.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: piece_1.mid cannot be written (")
    assert os.strerror(number) in errors
    assert errors.count("\n") == 1


def test_other_errors_of_the_system_are_faults():
    with pytest.raises(ConnectionError), command_line.ends_well():
        raise ConnectionError(errno.ECONNRESET, "reset by peer")
