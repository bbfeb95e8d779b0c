import sys
import types

import pytest

from tfmusic.data import storage
from tfmusic.errors import UserError


def test_local_paths_need_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    for path in ("data", "/data/x.mid", "C:/data", "gs://bucket/data", "~/a:b//c"):
        storage.prepare(path)


def test_bucket_without_tensorflow_io_is_a_users_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    with pytest.raises(UserError, match="s3:// need tensorflow-io.*tfmusic.s3.") as e:
        storage.prepare("s3://bucket/data")
    assert "\n" not in str(e.value)


def test_tensorflow_io_that_does_not_load_is_a_users_error(monkeypatch):
    # With a TensorFlow that it was not built for it comes, but brings no file systems.
    monkeypatch.setitem(sys.modules, "tensorflow_io", types.ModuleType("empty"))
    # The others may be known from tests before this one.
    monkeypatch.setattr(storage, "_TENSORFLOW_IO_SCHEMES", ("new",))
    with pytest.raises(UserError, match="does not load with TensorFlow .*tfmusic.s3."):
        storage.prepare("new://bucket/data")


def test_directories_are_made_but_for_a_bucket_which_is_there(tmp_path):
    storage.make_directory(str(tmp_path / "deep" / "data"))
    assert (tmp_path / "deep" / "data").is_dir()
    for bucket in ("s3://bucket", "s3://bucket/"):
        storage.make_directory(bucket)


def test_directory_moves_with_its_files(tmp_path):
    (tmp_path / "new").mkdir()
    for name in ("info.json", "train"):
        (tmp_path / "new" / name).write_text(name)
    target = tmp_path / "deep" / "data"
    storage.move_directory(str(tmp_path / "new"), str(target), last="info.json")
    assert sorted(path.name for path in target.iterdir()) == ["info.json", "train"]
    assert not (tmp_path / "new").exists()
