"""Endpoints by TensorFlow's C library, beside the same by its Python code."""

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfmusic.errors import UserError
from tfmusic.serving import endpoints
from tfmusic.serving.c_runtime import library
from tfmusic.serving.catalogue import CARD, read_card
from tfmusic.serving.endpoints import CEndpoints, PythonEndpoints, save_tensors
from tfmusic.serving.requests import default_of
from tfmusic.stored import reading

pytestmark = pytest.mark.skipif(library() is None, reason="no C library to load")


@pytest.fixture(scope="module")
def path(tiny_export):
    return str(pathlib.Path(tiny_export, "1"))


@pytest.fixture(scope="module")
def both(path):
    return CEndpoints(path), PythonEndpoints(path)


def valid_inputs(specs):
    given = {"num_steps": 2, "num_outputs": 2, "beam_width": 2, "seed": 3}
    return {
        name: np.full(
            [2 if size is None else size for size in spec["shape"]],
            default_of(spec) if "default" in spec else given.get(name, 0),
            spec["dtype"],
        )
        for name, spec in specs.items()
    }


def test_c_library_computes_every_endpoint_to_the_last_bit(path, both):
    card = read_card(str(pathlib.Path(path, CARD)))
    for name, endpoint in card["endpoints"].items():
        inputs = valid_inputs(endpoint["inputs"])
        assert both[0].inputs(name) == both[1].inputs(name)
        both[0].load(name)
        found, expected = (each.call(name, inputs) for each in both)
        assert found.keys() == expected.keys() == endpoint["outputs"].keys()
        for key, array in expected.items():
            assert found[key].dtype == array.dtype
            np.testing.assert_array_equal(found[key], array, f"{name}: {key}")


def test_refusals_have_the_same_words(path, both):
    card = read_card(str(pathlib.Path(path, CARD)))
    inputs = valid_inputs(card["endpoints"]["generate"]["inputs"])
    inputs["num_outputs"] = np.array(0, np.int32)
    both[0].load("generate")
    told = []
    for each in both:
        with pytest.raises(UserError) as error:
            each.call("generate", inputs)
        told.append(str(error.value))
    assert told[0] == told[1]
    assert "num_outputs" in told[0]


@pytest.mark.parametrize("file", ["saved_model.pb", "variables/variables.index"])
def test_part_of_an_export_is_told_in_one_line(path, tmp_path, file):
    copy = shutil.copytree(path, tmp_path / "1")
    content = (copy / file).read_bytes()
    (copy / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError) as error, reading(copy, "a model", "copy it again"):
        CEndpoints(str(copy))
    assert str(copy) in str(error.value)
    assert "\n" not in str(error.value)


def test_checkpoint_of_the_c_library_is_one_of_tensorflows(tmp_path, monkeypatch):
    monkeypatch.setattr(endpoints, "_needs_python", lambda path: False)
    values = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": b"x" * 99}
    save_tensors(str(tmp_path / "variables"), {**values, "c": np.array(5)})
    reader = tf.train.load_checkpoint(str(tmp_path / "variables"))
    np.testing.assert_array_equal(reader.get_tensor("a"), values["a"])
    assert reader.get_tensor("b") == values["b"]
    assert reader.get_tensor("c") == 5


def test_checkpoint_that_cannot_be_written_is_an_error_of_the_disk(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(endpoints, "_needs_python", lambda path: False)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        save_tensors(str(tmp_path / "file" / "variables"), {"a": np.zeros(2)})


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="nothing to count")
def test_a_process_that_has_played_still_trains_on_all_its_threads():
    count = (
        "import os\n"
        "def threads(): return len(os.listdir('/proc/self/task'))\n"
        "{before}"
        "import tensorflow as tf\n"
        "before = threads(); tf.ones([2, 2]) @ tf.ones([2, 2])\n"
        "print(threads() - before)\n"
    )
    play = "from tfmusic.serving.c_runtime import Runtime; Runtime(num_threads=1)\n"
    started = [
        subprocess.run(
            [sys.executable, "-c", count.format(before=before)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for before in ("", play)
    ]
    assert started[0] == started[1]
