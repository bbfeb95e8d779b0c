"""Runs of the latent WGAN: the datasets that they take, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from tests.experiments import family_experiment, load_config
from tests.latents import (
    SMALL_WGAN,
    make_batch,
    make_latent_wgan,
    make_latents,
    write_latents_dataset,
)
from tfmusic.data.dataset import Dataset
from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.data.settings import DataSettings
from tfmusic.data.windows import Windows
from tfmusic.errors import UserError
from tfmusic.models import make_model
from tfmusic.representations import make_representation
from tfmusic.training.checkpoints import Checkpoints
from tfmusic.training.optimizers import make_optimizer
from tfmusic.training.run_directory import save_run
from tfmusic.training.scoring import score_samples


def test_a_run_that_went_on_has_both_optimizers_of_an_undisturbed_one(tmp_path):
    def start(seed):
        model = make_latent_wgan(seed)
        section = load_config("latent_wgan").optimizer
        model.compile_for_training(make_optimizer(section, 10, 1))
        return model, Checkpoints(str(tmp_path), model)

    def go_on(model, steps):
        for i in steps:
            model.train_step(make_batch(model, 2, seed=i))

    whole, checkpoints = start(seed=1)
    go_on(whole, range(1))
    checkpoints.save()
    go_on(whole, range(1, 3))
    second, checkpoints = start(seed=2)
    assert checkpoints.restore()
    go_on(second, range(1, 3))
    for ours, theirs in zip(second.optimizers, whole.optimizers, strict=True):
        assert int(ours.iterations) == int(theirs.iterations)
        for variable, wanted in zip(ours.variables, theirs.variables, strict=True):
            np.testing.assert_array_equal(variable, wanted, err_msg=variable.path)
    assert [int(o.iterations) for o in second.optimizers] == [3, 6]
    for variable, wanted in zip(second.variables, whole.variables, strict=True):
        np.testing.assert_array_equal(variable, wanted, err_msg=variable.path)


def test_latents_of_another_autoencoder_are_refused(tmp_path):
    config = family_experiment("latent_wgan", tmp_path / "data")
    ours = DatasetInfo.load(str(tmp_path / "data")).make_representation()
    save_run(str(tmp_path / "run"), config, ours)
    (tmp_path / "run" / "latest").mkdir()
    (tmp_path / "run" / "latest" / "ckpt-1.index").touch()  # it has begun
    theirs, _ = make_latents(seed=2, latent_size=75, max_events=15)
    with pytest.raises(UserError, match="the dataset has another autoencoder"):
        save_run(str(tmp_path / "run"), config, theirs)
    other = write_latents_dataset(
        tmp_path / "other", seed=2, latent_size=75, max_events=15
    )
    model = make_model(ours, config.model)
    with pytest.raises(UserError, match=f"expected .*{ours.autoencoder}"):
        model.load_parts(other)


def test_chunks_of_another_length_are_refused(tmp_path):
    config = family_experiment("latent_wgan", tmp_path / "data")
    config.representation.chunks.chunk_seconds = 0.5
    with pytest.raises(UserError, match="chunks.chunk_seconds is 0.25 in the dataset"):
        DatasetInfo.load(str(tmp_path / "data")).check(config)


def test_only_datasets_with_events_can_be_varied(tmp_path):
    plain, _ = make_latents()
    with pytest.raises(UserError, match="cannot be varied without the events"):
        DataSettings(transpose_semitones=2).variations(plain)
    kind, _ = make_latents(with_events=True)
    changes = DataSettings(transpose_semitones=2, stretch=0.1, velocity_shift=3)
    assert len(changes.variations(kind)) == 3


def test_windows_that_are_stretched_have_the_length_of_sequences(tmp_path):
    data_dir = write_latents_dataset(tmp_path, with_events=True)
    model = make_latent_wgan(with_events=True)
    settings = DataSettings(window_steps=8, transpose_semitones=2, stretch=0.2)
    batches = Dataset.open(data_dir).train(
        Windows(settings), model.example_fn, batch_size=4, seed=0
    )
    x, _, inside = next(iter(batches))
    assert x["num_events"].shape == inside.shape == (4, 8)
    assert model.real(x, inside).shape == (4, 8, 6)


@pytest.mark.slow
def test_samples_are_compared_with_latents_of_the_autoencoder_as_it_is(tmp_path):
    lengths = {"train": [20], "test": [40, 33, 5]}
    data_dir = write_latents_dataset(tmp_path, lengths, with_events=True)
    described = DatasetInfo.load(data_dir).splits["test"]
    pieces = list(Dataset.open(data_dir).pieces("test"))
    model = make_latent_wgan(with_events=True, joint=True)
    for variable in model.autoencoder.trainable_variables:
        variable.assign(1.5 * variable)  # as if it had learned on
    # Without events, latents are taken as they stand.
    plain = make_latent_wgan()
    for name in ("average", "autoencoder"):
        getattr(plain, name).set_weights(getattr(model, name).get_weights())
    for piece in pieces:
        codes = model.autoencoder.encode(piece["events"], piece["num_events"])
        piece["latents"] = model.representation.normalize(codes)
    wanted = score_samples(plain, pieces, described)
    found = score_samples(model, Dataset.open(data_dir).pieces("test"), described)
    assert found == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_chunks": 12}, "model.num_chunks: expected a power of two of at least 4"),
        ({"num_chunks": 2}, "of at least 4, for 2 layers .* got 2"),
        ({"generator": "recurent"}, "did you mean 'recurrent'"),
        ({"critic_steps": 0}, "model.critic_steps: expected at least 1, got 0"),
        ({"chunk_units": (8, 6)}, "model.chunk_units: expected equal sizes, got 8, 6"),
        (
            {"generator": "attention", "generator_units": (8, 6)},
            "model.generator_units: expected equal sizes, got 8, 6",
        ),
        ({"joint": True}, "encode_latents --with_events"),
        ({"normalize": "batch"}, "model.normalize: unknown 'batch'; it can be insta"),
        ({"matching": "pair"}, "model.matching: unknown 'pair' .*did you mean 'pairs'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make_latent_wgan(**settings)


def test_another_representation_is_refused():
    chunks = make_representation({"name": "event_chunks"})
    with pytest.raises(UserError, match="expected latents; event_chunks goes with set"):
        make_model(chunks, SMALL_WGAN)


def test_windows_of_another_length_are_refused():
    model = make_latent_wgan()
    window = {"latents": tf.zeros([17, 6]), "step": tf.range(17), "num_steps": 40}
    with pytest.raises(UserError, match="data.window_steps is 16, model.num_chunks 8"):
        model.example_fn(window, tf.constant([0, 0]))


def test_batches_that_cannot_be_divided_are_refused():
    model = make_latent_wgan()
    model.compile_for_training("sgd")
    with pytest.raises(UserError, match="expected a multiple of 2 examples .* got 5"):
        model.train_step(make_batch(model, 5))
