"""Several devices and several processes train as one device does."""

import csv
import json
import socket

import numpy as np
import pytest
import tensorflow as tf

from tests.experiments import CONFIGS, family_experiment, start_training
from tfmusic.errors import UserError
from tfmusic.models import make_model
from tfmusic.networks.losses import mean_loss
from tfmusic.representations import make_representation
from tfmusic.training.distribution import make_distribution
from tfmusic.training.setup import train_and_evaluate

# Sums over a batch are added up in another order, so the last bits of a gradient
# differ, and Adam's first steps, which go by a gradient's sign, make more of that; so
# does a unit whose input is all but zero, where a leaky rectifier bends.
TOLERANCE = 1e-3


def finish(*processes):
    for process in processes:
        _, errors = process.communicate(timeout=570)
        assert process.returncode == 0, errors


def curves(workdir):
    """What each epoch came to, [epoch, metric]."""
    with open(f"{workdir}/metrics.csv") as file:
        rows = list(csv.DictReader(file))
    names = sorted(rows[0].keys() - {"steps_per_second", "input_share"})
    return np.array([[float(row[name]) for name in names] for row in rows]), names


def assert_same_curves(ours, theirs):
    (values, names), (expected, _) = curves(ours), curves(theirs)
    assert values.shape == expected.shape
    for i, name in enumerate(names):
        np.testing.assert_allclose(
            values[:, i], expected[:, i], rtol=TOLERANCE, atol=TOLERANCE, err_msg=name
        )


def free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start_workers(config, data_dir, workdir, kinds=("worker", "worker")):
    """Starts a process for each task of a cluster, by their kinds."""
    cluster = {kind: [] for kind in kinds}
    tasks = []
    for kind, port in zip(kinds, free_ports(len(kinds)), strict=True):
        tasks.append({"type": kind, "index": len(cluster[kind])})
        cluster[kind].append(f"localhost:{port}")
    return [
        start_training(
            config,
            data_dir,
            workdir,
            TF_CONFIG=json.dumps({"cluster": cluster, "task": task}),
        )
        for task in tasks
    ]


def test_two_devices_train_to_the_curves_of_one(tmp_path):
    assert len(tf.config.list_logical_devices("CPU")) == 2  # tests/training/conftest.py
    data_dir = str(tmp_path / "data")
    config = family_experiment("two_hands_lstm", data_dir)
    train_and_evaluate(config, data_dir, str(tmp_path / "one"))
    config.train.distribute = "mirrored"
    train_and_evaluate(config, data_dir, str(tmp_path / "devices"))
    assert_same_curves(tmp_path / "devices", tmp_path / "one")


def test_losses_of_devices_add_up_to_the_mean_of_all_steps():
    strategy = make_distribution("mirrored").strategy
    losses, weights = tf.constant([[1.0, 2.0], [3.0, 8.0]]), tf.constant([1.0, 0.5])
    shares = strategy.run(
        lambda: mean_loss(
            losses[tf.distribute.get_replica_context().replica_id_in_sync_group],
            weights,
        )
    )
    total = strategy.reduce("sum", shares, axis=None)
    assert float(total) == pytest.approx((1.0 + 1.0 + 3.0 + 4.0) / 4)


def test_each_device_tosses_its_own_coins_in_scheduled_sampling():
    strategy = make_distribution("mirrored").strategy
    representation = make_representation({"name": "start_sustain"})
    config = {"name": "next_frame_lstm", "units": (4,), "teacher_forcing": 0.5}
    config |= {"teacher_forcing_end": 0.5, "dropout": 0.0, "head_dropout": 0.0}
    with strategy.scope():
        model = make_model(representation, config)
        model.build_model()
        model.compile_for_training("sgd")
    music = tf.random.stateless_uniform([4, 6, 88, 2], [1, 2]) < 0.1
    outputs = strategy.run(lambda: model(music, training=True))
    first, second = (output.numpy() for output in outputs.values)
    assert first.shape == second.shape
    assert not np.array_equal(first, second)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_devices_without_a_batch_are_left_out_of_validation(name, tmp_path):
    data_dir = str(tmp_path / "data")
    config = family_experiment(name, data_dir, steps_per_epoch=1)
    config.train.update(eval_batch_size=200, num_epochs=1)  # all of it in one batch
    train_and_evaluate(config, data_dir, str(tmp_path / "one"))
    config.train.distribute = "mirrored"
    train_and_evaluate(config, data_dir, str(tmp_path / "devices"))
    assert_same_curves(tmp_path / "devices", tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_devices_and_workers_of_every_family_train_to_the_curves_of_one(name, tmp_path):
    data_dir = tmp_path / "data"
    config = family_experiment(name, data_dir)
    finish(start_training(config, data_dir, tmp_path / "one"))
    config.train.update(distribute="mirrored", num_cpu_devices=2, sample_every_epochs=1)
    finish(start_training(config, data_dir, tmp_path / "devices"))
    assert_same_curves(tmp_path / "devices", tmp_path / "one")
    config.train.update(
        distribute="multi_worker", num_cpu_devices=0, sample_every_epochs=0
    )
    finish(*start_workers(config, data_dir, tmp_path / "workers"))
    assert_same_curves(tmp_path / "workers", tmp_path / "one")


@pytest.mark.slow
def test_chief_and_worker_train_to_the_curves_of_one(tmp_path):
    data_dir = tmp_path / "data"
    config = family_experiment("two_hands_lstm", data_dir)
    finish(start_training(config, data_dir, tmp_path / "one"))
    config.train.distribute = "multi_worker"
    chief, worker = start_workers(
        config, data_dir, tmp_path / "cluster", kinds=("chief", "worker")
    )
    _, errors = chief.communicate(timeout=570)
    assert "this is worker 0, which writes the checkpoints" in errors
    _, errors = worker.communicate(timeout=570)
    assert "on each of 2 workers; this is worker 1\n" in errors
    assert_same_curves(tmp_path / "cluster", tmp_path / "one")


@pytest.mark.slow
def test_workers_with_files_of_their_own_learn_and_go_on(tmp_path):
    data_dir = tmp_path / "data"
    config = family_experiment("two_hands_lstm", data_dir, num_epochs=4)
    config.train.update(distribute="multi_worker", shard_files=True)
    # Other schedules last as long as the run.
    config.optimizer.update(schedule="constant", warmup_steps=0, learning_rate=1e-2)
    config.model.key_chains = False  # a start that is hard to better in 20 steps
    finish(*start_workers(config, data_dir, tmp_path / "whole"))
    for num_epochs in (2, 4):
        config.train.num_epochs = num_epochs
        finish(*start_workers(config, data_dir, tmp_path / "halves"))
    values, names = curves(tmp_path / "whole")
    losses = values[:, names.index("loss")]
    assert losses[-1] < 0.9 * losses[0]
    assert_same_curves(tmp_path / "halves", tmp_path / "whole")


@pytest.mark.parametrize(
    ("kind", "message"),
    [("mirored", "did you mean 'mirrored'"), ("multi_worker", "TF_CONFIG")],
)
def test_distribution_that_cannot_be_is_refused(kind, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(UserError, match=message):
        make_distribution(kind)
