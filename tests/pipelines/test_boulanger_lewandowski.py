"""The four published sets of piano rolls come back from TFRecords frame by frame."""

import numpy as np
import pytest
import scipy.io

from tfmusic.data.dataset import Dataset
from tfmusic.errors import UserError
from tfmusic.evaluation.likelihood import note_1gram
from tfmusic.pipelines.building import write_datasets
from tfmusic.pipelines.sources import open_source
from tfmusic.representations import make_representation

CONFIG = """
import ml_collections

def get_config(variant=""):
    config = ml_collections.ConfigDict()
    config.name = "roll"
    config.representation = dict(
        name="binary_roll", onsets=False, steps_per_quarter=int(variant)
    )
    config.data = dict(key="original", min_steps=1)
    return config
"""
VARIABLES = {"train": "traindata", "validation": "validdata", "test": "testdata"}
# Set, frames in a quarter note, and "Note 1-Gram" in table 1 of the paper.
SETS = [
    ("JSB_Chorales", 1, -11.06),
    ("MuseData", 2, -11.51),
    ("Nottingham", 2, -10.25),
    ("Piano_midi", 2, -11.05),
]


def build(path, frames_per_quarter, tmp_path):
    """The rolls of each split, as TFRecords have them, in the order of the source."""
    (tmp_path / "roll.py").write_text(CONFIG)
    write_datasets(
        [f"{tmp_path / 'roll.py'}:{frames_per_quarter}"],
        f"boulanger_lewandowski:{path}",
        str(tmp_path / "data"),
        num_workers=1,
    )
    return {
        split: [
            piece["roll"][..., 0]
            for piece in sorted(
                Dataset.open(str(tmp_path / "data")).pieces(split).as_numpy_iterator(),
                key=lambda piece: piece["id"],
            )
        ]
        for split in VARIABLES
    }


def check_equal(found, path):
    published = scipy.io.loadmat(path)
    for split, variable in VARIABLES.items():
        rolls = published[variable].reshape(-1)
        assert len(found[split]) == len(rolls) > 0
        for roll, expected in zip(found[split], rolls, strict=True):
            np.testing.assert_array_equal(roll, expected)


@pytest.fixture
def small_set(tmp_path):
    """Rolls of random notes, some with silence at their ends."""
    rng = np.random.default_rng(0)
    sets = {}
    for variable, count in zip(VARIABLES.values(), (5, 2, 3), strict=True):
        rolls = np.empty((1, count), object)
        for i in range(count):
            roll = (rng.random((20 + i, 88)) < 0.05).astype(np.uint8)
            roll[: i % 3] = 0
            roll[len(roll) - i :] = 0
            rolls[0, i] = roll
        sets[variable] = rolls
    path = tmp_path / "small.mat"
    scipy.io.savemat(path, sets)
    return path


def test_frames_and_splits_are_those_of_the_file(small_set, tmp_path):
    check_equal(build(small_set, 2, tmp_path), small_set)


def test_play_only_gives_the_frames_back(small_set):
    representation = make_representation(
        {"name": "play_articulate", "play_only": True, "steps_per_quarter": 2}
    )
    expected = scipy.io.loadmat(small_set)["traindata"].reshape(-1)
    items = list(open_source(f"boulanger_lewandowski:{small_set}").items())
    for item, roll in zip(items, expected, strict=False):
        assert item.split == "train"
        (sequence,) = item.read()
        features = representation.encode(sequence)
        np.testing.assert_array_equal(features["roll"][..., 0], roll)


@pytest.mark.parametrize(
    ("name", "frames_per_quarter", "expected"),
    [SETS[0], *(pytest.param(*s, marks=pytest.mark.slow) for s in SETS[1:])],
    ids=[name for name, *_ in SETS],
)
def test_published_set_and_its_baseline_come_out(
    shared_data, name, frames_per_quarter, expected, tmp_path
):
    path = shared_data / "boulanger_lewandowski" / f"{name}.mat"
    rolls = build(path, frames_per_quarter, tmp_path)
    check_equal(rolls, path)
    total = note_1gram(rolls["train"], rolls["test"])
    assert round(total.log_likelihood_per_step, 2) == expected
    assert total.num_steps == sum(map(len, rolls["test"]))


def test_file_of_another_kind_is_a_users_error(tmp_path):
    path = tmp_path / "data.mat"
    source = open_source(f"boulanger_lewandowski:{path}")
    with pytest.raises(UserError, match="data.mat: .*No such file|not found"):
        list(source.items())
    path.write_bytes(b"no MATLAB file, whatever its name may say" * 10)
    with pytest.raises(UserError, match="expected the published MATLAB file, but"):
        list(source.items())
    scipy.io.savemat(path, {"x": np.zeros(3)})
    with pytest.raises(UserError, match="found none of testdata, traindata, validda"):
        list(source.items())
    rolls = np.empty((1, 1), object)
    rolls[0, 0] = np.full((4, 88), 7)
    scipy.io.savemat(path, dict.fromkeys(VARIABLES.values(), rolls))
    with pytest.raises(UserError, match="arrays \\[time, 88\\] of 0 and 1"):
        list(source.items())


@pytest.mark.slow
def test_damaged_files_are_one_line_each_and_a_bomb_costs_no_memory(
    small_set, tmp_path
):
    rng = np.random.default_rng(0)
    good = small_set.read_bytes()
    path = tmp_path / "damaged.mat"
    num_refused = 0
    for number in range(30):
        data = bytearray(good)
        if number % 3 == 0:
            del data[int(rng.integers(len(data))) :]
        for place in rng.integers(len(data), size=number % 3 * 4):
            data[place] = int(rng.integers(256))
        path.write_bytes(data)
        try:
            list(open_source(f"boulanger_lewandowski:{path}").items())
        except UserError as error:
            num_refused += 1
            assert "\n" not in str(error)
            assert "damaged.mat: expected the published MATLAB file" in str(error)
    assert num_refused > 5
    zeros = np.empty((1, 8), object)
    for i in range(8):
        zeros[0, i] = np.zeros((400_000, 88))  # as floats: 2 GB
    sets = dict.fromkeys(VARIABLES.values(), zeros)
    scipy.io.savemat(path, sets, do_compression=True)
    del zeros, sets
    assert path.stat().st_size < 20e6
    with pytest.raises(UserError, match="published MATLAB file, but .*2048 MB"):
        list(open_source(f"boulanger_lewandowski:{path}").items())
