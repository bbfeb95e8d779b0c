import numpy as np
import pytest

from tests.data.builders import ROLL, roll_piece, write_dataset
from tfmusic.data.datasets import make_piece_dataset, read_piece
from tfmusic.data.pieces import check_memory, load_pieces, step_bytes
from tfmusic.errors import UserError


def test_pieces_lie_end_to_end_as_they_are_stored(tmp_path):
    write_dataset(tmp_path, {"train": [3, 5, 2]})
    pieces = load_pieces(str(tmp_path), "train")
    np.testing.assert_array_equal(pieces.lengths, [3, 5, 2])
    np.testing.assert_array_equal(pieces.offsets, [0, 3, 8])
    packed = [
        np.packbits(roll_piece(steps, i)["roll"].reshape(steps, -1), axis=1)
        for i, steps in enumerate((3, 5, 2))
    ]
    np.testing.assert_array_equal(pieces.arrays["roll"], np.concatenate(packed))
    assert pieces.representation == ROLL
    assert pieces.arrays["roll"].shape[1] == step_bytes(ROLL.feature_specs) == 11


def test_a_split_beyond_memory_is_a_users_error():
    check_memory("the train split", 1000)
    with pytest.raises(UserError, match="the train split takes 1,000,000.0 GB of mem"):
        check_memory("the train split", 10**15)


@pytest.mark.parametrize("num_bytes", [-5, 0], ids=["cut", "emptied"])
def test_a_damaged_shard_is_named(num_bytes, tmp_path):
    write_dataset(tmp_path, {"train": [3, 5, 2]})
    shard = tmp_path / "train-1"
    shard.write_bytes(shard.read_bytes()[:num_bytes])
    named = "train-1" if num_bytes else "the train split"
    message = f"{named}: expected the records that"
    with pytest.raises(UserError, match=message):
        load_pieces(str(tmp_path), "train")
    with pytest.raises(UserError, match=message):
        make_piece_dataset(str(tmp_path), "train")
    with pytest.raises(UserError, match=message):
        read_piece(str(tmp_path), "train", 2)
    # What lies before it can still be had.
    assert read_piece(str(tmp_path), "train", 0)["num_steps"] == 3
