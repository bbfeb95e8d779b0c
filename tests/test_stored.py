import errno
import json
import zipfile

import pytest

from tfmusic.errors import UserError
from tfmusic.files import read_json
from tfmusic.stored import NUMBER, check_form, reading

FORM = {
    "name": str,
    "steps?": int,
    "splits": {"train": {"pieces": [NUMBER]}, "*": {"pieces": [NUMBER]}},
}
WHOLE = {"name": "x", "splits": {"train": {"pieces": [1, 2.5]}}}


def test_what_has_its_form_comes_back():
    assert check_form(WHOLE, FORM) is WHOLE
    check_form({**WHOLE, "steps": 3, "other": None}, FORM)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": 1}, "name: not a text but 1"),
        ({"steps": True}, "steps: not a whole number but True"),
        ({"steps": 1.5}, "steps: not a whole number but 1.5"),
        ({"splits": []}, r"splits: not values by name but \[\]"),
        ({"splits": {}}, "splits: no train in it"),
        ({"splits": {"train": {"pieces": ["x"]}}}, r"splits.train.pieces\[0\]: not a"),
        ({"splits": {"train": {"pieces": [float("nan")]}}}, r"pieces\[0\]: nan"),
        ({"splits": {**WHOLE["splits"], "test": 1}}, "splits.test: not values by name"),
    ],
)
def test_another_form_is_said_with_its_place(changes, message):
    with pytest.raises(ValueError, match=message):
        check_form({**WHOLE, **changes}, FORM)


def cut(path):
    path.write_text(json.dumps(WHOLE)[:20])


def as_directory(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda path: path.unlink(), "found nothing; copy it again"),
        (as_directory, "found a directory; copy it again"),
        (cut, "found something that is no JSON"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "found something that is no "),
        (lambda path: path.write_text("[" * 100_000), "that is nested too deep"),
        (lambda path: path.write_text("{}"), "something cannot be .name|no name in it"),
        (lambda path: path.write_text("3"), "all of it: not values by name but 3"),
    ],
    ids=["missing", "directory", "cut", "bytes", "deep", "empty", "number"],
)
def test_a_damaged_file_is_one_line_that_names_it(damage, found, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(WHOLE))
    damage(path)
    with (
        pytest.raises(UserError, match=found) as caught,
        reading(path, "the config of a run", "copy it again"),
    ):
        check_form(read_json(str(path)), FORM)
    assert str(caught.value).startswith(f"{path}: expected the config of a run, ")
    assert "\n" not in str(caught.value)


def test_the_file_is_named_where_a_setting_in_it_is_wrong():
    with (
        pytest.raises(UserError, match="x.json: .* another: qpm is 0; put it back"),
        reading("x.json", "a representation", "put it back"),
    ):
        raise UserError("qpm is 0")


def test_faults_of_the_program_and_full_disks_stay_what_they_are():
    for error in (NameError("a slip"), OSError(errno.ENOSPC, "No space left")):
        with (
            pytest.raises(type(error)) as caught,
            reading("x.json", "a representation", "put it back"),
        ):
            raise error
        assert caught.value is error


def test_an_archive_that_is_cut_is_said(tmp_path):
    path = tmp_path / "model.zip"
    path.write_bytes(b"PK\x03\x04")
    with (
        pytest.raises(UserError, match="an archive that is not whole"),
        reading(path, "a model", "copy it again"),
    ):
        zipfile.ZipFile(path)
