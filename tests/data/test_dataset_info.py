import dataclasses
import json

import ml_collections
import pytest

from tests.data.builders import ROLL, write_dataset
from tfmusic.data.dataset_info import DatasetInfo, fingerprint
from tfmusic.errors import UserError
from tfmusic.representations import make_representation


def experiment(min_steps=1, **representation):
    representation = {"name": "binary_roll", "onsets": False, **representation}
    return ml_collections.ConfigDict(
        {
            "representation": representation,
            "data": {"key": "original", "min_steps": min_steps, "window_steps": 16},
        }
    )


def test_description_comes_back(tmp_path):
    info = write_dataset(
        tmp_path, {"train": [3, 4]}, dropped={"empty": 2}, losses={"outside_range": 5}
    )
    loaded = DatasetInfo.load(str(tmp_path))
    assert loaded == info
    assert loaded.make_representation() == ROLL
    text = (tmp_path / "dataset_info.json").read_text()
    assert json.loads(text)["fingerprint"] == info.fingerprint
    assert json.loads(text)["complete"] is True
    assert '"piece_steps": [ 3, 4 ]' in text, "lists of numbers stand on one line"


def test_directory_without_a_dataset_says_how_to_write_one(tmp_path):
    with pytest.raises(UserError, match="tfmusic build --config=CONFIG"):
        DatasetInfo.load(str(tmp_path))


@pytest.mark.parametrize("text", ['{"complete": false}', "{}", "[]", '{"complete": tr'])
def test_half_written_dataset_is_refused(tmp_path, text):
    (tmp_path / "dataset_info.json").write_text(text)
    with pytest.raises(UserError, match="not complete|no JSON"):
        DatasetInfo.load(str(tmp_path))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"lowest_pitch": 21', '"lowest_pitch": 29'),
        ('"num_pieces": 2', '"num_pieces": 3'),
        ("[ 3, 4 ]", "[ 3, 5 ]"),
        ('"source": "test"', '"source": "tesu"'),
    ],
)
def test_description_that_was_damaged_is_refused(old, new, tmp_path):
    write_dataset(tmp_path, {"train": [3, 4]})
    path = tmp_path / "dataset_info.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match="dataset_info.json: its checksum is that of"):
        DatasetInfo.load(str(tmp_path))


def test_description_without_what_it_needs_is_refused_and_without_checksum_read(
    tmp_path,
):
    info = write_dataset(tmp_path, {"train": [3, 4]})
    path = tmp_path / "dataset_info.json"
    fields = json.loads(path.read_text())
    del fields["checksum"]  # as older datasets have none
    path.write_text(json.dumps(fields))
    assert DatasetInfo.load(str(tmp_path)) == info
    del fields["versions"], fields["splits"]
    path.write_text(json.dumps(fields))
    with pytest.raises(UserError, match="no versions in it"):
        DatasetInfo.load(str(tmp_path))
    path.write_bytes(b"\xff" + path.read_bytes())
    with pytest.raises(UserError, match="no JSON|no text"):
        DatasetInfo.load(str(tmp_path))


def test_dataset_of_another_format_is_refused(tmp_path):
    write_dataset(tmp_path, {"train": [3]}, versions={"format": "0"})
    with pytest.raises(UserError, match="expected format 1, found 0.*--overwrite"):
        DatasetInfo.load(str(tmp_path))


def test_matching_experiment_passes(tmp_path):
    info = write_dataset(tmp_path, {"train": [3]})
    info.check(experiment())
    info.check(experiment(qpm=120))  # a number spelt otherwise


def test_other_experiment_is_refused_with_both_fingerprints_and_what_differs(tmp_path):
    info = write_dataset(tmp_path, {"train": [3]})
    other = experiment(min_steps=32, steps_per_quarter=8)
    with pytest.raises(UserError) as caught:
        info.check(other)
    message = str(caught.value)
    wanted = make_representation(other.representation)
    assert info.fingerprint in message
    assert fingerprint(wanted, {"key": "original", "min_steps": 32}) in message
    assert "steps_per_quarter is 4 in the dataset and 8 in the config" in message
    assert "data.min_steps is 1 in the dataset and 32 in the config" in message
    assert "onsets is" not in message
    assert "\n" not in message


def test_other_kind_of_representation_is_refused(tmp_path):
    info = write_dataset(tmp_path, {"train": [3]})
    other = experiment()
    other.representation = {"name": "two_hands_roll"}
    with pytest.raises(UserError) as caught:
        info.check(other)
    message = str(caught.value)
    assert "name is 'binary_roll' in the dataset and 'two_hands_roll' in" in message
    assert "data.key" not in message


def test_dataset_that_lacks_a_setting_says_so(tmp_path):
    # As one of a version that did not prepare pieces so.
    info = write_dataset(tmp_path, {"train": [3]})
    old = dataclasses.replace(info, preparation={"key": "original"})
    with pytest.raises(UserError, match="data.min_steps is not there in .* and 1 in"):
        old.check(experiment())


def test_description_for_a_models_card_names_source_and_licence(tmp_path):
    info = write_dataset(tmp_path, {"train": [3, 4]})
    published = dataclasses.replace(info, source="maestro:maestro.zip").describe()
    assert published["licence"] == "CC BY-NC-SA 4.0"
    assert published["splits"]["train"]["num_steps"] == 7
    assert "piece_steps" not in published["splits"]["train"]
    assert info.describe()["licence"] == "unknown"
