import copy
import csv
import dataclasses
import json
import os
import pathlib
import shutil

import ml_collections
import numpy as np
import pytest

from tests.experiments import assert_same_run, newest_values, tiny_config
from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.errors import UserError
from tfmusic.models import make_model
from tfmusic.representations import make_representation
from tfmusic.training.optimizers import Schedule
from tfmusic.training.run_directory import (
    is_same_music,
    load_run,
    restore_model,
    save_run,
    save_schedule,
)
from tfmusic.training.setup import train_and_evaluate


def test_resumed_run_equals_an_undisturbed_one(tiny_data, whole_run, tmp_path):
    parts = str(tmp_path / "parts")
    train_and_evaluate(tiny_config(num_epochs=1), tiny_data, parts)
    train_and_evaluate(tiny_config(num_epochs=3), tiny_data, parts)
    assert_same_run(whole_run, parts)
    with open(f"{parts}/metrics.csv") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2"]


def test_restored_model_has_the_weights_that_were_trained(tiny_data, tmp_path):
    workdir = str(tmp_path / "run")
    train_and_evaluate(tiny_config(num_epochs=1), tiny_data, workdir)
    saved = newest_values(workdir)
    _, model, _ = restore_model(workdir)
    for i, variable in enumerate(model.variables):
        value = saved.pop(f"weights/{i}/.ATTRIBUTES/VARIABLE_VALUE")
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)
    assert not [name for name in saved if name.startswith("weights")]


def test_another_seed_gives_another_run(tiny_data, whole_run, tmp_path):
    config = tiny_config()
    config.seed = 1
    train_and_evaluate(config, tiny_data, str(tmp_path))
    ours, theirs = newest_values(tmp_path), newest_values(whole_run)
    weights = [name for name in ours if name.startswith("weights/")]
    assert any(not np.array_equal(ours[name], theirs[name]) for name in weights)


def test_another_schedule_is_told_with_both_rates(tmp_path, caplog):
    def begin(kind, num_steps, step):
        caplog.clear()
        with caplog.at_level("INFO", logger="absl"):
            save_schedule(str(tmp_path), Schedule(kind, 0.01, 0, 1.0, num_steps), step)
        return caplog.text

    assert not begin("cosine", 15, step=0)
    assert not begin("cosine", 10, step=0), "it has not begun"
    assert not begin("cosine", 10, step=5)
    assert (
        "the learning rate's schedule was cosine over 10 steps from 0.01, is now "
        "cosine over 20 steps from 0.01: at step 10 it gives 0.005, not 0\n"
    ) in begin("cosine", 20, step=10)
    assert not begin("cosine", 20, step=15)
    begin("constant", 10, step=0)
    assert not begin("constant", 20, step=10), "it has no length"


@pytest.mark.slow
def test_longer_run_says_how_the_learning_rate_changes(tiny_data, tmp_path, caplog):
    workdir = str(tmp_path / "run")
    config = tiny_config(num_epochs=2)
    config.optimizer.update(schedule="cosine", learning_rate=0.01, decay_epochs=0)
    for num_epochs, steps, news in (
        (2, 5, ""),
        (4, 5, "cosine over 10 steps from 0.01, is now cosine over 20 steps from 0.01"),
        (5, 4, ""),  # as many steps in all
    ):
        caplog.clear()
        config.train.update(num_epochs=num_epochs, steps_per_epoch=steps)
        with caplog.at_level("INFO", logger="absl"):
            train_and_evaluate(config, tiny_data, workdir)
        assert "trained to step" in caplog.text
        assert ("schedule was" in caplog.text) == bool(news)
        assert news in caplog.text


def test_folder_of_a_dataset_or_of_music_is_no_workdir(tiny_data, tmp_path):
    representation = DatasetInfo.load(tiny_data).make_representation()
    (tmp_path / "Tune.MID").touch()
    for folder, found in ((tiny_data, "dataset_info.json"), (tmp_path, "Tune.MID")):
        before = sorted(os.listdir(folder))
        with pytest.raises(UserError, match=f"of its own for the run, found {found}"):
            save_run(str(folder), tiny_config(), representation)
        assert sorted(os.listdir(folder)) == before


def test_complete_run_is_left_alone(tiny_data, whole_run):
    def files():
        paths = pathlib.Path(whole_run).rglob("*")
        return {path: path.stat().st_mtime_ns for path in paths}

    before = files()
    train_and_evaluate(tiny_config(), tiny_data, whole_run)
    assert files() == before


def test_best_weights_are_those_of_the_lowest_validation_loss(tiny_data, tmp_path):
    workdir = str(tmp_path / "run")
    config = tiny_config(num_epochs=12, early_stopping_epochs=2)
    config.optimizer.learning_rate = 0.3  # so high that the loss soon rises
    train_and_evaluate(config, tiny_data, workdir)
    with open(f"{workdir}/metrics.csv") as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    best = int(np.argmin(losses))
    assert len(losses) == best + 3 < 12, "stops two epochs after the best one"
    _, _, checkpoint = restore_model(workdir)
    assert os.path.basename(checkpoint) == f"ckpt-{5 * (best + 1)}"


