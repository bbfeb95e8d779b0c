import importlib.util
import pathlib

import numpy as np
import pytest

from tests.data.builders import write_dataset
from tfmusic.representations import make_representation

ROOT = pathlib.Path(__file__).resolve().parents[2]


def load_config(name, variant=""):
    """The experiment of a file in configs/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "configs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(variant)


@pytest.fixture(scope="session")
def tiny_config():
    """A small one-hand experiment; a copy each time."""

    def make(**train):
        config = load_config("two_hands_lstm", "one_hand")
        config.representation.onsets = False
        config.data.update(min_steps=1, window_steps=16, window_stride=16)
        config.model.update(units=(12, 10), key_units=8, count_units=4, dropout=0.2)
        config.optimizer.update(schedule="constant", warmup_steps=0)
        config.train.update(
            batch_size=4,
            eval_batch_size=4,
            num_epochs=3,
            steps_per_epoch=5,
            early_stopping_epochs=0,
        )
        config.train.update(train)
        return config

    return make


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory, tiny_config):
    """Pieces that fit `tiny_config`."""
    path = tmp_path_factory.mktemp("data")
    representation = make_representation(tiny_config().representation)
    lengths = {"train": [40, 61, 17, 33], "validation": [20, 35], "test": [50]}
    write_dataset(str(path), lengths, representation)
    return str(path)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
