"""Tiny experiments and their datasets, shared by the tests of training and serving."""

import importlib.util
import pathlib

from tests.data.builders import write_dataset
from tfmusic.representations import make_representation

ROOT = pathlib.Path(__file__).resolve().parents[1]
LENGTHS = {"train": [40, 61, 17, 33], "validation": [20, 35], "test": [50]}


def load_config(name, variant=""):
    """The experiment of a file in configs/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "configs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(variant)


def tiny_config(**train):
    """A one-hand experiment of 15 steps in all; keywords change its train section."""
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


def write_tiny_data(path):
    """Pieces that fit `tiny_config`."""
    write_dataset(str(path), LENGTHS, make_representation(tiny_config().representation))
    return str(path)