def test_loss_that_is_no_number_ends_the_run_and_is_not_saved(tiny_data, tmp_path):
    config = tiny_config(save_every_steps=2)
    config.optimizer.update(name="sgd", learning_rate=1e30, clip_norm=0.0)
    with pytest.raises(
        UserError, match="the loss is (nan|inf) at step .*learning_rate"
    ):
        train_and_evaluate(config, tiny_data, str(tmp_path / "run"))
    assert not list(tmp_path.glob("run/*/ckpt-*"))


def test_workdir_of_another_config_is_refused(tiny_data, whole_run):
    config = tiny_config()
    config.model.dropout = 0.4
    with pytest.raises(UserError, match="model.dropout was 0.2, now 0.4"):
        train_and_evaluate(config, tiny_data, whole_run)


def test_field_that_an_older_run_lacks_has_its_default(tmp_path):
    config = tiny_config()
    config.model.dropout = 0.3  # the default
    representation = make_representation(config.representation)
    older = copy.deepcopy(config)
    with older.unlocked():
        del older.model.dropout, older.data.stretch, older.optimizer.clip_value
    save_run(str(tmp_path), older, representation)
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "ckpt-1.index").touch()  # it has begun
    save_run(str(tmp_path), config, representation)
    config.model.dropout = 0.2
    with pytest.raises(UserError, match="model.dropout was 0.3, now 0.2"):
        save_run(str(tmp_path), config, representation)


# What `tfmusic.train` saved in November 2026.
OLD_CONFIG = """{
 "data": {"key": "C", "min_steps": 16, "window_steps": 64, "window_stride": 32,
          "window_align_steps": 1, "transpose_semitones": 0},
 "model": {"name": "token_lstm", "embedding_size": 8, "units": [8], "cell": "lstm",
           "input_encoding": "pitches", "dropout": 0.3, "recurrent_dropout": 0.0,
           "head": "linear", "tied_output": true, "loss_steps": "all",
           "learn_end": true, "carry_state": false},
 "name": "chord_lstm",
 "optimizer": {"name": "adam", "learning_rate": 0.002, "schedule": "cosine",
               "warmup_steps": 100, "decay_rate": 1.0, "decay_epochs": 0,
               "clip_norm": 1.0, "clip_value": 0.0, "weight_decay": 0.0, "options": {}},
 "representation": {"name": "chord_frames", "steps_per_quarter": 2},
 "seed": 0,
 "train": {"batch_size": 32, "eval_batch_size": 64, "num_epochs": 10,
           "distribute": "auto", "fast_lstm": FAST}
}"""


