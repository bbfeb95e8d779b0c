"""Models in one file, and models by name."""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from tests.disks import IN_OWN_MOUNTS, needs_disk
from tfmusic.errors import UserError
from tfmusic.notes.writing import to_midi_bytes
from tfmusic.serving import catalogue
from tfmusic.serving.packed import pack
from tfmusic.serving.player import Player, newest_version
from tfmusic.serving.saved_model import export_packed, export_run

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def packed(tiny_run, tmp_path_factory):
    """A run's model in one file."""
    return export_run(tiny_run[1], str(tmp_path_factory.mktemp("packed") / "tiny.zip"))


@pytest.fixture
def shelf(packed, tmp_path, monkeypatch):
    """A folder of models by name, with the model `tiny`."""
    path = str(shutil.copy(packed, tmp_path / "tiny.zip"))
    catalogue.write_hash(path)
    monkeypatch.setattr(catalogue, "PLACES", (tmp_path,))
    return tmp_path


def music(player):
    pieces = player.generate(num_outputs=2, num_steps=24, seed=5)
    return [to_midi_bytes(piece) for piece in pieces]


def weights(path):
    """The numbers that a SavedModel computes with, by name."""
    reader = tf.train.load_checkpoint(f"{path}/variables/variables")
    names = reader.get_variable_to_dtype_map()
    return {n: reader.get_tensor(n) for n in names if n.startswith("weights/")}


def test_model_in_one_file_has_its_weights_rounded_to_float16(
    packed, tiny_export, tmp_path
):
    path = export_packed(packed, str(tmp_path / "model"))
    assert path == str(tmp_path / "model" / "1")
    back, before = weights(path), weights(newest_version(tiny_export))
    assert back.keys() == before.keys()
    assert any(np.asarray(value).dtype == np.float32 for value in before.values())
    for name, value in before.items():
        if np.asarray(value).dtype == np.float32:
            value = value.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(back[name], value)
    # The next one goes beside it, as TF Serving wants it.
    assert export_packed(packed, str(tmp_path / "model")).endswith("2")
    assert music(Player(packed)) == music(Player(path))


@needs_disk
def test_full_disk_is_told_and_nothing_half_written_stays(packed, tmp_path):
    (tmp_path / "disk").mkdir()
    export = (
        f"{sys.executable} -m tfmusic export --model={packed} --export_dir=disk/model"
    )
    steps = [
        f"cd {tmp_path}; mount -t tmpfs -o size=32k tmpfs disk",
        f"{export} 2> errors && exit 9",
        "find disk/model -mindepth 1 > left",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([*IN_OWN_MOUNTS, "\n".join(steps)], env=environment, check=True)
    last = (tmp_path / "errors").read_text().splitlines()[-1]
    assert last.startswith("error: disk/model/1 cannot be written (No space left")
    assert (tmp_path / "left").read_text() == ""


def test_model_in_one_file_is_half_as_large_and_the_same_bytes_each_time(
    packed, tiny_export, tmp_path
):
    version = pathlib.Path(newest_version(tiny_export))
    size = sum(f.stat().st_size for f in version.rglob("*") if f.is_file())
    assert pathlib.Path(packed).stat().st_size < size / 2
    for name in ("first.zip", "second.zip"):
        pack(str(version), str(tmp_path / name))
    first, second = (tmp_path / f"{n}.zip" for n in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_model_is_found_by_its_name(shelf, packed):
    assert catalogue.shipped_models() == {"tiny": str(shelf / "tiny.zip")}
    player = Player("tiny")
    assert player.path == str(shelf / "tiny.zip")
    assert music(player) == music(Player(packed))
    with pytest.raises(UserError, match="unknown 'tinny' .did you mean 'tiny'"):
        Player("tinny")


def test_model_that_has_changed_since_it_was_published_is_refused(shelf):
    with zipfile.ZipFile(shelf / "tiny.zip", "a") as archive:
        archive.writestr("more", b"")
    with pytest.raises(UserError, match="SHA-256"):
        Player("tiny")
    # A file of one's own has no hash to hold it against.
    assert Player(str(shelf / "tiny.zip")).card["name"]


@pytest.mark.parametrize("kind", ["text", "other zip", "cut short", "no weights"])
def test_file_that_is_no_model_is_refused_in_one_line(packed, tmp_path, kind):
    path = tmp_path / "model.zip"
    if kind == "text":
        path.write_text("no model")
    elif kind == "cut short":
        path.write_bytes(pathlib.Path(packed).read_bytes()[:5000])
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x" if kind == "other zip" else catalogue.CARD, "{}")
    with pytest.raises(UserError, match="expected a model in one file") as error:
        Player(str(path))
    assert "\n" not in str(error.value)


def test_name_or_folder_is_needed_and_not_both(tmp_path):
    command = [sys.executable, "-m", "tfmusic.generate", "--output_dir=music"]
    for more in ([], ["--model=chorales", "--model_dir=model"]):
        done = subprocess.run(
            [*command, *more], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert done.stderr.startswith("error: expected --model=NAME")
        assert done.stderr.count("\n") == 1
