import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmusic
from tests.experiments import family_experiment, load_config
from tfmusic.training import precision
from tfmusic.training.setup import train_and_evaluate

# Of the nats a step on held-out music after 300 steps, in bfloat16 and in float32:
# two seeds differ by more.
MARGIN = 0.02


def test_precision_follows_the_config():
    assert precision.choose_policy("none") == "float32"
    policy = precision.choose_policy("bfloat16")
    assert policy == "mixed_bfloat16"
    assert precision.choose_policy("auto") in ("float32", policy)


def test_only_layers_made_inside_get_the_policy():
    with precision.dtype_policy("mixed_bfloat16"):
        layer = keras.layers.Dense(3)
    assert layer(tf.zeros([1, 2])).dtype == tf.bfloat16
    assert keras.layers.Dense(3)(tf.zeros([1, 2])).dtype == tf.float32


@pytest.mark.slow
def test_autoencoder_trains_in_bfloat16(tmp_path):
    config = family_experiment("set_autoencoder", tmp_path / "data", num_epochs=1)
    config.train.update(mixed_precision="bfloat16", steps_per_epoch=3)
    train_and_evaluate(config, str(tmp_path / "data"), str(tmp_path / "run"))
    with open(tmp_path / "run" / "metrics.csv") as file:
        (epoch,) = csv.DictReader(file)
    assert np.isfinite([float(epoch["loss"]), float(epoch["val_loss"])]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chord_lstm", "next_frame_lstm", "biaxial_lstm"])
def test_bfloat16_learns_music_as_float32_does(name, tmp_path):
    config = load_config(name, "smoke")
    config.train.update(num_epochs=6, steps_per_epoch=50, early_stopping_epochs=0)
    config.train.sample_every_epochs = 0
    data = str(tmp_path / "data")
    tfmusic.build_dataset(config, "bach_chorales", data)
    curves = {}
    for kind in ("none", "bfloat16"):
        config.train.mixed_precision = kind
        tfmusic.train_model(config, data, str(tmp_path / kind))
        with open(tmp_path / kind / "metrics.csv") as file:
            rows = list(csv.DictReader(file))
        curves[kind] = np.array([float(row["val_nats_per_step"]) for row in rows])
    exact, mixed = curves.values()
    assert exact[-1] < 0.8 * exact[0], "it has learned something"
    np.testing.assert_allclose(mixed[-1], exact[-1], rtol=MARGIN)