@pytest.mark.parametrize("fast", ["true", "false"])
def test_run_of_an_older_version_loads(tmp_path, fast):
    (tmp_path / "config.json").write_text(OLD_CONFIG.replace("FAST", fast))
    kind = make_representation({"name": "chord_frames", "steps_per_quarter": 2})
    kind = kind.fit_counts({"60": 1, "64": 2})
    (tmp_path / "representation.json").write_text(json.dumps(kind.to_config()))
    config, representation = load_run(str(tmp_path))
    assert "fast_lstm" not in config.train
    assert representation == kind
    assert make_model(representation, config.model).settings.learn_end


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        (
            "data",
            "window_stpes",
            3,
            "config.data: unknown 'window_stpes' .did you mean",
        ),
        ("data", "key", "D", "config.data.key: unknown 'D'"),
        ("optimizer", "learning_rat", 1.0, "did you mean 'learning_rate'"),
        ("optimizer", "learning_rate", -1.0, "learning_rate: expected more than 0.0"),
        ("optimizer", "clip_norm", float("nan"), "clip_norm: expected a finite number"),
        ("model", "unit", 3, "config.model: unknown 'unit' .did you mean 'units'"),
        (
            "model",
            "dropout",
            1.5,
            "config.model.dropout: expected at most 0.99, got 1.5",
        ),
        ("representation", "qmp", 3, "'qmp' .did you mean 'qpm'"),
        (
            "train",
            "num_epochs",
            0,
            "config.train.num_epochs: expected at least 1, got 0",
        ),
    ],
)
def test_wrong_field_of_any_section_is_told_before_anything_is_read(
    tmp_path, section, field, value, message
):
    config = ml_collections.ConfigDict(tiny_config(), type_safe=False)
    config[section][field] = value
    with pytest.raises(UserError, match=message):
        train_and_evaluate(config, str(tmp_path / "no_data"), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_config_that_the_model_refuses_leaves_no_trace(tiny_data, tmp_path):
    config = tiny_config()
    config.optimizer.schedule = "constnat"
    with pytest.raises(UserError, match="did you mean 'constant'"):
        train_and_evaluate(config, tiny_data, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_workdir_without_a_checkpoint_takes_another_config(tiny_data, tmp_path):
    config = tiny_config()
    info = DatasetInfo.load(tiny_data)
    save_run(str(tmp_path), config, info.make_representation())
    config.model.dropout = 0.4
    save_run(str(tmp_path), config, info.make_representation())
    assert load_run(str(tmp_path))[0].model.dropout == 0.4


def test_run_goes_on_with_its_own_music_alone(tiny_data, whole_run, tmp_path):
    workdir = str(shutil.copytree(whole_run, tmp_path / "run"))
    data_dir = str(shutil.copytree(tiny_data, tmp_path / "data"))
    hashed = dict(source="maestro:/music", source_hash="a1" * 32)
    info = dataclasses.replace(DatasetInfo.load(data_dir), **hashed)
    pathlib.Path(workdir, "dataset.json").write_text(json.dumps(info.describe()))
    dataclasses.replace(info, source="maestro:/moved").save(data_dir)
    train_and_evaluate(tiny_config(), data_dir, workdir)
    dataclasses.replace(info, source_hash="b2" * 32).save(data_dir)
    with pytest.raises(UserError, match="maestro:/music .hash a1a1.* .hash b2b2.*"):
        train_and_evaluate(tiny_config(), data_dir, workdir)
    train = info.splits["train"]
    train["num_pieces"] -= 1
    train["piece_steps"] = train["piece_steps"][1:]
    train.pop("shard_pieces")
    info.save(data_dir)
    with pytest.raises(UserError, match="4 pieces .* 3 pieces to train on"):
        train_and_evaluate(tiny_config(), data_dir, workdir)


def test_music_is_the_same_if_what_was_made_of_it_is():
    def describe(notes=40, **hashes):
        sizes = {"num_pieces": 4, "num_steps": 64, "num_notes": notes}
        return {"source": "a", "splits": {"train": sizes}, **hashes}

    one = describe(source_hash="a", pieces_hash="1")
    assert is_same_music(one, describe(source_hash="b", pieces_hash="1"))
    # Of the same files other instruments were kept.
    assert not is_same_music(one, describe(source_hash="a", pieces_hash="2"))
    # An older run knows no more than how many notes that makes.
    assert is_same_music(describe(source_hash="a"), one)
    assert not is_same_music(describe(source_hash="a"), describe(41, source_hash="a"))


def test_dataset_of_another_representation_is_refused(tiny_data, tmp_path):
    config = tiny_config()
    config.representation.steps_per_quarter = 8
    with pytest.raises(UserError, match="steps_per_quarter is 4 in the dataset and 8"):
        train_and_evaluate(config, tiny_data, str(tmp_path / "run"))


@pytest.mark.parametrize("files", ["ckpt-15.*", "ckpt-15.data*"], ids=["all", "data"])
def test_damaged_newest_checkpoint_falls_back_on_the_one_before(
    files, tiny_data, whole_run, tmp_path
):
    damaged = shutil.copytree(whole_run, tmp_path / "damaged")
    for path in (damaged / "latest").glob(files):
        path.write_bytes(path.read_bytes()[:40])
    train_and_evaluate(tiny_config(), tiny_data, str(damaged))
    assert_same_run(whole_run, damaged)


@pytest.mark.parametrize("files", ["*.index", "*.data*"])
def test_damaged_weights_are_refused_in_one_line(files, whole_run, tmp_path):
    damaged = shutil.copytree(whole_run, tmp_path / "damaged")
    for path in (damaged / "best").glob(files):
        path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match=r"best/ckpt-\d+: expected .*config.json"):
        restore_model(str(damaged))


@pytest.mark.parametrize("steps", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_run_goes_on_with_another_number_of_steps_an_epoch(
    steps, tiny_data, whole_run, tmp_path
):
    workdir = str(shutil.copytree(whole_run, tmp_path / "run"))
    config = tiny_config(steps_per_epoch=steps, num_epochs=4)
    train_and_evaluate(config, tiny_data, workdir)
    with open(f"{workdir}/metrics.csv") as file:
        speeds = [float(row["steps_per_second"]) for row in csv.DictReader(file)]
    assert len(speeds) == 4
    assert min(speeds) > 0
    step = newest_values(workdir)["progress/step/.ATTRIBUTES/VARIABLE_VALUE"]
    assert step == 3 * 5 + steps


@pytest.mark.slow
def test_epoch_that_has_had_more_steps_than_it_now_gets_is_over(tiny_data, tmp_path):
    workdir = str(tmp_path / "run")
    config = tiny_config(num_epochs=1, save_every_steps=4)
    train_and_evaluate(config, tiny_data, workdir)
    for path in pathlib.Path(workdir, "latest").glob("ckpt-5.*"):
        path.write_bytes(b"")
    config.train.update(steps_per_epoch=3, num_epochs=2)
    train_and_evaluate(config, tiny_data, workdir)
    step = newest_values(workdir)["progress/step/.ATTRIBUTES/VARIABLE_VALUE"]
    assert step == 4 + 3
