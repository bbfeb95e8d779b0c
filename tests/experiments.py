"""Tiny experiments and their datasets, shared by the tests of training and serving."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import tensorflow as tf

import tfmusic.config as experiment_files
from tests.contracts import make_sequence
from tests.data.builders import write_dataset
from tests.latents import write_latents_dataset
from tfmusic.representations import make_representation

ROOT = pathlib.Path(__file__).resolve().parents[1]
CONFIGS = experiment_files.list_configs()
LENGTHS = {"train": [40, 61, 17, 33], "validation": [20, 35], "test": [50]}


def load_config(name, variant=""):
    """The experiment of a file in configs/, unlocked."""
    return _load_file(name).get_config(variant)


def list_variants(name):
    """The variants that a file in configs/ lists, the default's name being empty."""
    return list(_load_file(name).VARIANTS)


def _load_file(name):
    return experiment_files.load_module(str(experiment_files.CONFIGS / f"{name}.py"))


def tiny_config(**train):
    """A one-hand experiment of 15 steps in all; keywords change its train section."""
    config = load_config("two_hands_lstm", "one_hand")
    config.representation.update(onsets=False, metre=False)
    config.data.update(min_steps=1, window_steps=16, window_stride=16)
    config.model.update(units=(12, 10), key_units=8, count_units=4, dropout=0.2)
    config.model.key_chains = False  # a start that is hard to better with random music
    config.optimizer.update(schedule="constant", warmup_steps=0)
    config.train.update(
        batch_size=4,
        eval_batch_size=4,
        num_epochs=3,
        steps_per_epoch=5,
        early_stopping_epochs=0,
        early_stopping_min_steps=0,
        mixed_precision="none",  # runs are compared closely
        sample_every_epochs=0,
    )
    config.train.update(train)
    return config


def write_tiny_data(path):
    """Pieces that fit `tiny_config`."""
    write_dataset(str(path), LENGTHS, make_representation(tiny_config().representation))
    return str(path)


def family_experiment(name, data_dir, dropout=False, **train):
    """A few steps of a config's smoke variant, and music for it.

    Without dropout nothing in the training steps is random.
    """
    config = load_config(name, "smoke")
    config.data.update(min_steps=1, key="original", window_steps=16, window_stride=16)
    if "min_count" in config.representation:
        config.representation.min_count = 1  # little comes twice in so little music
    for setting in () if dropout else config.model:
        if setting.endswith("dropout"):
            config.model[setting] = 0.0
        elif setting.startswith("teacher_forcing") and not setting.endswith("steps"):
            config.model[setting] = 1.0
    config.train.update(batch_size=4, eval_batch_size=3, num_epochs=2)
    config.train.mixed_precision = "none"  # runs are compared closely
    config.train.update({"steps_per_epoch": 5, "sample_every_epochs": 0, **train})
    if config.representation.name == "latents":
        size, chunks = config.representation.latent_size, config.representation.chunks
        chunks = {name: chunks[name] for name in ("max_events", "split_pedals")}
        write_latents_dataset(data_dir, latent_size=size, **chunks)
        return config
    pieces = [made_up_piece(i) for i in range(4)]
    representation = make_representation(config.representation).fit(pieces)
    arrays = [representation.encode(piece) for piece in pieces]
    lengths = [len(next(iter(piece.values()))) for piece in arrays]
    write_dataset(
        str(data_dir),
        {"train": lengths, "validation": lengths[:3]},
        representation,
        lambda _, i: arrays[i],
    )
    return config


def made_up_piece(number):
    """A scale over held chords, in another key for another number."""
    tune = [
        (60 + number + step * 5 % 12, 60 + step, step / 2, step / 2 + 0.5)
        for step in range(60)
    ]
    chords = [
        (pitch + number, 70, 2 * bar, 2 * bar + 1.5)
        for bar in range(15)
        for pitch in (36 + bar % 5, 43, 48 + bar % 3)
    ]
    return make_sequence(tune, chords)


def write_config(config, path):
    """Writes a config as a file that command lines take; gives its path."""
    pathlib.Path(path).write_text(
        "import json, ml_collections\n\n\ndef get_config():\n"
        f"    return ml_collections.ConfigDict(json.loads({config.to_json()!r}))\n"
    )
    return str(path)


def start_training(config, data_dir, workdir, **environment):
    """Runs the command line in a process of its own; its errors come by a pipe."""
    os.makedirs(workdir, exist_ok=True)
    config_file = write_config(config, f"{workdir}.config.py")
    flags = {"config": config_file, "data_dir": data_dir, "workdir": workdir}
    return subprocess.Popen(
        [sys.executable, "-m", "tfmusic.train"]
        + [f"--{name}={value}" for name, value in flags.items()],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def newest_values(workdir):
    """Every variable of the newest checkpoint: weights, optimizer, progress."""
    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(f"{workdir}/latest"))
    names = reader.get_variable_to_shape_map()
    return {
        name: reader.get_tensor(name)
        for name in names
        if "save_counter" not in name and "OBJECT_GRAPH" not in name
    }


def assert_same_run(first, second):
    ours, theirs = newest_values(first), newest_values(second)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)
