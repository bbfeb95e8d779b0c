"""What steers the biaxial network, on one that has learned from Bach's chorales."""

import numpy as np
import pytest

import tfmusic
from tests.experiments import load_config
from tests.models import contracts
from tfmusic.training.run_directory import restore_model


@pytest.fixture(scope="module")
def chorale_model(tmp_path_factory):
    """A small one that was trained for a minute."""
    config = load_config("biaxial_lstm", "johnson2017")
    config.model.update(time_units=(64,), note_units=(32,), dropout=0.0)
    config.optimizer.update(learning_rate=1e-2, schedule="cosine")
    config.train.update(num_epochs=1, steps_per_epoch=300, sample_every_epochs=0)
    folder = tmp_path_factory.mktemp("chorales")
    data, run = str(folder / "data"), str(folder / "run")
    tfmusic.build_dataset(config, "bach_chorales", data)
    tfmusic.train_model(config, data, run)
    assert tfmusic.evaluate_model(run, data)["log_likelihood_per_step"] > -9.0
    return restore_model(run)[1]


def notes_per_step(model, **controls):
    """Mean and standard error over pieces, after eight bars to adapt in."""
    made = contracts.call_endpoint(
        model, "generate", num_outputs=64, num_steps=128, seed=0, **controls
    )
    means = made["roll"][:, 32:, :, 0].sum(axis=-1).mean(axis=1)
    return means.mean(), means.std(ddof=1) / np.sqrt(len(means))


@pytest.mark.slow
def test_as_many_notes_sound_as_the_density_says(chorale_model):
    natural, _ = notes_per_step(chorale_model)
    assert 2.0 < natural < 5.0  # of four voices
    last = 0.0
    for density in (1.0, 2.0, 3.0, 4.0, 6.0, 8.0):
        mean, error = notes_per_step(chorale_model, density=density)
        assert mean - 5 * error > last
        assert abs(mean - density) < 0.1 * density
        last = mean + 5 * error


@pytest.mark.slow
def test_the_more_conservative_the_fewer_notes(chorale_model):
    last = np.inf
    for conservativity in (0.7, 1.0, 1.5, 2.5):
        mean, error = notes_per_step(chorale_model, conservativity=conservativity)
        assert mean + 4 * error < last
        last = mean - 4 * error
