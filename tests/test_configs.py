"""Every experiment in configs/, from records to music, in a few steps."""

import csv
import functools
import math

import numpy as np
import pytest

import tfmusic
from tests.experiments import CONFIGS, list_variants, load_config
from tfmusic.notes.reading import read_file
from tfmusic.pipelines.filters import Filters
from tfmusic.pipelines.latents_job import write_latents

# Latents are made from another experiment's export, below.
FROM_MIDI = [name for name in CONFIGS if name != "latent_wgan"]


def variants():
    for name in FROM_MIDI:
        for variant in list_variants(name):
            yield pytest.param(name, variant, id=f"{name}-{variant or 'default'}")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "variant"), list(variants()))
def test_experiment_learns_and_plays(name, variant, shared_data, tmp_path):
    config = load_config(name, variant)
    # As published, but for how long and how many windows at once.
    # Steps take milliseconds or seconds; key chains are near what so few can teach.
    num_steps = 30 if config.model.get("key_chains") else 4
    if name == "set_autoencoder":
        num_steps = 100
    config.train.update(num_epochs=3, steps_per_epoch=num_steps, sample_every_epochs=0)
    config.train.batch_size = min(config.train.batch_size, 16)
    data, run = str(tmp_path / "data"), str(tmp_path / "run")
    info = tfmusic.build_dataset(
        config,
        f"piano_midi_de:{shared_data}/piano_midi_de",
        data,
        filters=Filters(max_seconds=75.0),
        validation_fraction=0.2,
        test_fraction=0.2,
    )
    assert all(split["num_pieces"] > 1 for split in info.splits.values())

    tfmusic.train_model(config, data, run)
    with open(f"{run}/metrics.csv", encoding="utf-8") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 3
    assert losses[-1] < losses[0]

    scores = tfmusic.evaluate_model(run, data, "test")
    assert scores["num_pieces"] == info.splits["test"]["num_pieces"]
    assert all(math.isfinite(v) for v in scores.values() if isinstance(v, float))
    # Sets of events are scored by what is left of them.
    is_exact = name != "set_autoencoder"
    assert ("log_likelihood_per_step" in scores) is is_exact

    model = tfmusic.load_model(tfmusic.export_model(run, str(tmp_path / "model")))
    if "generate" not in model.card["endpoints"]:
        return
    pieces = model.generate(num_outputs=2, num_steps=40, seed=1)
    again = model.generate(num_outputs=2, num_steps=40, seed=1)
    assert pieces == again
    primer = tfmusic.read_pieces(data, "test")[0]
    pieces += model.generate(num_outputs=1, num_steps=40, seed=2, primer=primer)
    for i, piece in enumerate(pieces):
        tfmusic.write_music(piece, tmp_path / f"{i}.mid")
        notes = read_file(tmp_path / f"{i}.mid").notes
        assert len(notes) == len(piece.notes)
        assert np.all([note.end_time > note.start_time for note in notes])


@pytest.fixture(scope="module")
def write_latents_of(shared_data, tmp_path_factory):
    """Writes latents of a variant of the autoencoder, once; gives the directory."""
    folder = tmp_path_factory.mktemp("latents")

    @functools.cache
    def chunks_of(variant):
        config = load_config("set_autoencoder", variant)
        # A better start than as published, for few steps.
        config.optimizer.learning_rate = 3e-3
        config.train.update(num_epochs=1, steps_per_epoch=60)
        data, run, model = (str(folder / f"{n}_{variant}") for n in ("d", "r", "m"))
        tfmusic.build_dataset(
            config,
            f"piano_midi_de:{shared_data}/piano_midi_de",
            data,
            filters=Filters(max_seconds=60.0),
            validation_fraction=0.3,
            test_fraction=0.3,
        )
        tfmusic.train_model(config, data, run)
        return data, tfmusic.export_model(run, model)

    @functools.cache
    def write(variant, with_events):
        data, model = chunks_of(variant)
        latents = str(folder / f"latents_{variant}_{with_events}")
        write_latents(data, model, latents, with_events=with_events, num_workers=1)
        return latents

    return write


@pytest.mark.slow
@pytest.mark.parametrize("variant", list_variants("latent_wgan"))
def test_experiment_learns_from_latents_and_plays(variant, write_latents_of, tmp_path):
    config = load_config("latent_wgan", variant)
    autoencoder = variant if variant == "reference" else "smoke"
    data = write_latents_of(autoencoder, config.representation.with_events)
    # As published, but for how long and how many windows at once.
    config.train.update(num_epochs=1, steps_per_epoch=2, sample_every_epochs=0)
    config.train.update(batch_size=2 * config.model.critic_steps, eval_batch_size=8)
    run = str(tmp_path / "run")
    tfmusic.train_model(config, data, run)

    scores = tfmusic.evaluate_model(run, data, "test")
    assert {"loss", "generated.frechet", "held_out.frechet"} < scores.keys()
    assert all(math.isfinite(v) for v in scores.values() if isinstance(v, float))

    model = tfmusic.load_model(tfmusic.export_model(run, str(tmp_path / "model")))
    pieces = model.generate(num_outputs=2, num_steps=config.model.num_chunks, seed=1)
    for i, piece in enumerate(pieces):
        tfmusic.write_music(piece, tmp_path / f"{i}.mid")
        assert read_file(tmp_path / f"{i}.mid").notes
