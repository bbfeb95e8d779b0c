"""From event chunks and an exported autoencoder to a dataset of latents."""

import dataclasses
import json
import os
import shutil

import ml_collections
import numpy as np
import pytest

from tests.data.builders import write_dataset
from tests.models.test_set_autoencoder import MAX_EVENTS, make_autoencoder, random_sets
from tests.pipelines.test_network import linux, listening, start, watch
from tfmusic.data.dataset import Dataset
from tfmusic.data.dataset_info import DatasetInfo
from tfmusic.errors import UserError
from tfmusic.models.latent_autoencoder import load_autoencoder
from tfmusic.pipelines.latents_job import write_latents
from tfmusic.pipelines.running import beam_options
from tfmusic.representations import make_representation
from tfmusic.serving.saved_model import export_model

LENGTHS = {"train": [40, 61, 17], "validation": [20], "test": [33, 5]}


def make_piece(num_steps, number):
    events, num_events = random_sets(num_steps, MAX_EVENTS, seed=number)
    return {"events": events, "num_events": num_events}


def export(path, seed=1, **settings):
    model = make_autoencoder(**settings)
    if seed != 1:
        random = np.random.default_rng(seed)
        model.set_weights([random.normal(0, 0.3, w.shape) for w in model.get_weights()])
    export_model(model, card_of(model, **settings), os.path.join(path, "1"))
    return model


def card_of(model, **settings):
    return {
        "name": "set_autoencoder",
        "config": {
            "name": "set_autoencoder",
            "model": {"name": "set_autoencoder", **_SETTINGS, **settings},
        },
        "representation": model.representation.to_config(),
        "controls": {},
    }


