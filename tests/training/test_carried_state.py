"""Training that carries the recurrent state from batch to batch."""

import re

import numpy as np
import pytest

from tests.experiments import assert_same_run, family_experiment, newest_values
from tests.models.contracts import whole_pieces
from tfmusic.data.dataset import Dataset
from tfmusic.errors import UserError
from tfmusic.training.callbacks import read_metrics
from tfmusic.training.distribution import Distribution
from tfmusic.training.run_directory import restore_model
from tfmusic.training.scoring import evaluate_run
from tfmusic.training.setup import train_and_evaluate


def experiment(data_dir, **train):
    config = family_experiment("skuldur_lstm", data_dir, dropout=True, **train)
    config.data.transpose_semitones = 0
    config.model.update(embedding_size=8, units=(8,), carry_state=True)
    config.train.update(early_stopping_epochs=0, distribute="none")
    # A run of another length would go by another curve.
    config.optimizer.schedule = "constant"
    return config


def test_resumed_run_goes_on_with_the_state_that_it_had(tmp_path):
    data_dir, whole, parts = (str(tmp_path / name) for name in ("data", "a", "b"))
    config = experiment(data_dir, num_epochs=2, steps_per_epoch=3)
    train_and_evaluate(config, data_dir, whole)
    config.train.num_epochs = 1
    train_and_evaluate(config, data_dir, parts)
    config.train.num_epochs = 2
    train_and_evaluate(config, data_dir, parts)
    assert_same_run(whole, parts)

    # Validation does not forget what was before a window, either.
    _, model, _ = restore_model(whole)
    stored = Dataset.open(data_dir).pieces("validation").as_numpy_iterator()
    names = model.representation.feature_specs
    pieces = [{name: piece[name] for name in names} for piece in stored]
    assert min(len(piece["tokens"]) for piece in pieces) > 3 * config.data.window_steps
    model.compile_for_training("sgd")
    logs = model.test_step(whole_pieces(model, pieces))
    expected = pytest.approx(float(logs["nats_per_step"]), rel=1e-4)
    *_, last = read_metrics(f"{whole}/metrics.csv")
    assert float(last["val_nats_per_step"]) == expected
    scores = evaluate_run(whole, data_dir, "validation", prints=False)
    assert scores["nats_per_step"] == expected

    # The state comes last, so that a model without it reads the same checkpoint.
    saved = newest_values(whole)
    names = sorted(
        (name for name in saved if re.match(r"weights/\d+/", name)),
        key=lambda name: int(name.split("/")[1]),
    )
    assert len(names) == len(model.variables) + 2
    for name in names[-2:]:
        assert saved[name].shape == (config.train.batch_size, 8)
        assert np.any(saved[name])


def test_several_devices_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Distribution, "num_replicas", 2)
    config = experiment(str(tmp_path / "data"))
    with pytest.raises(UserError, match="carry_state: .*got 2; add .*distribute=none"):
        train_and_evaluate(config, str(tmp_path / "data"), str(tmp_path / "run"))
