import numpy as np
import pytest

from tests.data.builders import ROLL, roll_piece, write_dataset
from tfmusic.data.dataset import Dataset
from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.data.groups import make_groups, step_bytes
from tfmusic.data.shards import Shards
from tfmusic.errors import UserError


def shards_of(path, split="train"):
    return Shards(str(path), DatasetInfo.load(str(path)), split)


def test_pieces_lie_end_to_end_as_they_are_stored(tmp_path):
    write_dataset(tmp_path, {"train": [3, 5, 2]})
    arrays = make_groups(shards_of(tmp_path), 1024).hold()
    packed = [
        np.packbits(roll_piece(steps, i)["roll"].reshape(steps, -1), axis=1)
        for i, steps in enumerate((3, 5, 2))
    ]
    np.testing.assert_array_equal(arrays["roll"], np.concatenate(packed))
    assert arrays["roll"].shape[1] == step_bytes(ROLL.feature_specs) == 11


@pytest.mark.parametrize("num_bytes", [-5, 0], ids=["cut", "emptied"])
def test_a_corrupted_shard_is_named(num_bytes, tmp_path):
    write_dataset(tmp_path, {"train": [3, 5, 2]})
    shard = tmp_path / "train-1"
    shard.write_bytes(shard.read_bytes()[:num_bytes])
    named = "train-1" if num_bytes else "the train split"
    dataset = Dataset.open(str(tmp_path))
    for read in (
        lambda: make_groups(shards_of(tmp_path), 1024).hold(),
        lambda: dataset.pieces("train"),
        lambda: dataset.piece("train", 2),
    ):
        with pytest.raises(UserError, match=f"{named}: expected the records that"):
            read()
    # What lies before it can still be had.
    assert dataset.piece("train", 0)["num_steps"] == 3