_SETTINGS = {
    "latent_size": 24,
    "value_units": [32],
    "key_units": [16],
    "size_units": [16],
    "event_units": [48, 48],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A dataset of events, an export, and the latents; with the model."""
    folder = tmp_path_factory.mktemp("latents")
    data, exported, latents = (str(folder / n) for n in ("data", "model", "latents"))
    model = export(exported)
    write_dataset(data, LENGTHS, model.representation, make_piece)
    write_latents(data, exported, latents, num_workers=1)
    return data, exported, latents, model


def pieces_of(data_dir, split):
    return list(Dataset.open(data_dir).pieces(split).as_numpy_iterator())


def test_pieces_and_splits_stay(made):
    data, _, latents, _ = made
    old, new = DatasetInfo.load(data), DatasetInfo.load(latents)
    for split in LENGTHS:
        for field in ("num_pieces", "num_steps", "shards", "piece_steps"):
            assert old.splits[split][field] == new.splits[split][field]
        ids = [[p["id"] for p in pieces_of(d, split)] for d in (data, latents)]
        assert ids[0] == ids[1]
    assert not os.path.exists(latents + ".partial")


def test_latents_are_normalised_over_the_training_pieces(made):
    *_, latents, model = made
    training = np.concatenate([p["latents"] for p in pieces_of(latents, "train")])
    assert training.shape == (sum(LENGTHS["train"]), 24)
    np.testing.assert_allclose(training.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(training.std(axis=0), 1, atol=1e-4)


def test_denormalised_they_are_the_autoencoders(made):
    data, _, latents, model = made
    representation = DatasetInfo.load(latents).make_representation()
    for split in LENGTHS:
        for chunks, codes in zip(
            pieces_of(data, split), pieces_of(latents, split), strict=True
        ):
            expected = model.encode(chunks["events"], chunks["num_events"])
            found = representation.denormalize(codes["latents"])
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_autoencoder_is_in_the_dataset(made):
    data, _, latents, model = made
    representation = DatasetInfo.load(latents).make_representation()
    assert representation.chunks == model.representation
    again = load_autoencoder(representation, latents)
    events, num_events = random_sets(9, MAX_EVENTS)
    codes = model.encode(events, num_events)
    np.testing.assert_array_equal(again.encode(events, num_events), codes)
    for ours, theirs in zip(again.decode(codes), model.decode(codes), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_it_is_written_once(made, caplog):
    data, exported, latents, _ = made
    before = os.stat(os.path.join(latents, "dataset_info.json")).st_mtime_ns
    write_latents(data, exported, latents, num_workers=1)
    assert os.stat(os.path.join(latents, "dataset_info.json")).st_mtime_ns == before


def test_events_stay_beside_their_latents_where_wanted(made, tmp_path):
    data, exported, latents, _ = made
    output = str(tmp_path / "latents")
    write_latents(data, exported, output, with_events=True, num_workers=1)
    for old, plain, new in zip(
        *(pieces_of(d, "train") for d in (data, latents, output)), strict=True
    ):
        np.testing.assert_array_equal(new["latents"], plain["latents"])
        np.testing.assert_array_equal(new["events"], old["events"])
        np.testing.assert_array_equal(new["num_events"], old["num_events"])
    with pytest.raises(UserError, match="with_events was True, is now False; replace"):
        write_latents(data, exported, output, num_workers=1)


def test_latents_of_another_autoencoder_are_refused(made, tmp_path):
    data, exported, latents, _ = made
    other = str(tmp_path / "model")
    export(other, seed=2)
    with pytest.raises(UserError, match="another dataset: autoencoder was .* is now"):
        write_latents(data, other, latents, num_workers=1)
    theirs = str(tmp_path / "latents")
    write_latents(data, other, theirs, num_workers=1)
    shutil.copy(os.path.join(latents, "autoencoder.npz"), theirs)
    representation = DatasetInfo.load(theirs).make_representation()
    with pytest.raises(UserError, match="expected the weights of autoencoder .* found"):
        load_autoencoder(representation, theirs)
    os.remove(os.path.join(theirs, "autoencoder.npz"))
    with pytest.raises(
        UserError, match="expected a dataset of latents, found no autoe"
    ):
        load_autoencoder(representation, theirs)


def test_latents_of_chunks_that_were_written_otherwise_are_refused(made, tmp_path):
    data, exported, latents, model = made
    mine = shutil.copytree(data, tmp_path / "data")
    info = DatasetInfo.load(data)
    fewer = {**info.splits, "test": {**info.splits["test"], "num_notes": 1}}
    for name, field, value in (
        ("min_steps", "preparation", {"key": "original", "min_steps": 2}),
        ("min_seconds", "filters", {"min_seconds": 30.0}),
        ("split fractions", "split_fractions", [0.6, 0.2, 0.2]),
        ("seed", "job_settings", {"seed": 1}),
        ("test split.num_notes", "splits", fewer),
    ):
        dataclasses.replace(info, **{field: value}).save(str(mine))
        with pytest.raises(UserError, match=f"another dataset: {name} was .* is now"):
            write_latents(str(mine), exported, latents, num_workers=1)


def test_chunks_of_another_length_are_refused(made, tmp_path):
    data, exported, latents, model = made
    config = {**model.representation.to_config(), "chunk_seconds": 0.5}
    write_dataset(tmp_path / "data", LENGTHS, make_representation(config), make_piece)
    message = "chunk_seconds is 0.5 in the dataset and 0.25 in the autoencoder"
    with pytest.raises(UserError, match=message):
        write_latents(str(tmp_path / "data"), exported, str(tmp_path / "latents"))
    # And where a model learns from latents, by its config.
    representation = {"name": "latents", "latent_size": 24, "chunks": config}
    experiment = ml_collections.ConfigDict({"representation": representation})
    experiment.data = {}
    with pytest.raises(UserError, match="chunks.chunk_seconds is 0.25 in the dataset"):
        DatasetInfo.load(latents).check(experiment)


def test_what_is_no_dataset_of_chunks_or_no_autoencoder_is_refused(made, tmp_path):
    data, exported, latents, _ = made
    output = str(tmp_path / "out")
    with pytest.raises(
        UserError, match="expected a dataset of event_chunks, found lat"
    ):
        write_latents(latents, exported, output)
    with pytest.raises(UserError, match="found no exported model in it"):
        write_latents(data, str(tmp_path), output)
    with pytest.raises(UserError, match="expected an autoencoder, .* coconet has "):
        write_latents(data, "harmony", output)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    for overwrite in (False, True):
        with pytest.raises(UserError, match="expected a new or an empty directory"):
            write_latents(data, exported, str(tmp_path / "full"), overwrite=overwrite)
    assert os.listdir(tmp_path / "full") == ["x"]


def test_chunks_are_not_written_over(made, tmp_path):
    data, exported, *_ = made
    mine = shutil.copytree(data, tmp_path / "data")
    (tmp_path / "link").symlink_to(mine)
    before = sorted(os.listdir(mine))
    for output in (f"{mine}/", tmp_path / "link", f"{mine}/../data", tmp_path):
        with pytest.raises(UserError, match="without the event chunks of --data_dir="):
            write_latents(str(mine), exported, str(output), overwrite=True)
    assert sorted(os.listdir(mine)) == before


def test_damaged_dataset_is_refused_before_work(made, tmp_path):
    _, exported, _, model = made
    data = tmp_path / "data"
    write_dataset(data, LENGTHS, model.representation, make_piece)
    shard = data / "test-1"
    shard.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(UserError, match="test-1: expected the records that"):
        write_latents(str(data), exported, str(tmp_path / "latents"))
    assert os.listdir(tmp_path) == ["data"]


def test_latents_that_are_no_numbers_are_refused_in_one_line(made, tmp_path):
    data, *_ = made
    model = make_autoencoder()
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    export_model(model, card_of(model), str(tmp_path / "model" / "1"))
    message = (
        "/model/1: the latents of test-piece-0 are NaN or infinite; .* is trained$"
    )
    with pytest.raises(UserError, match=message):
        write_latents(
            data, str(tmp_path / "model"), str(tmp_path / "latents"), num_workers=1
        )
    assert os.listdir(tmp_path) == ["model"]


def test_a_killed_job_goes_on(made, tmp_path, monkeypatch):
    data, exported, latents, _ = made
    output = str(tmp_path / "latents")

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tfmusic.pipelines.latents_job.fit", die)
        with pytest.raises(KeyboardInterrupt):
            write_latents(data, exported, output, num_workers=1)
    assert not os.path.exists(output)
    work = os.path.join(output + ".partial", "work")
    before = {n: os.stat(os.path.join(work, n)).st_mtime_ns for n in os.listdir(work)}
    assert len(before) == 2 * 6

    def check(*args):
        after = {n: os.stat(os.path.join(work, n)).st_mtime_ns for n in before}
        assert after == before
        return fit(*args)

    from tfmusic.pipelines.latents_job import fit

    monkeypatch.setattr("tfmusic.pipelines.latents_job.fit", check)
    write_latents(data, exported, output, num_workers=1)
    for split in LENGTHS:
        for ours, theirs in zip(
            pieces_of(output, split), pieces_of(latents, split), strict=True
        ):
            np.testing.assert_array_equal(ours["latents"], theirs["latents"])


@linux
def test_job_listens_to_nobody(made, tmp_path):
    data, exported, *_ = made
    process = start(
        "pipelines.encode_latents",
        f"--data_dir={data}",
        f"--model_dir={exported}",
        f"--output_dir={tmp_path / 'latents'}",
        "--num_workers=2",
    )
    seen, _ = watch(process, listening)
    assert not seen
    assert (tmp_path / "latents" / "dataset_info.json").exists()


def test_unknown_flags_are_told():
    with pytest.raises(UserError, match="--num_worker; did you mean --num_workers?"):
        beam_options({"num_worker": "2"}, ["num_workers"])


def test_music_needs_the_autoencoder(made):
    representation = DatasetInfo.load(made[2]).make_representation()
    config = json.loads(json.dumps(representation.to_config()))
    assert make_representation(config) == representation
    with pytest.raises(UserError, match="by the autoencoder .* alone; datasets of"):
        representation.encode(None)
