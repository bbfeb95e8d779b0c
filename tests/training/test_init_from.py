"""Runs that begin with the weights of a trained model."""

import json

import numpy as np
import pytest

import tfmusic
from tests.contracts import make_sequence
from tests.data.builders import write_dataset
from tests.experiments import LENGTHS, family_experiment, made_up_piece, tiny_config
from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.errors import UserError
from tfmusic.models import make_model
from tfmusic.notes.writing import write_midi
from tfmusic.pipelines.building import write_datasets
from tfmusic.representations import make_representation
from tfmusic.serving.origins import find_origin
from tfmusic.serving.saved_model import export_run
from tfmusic.training.run_directory import hash_weights, restore_model


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """A trained model of tokens: the directories of its run and of its export."""
    folder = tmp_path_factory.mktemp("tokens")
    config = family_experiment("skuldur_lstm", folder / "data", steps_per_epoch=2)
    tfmusic.train_model(config, str(folder / "data"), str(folder / "run"))
    export_run(str(folder / "run"), str(folder / "model"))
    return folder


@pytest.mark.parametrize("kind", ["run", "model", "model/1"])
def test_run_and_export_hold_the_same_weights(kind, tokens):
    _, trained, _ = restore_model(str(tokens / "run"))
    origin = find_origin(str(tokens / kind))
    model = make_model(origin.representation, origin.config.model)
    model.build_model()
    origin.restore(model)
    assert len(model.weights) > 5
    for ours, theirs in zip(model.weights, trained.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", ["run", "model"])
def test_new_run_begins_with_the_weights_of_the_model(kind, tokens, tmp_path):
    config = find_origin(str(tokens / "run")).config
    config.optimizer.update(name="sgd", learning_rate=1e-30)
    config.model.dropout = 0.3  # has no part in the weights
    workdir = str(tmp_path / "new")
    name = str(tokens / kind)
    tfmusic.train_model(config, str(tokens / "data"), workdir, init_from=name)
    _, trained, _ = restore_model(str(tokens / "run"))
    _, model, _ = restore_model(workdir)
    for ours, theirs in zip(model.weights, trained.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    with open(f"{workdir}/init_from.json") as file:
        assert json.load(file)["weights"] == hash_weights(trained)
    # Called again it is complete, wherever the model has gone.
    tfmusic.train_model(config, str(tokens / "data"), workdir, init_from="gone")


def test_model_of_another_vocabulary_or_network_is_refused_by_field(tokens, tmp_path):
    config = find_origin(str(tokens / "run")).config
    config.model.units = (7,)
    with pytest.raises(UserError, match=r"config.model.units is \[?.?96.* here; set"):
        tfmusic.train_model(
            config, str(tokens / "data"), str(tmp_path), str(tokens / "model")
        )
    other = make_representation(config.representation).fit([made_up_piece(9)])
    arrays = other.encode(made_up_piece(9))
    data = str(tmp_path / "data")
    length = len(arrays["tokens"])
    write_dataset(
        data, {"train": [length], "validation": [length]}, other, lambda *_: arrays
    )
    message = "tokens is .* in the model, .* here; encode yours with .*--like="
    with pytest.raises(UserError, match=message):
        tfmusic.train_model(config, data, str(tmp_path / "run"), str(tokens / "model"))
    assert not (tmp_path / "run").exists()


def test_representation_with_other_settings_is_refused_by_field(tmp_path, whole_run):
    config = tiny_config()
    config.representation.steps_per_quarter = 8
    data = str(tmp_path / "data")
    write_dataset(data, LENGTHS, make_representation(config.representation))
    with pytest.raises(UserError, match="steps_per_quarter is 4 in the model, 8 here"):
        tfmusic.train_model(config, data, str(tmp_path / "run"), whole_run)


def test_dataset_built_like_a_model_has_its_vocabulary_and_trains_on(tokens, tmp_path):
    (tmp_path / "music").mkdir()
    for number in range(6):
        # Pieces that are alike would share a split.
        pitches = np.random.default_rng(number).integers(48, 72, 60).tolist()
        tune = [(p, 70, i / 2, i / 2 + 0.5) for i, p in enumerate(pitches)]
        path = str(tmp_path / "music" / f"{number}.mid")
        write_midi(make_sequence(tune), path)
    origin = find_origin(str(tokens / "model"))
    data = str(tmp_path / "data")
    for _ in range(2):  # the second time it is there already
        write_datasets(
            [origin.for_building()], str(tmp_path / "music"), data, num_workers=1
        )
    assert DatasetInfo.load(data).make_representation() == origin.representation
    workdir = str(tmp_path / "run")
    config = origin.config
    tfmusic.train_model(config, data, workdir, init_from=str(tokens / "model"))


def test_folder_that_holds_no_model_is_refused(tmp_path):
    with pytest.raises(UserError, match="found no exported model"):
        find_origin(str(tmp_path))
