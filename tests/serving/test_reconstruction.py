"""From training an autoencoder to hearing what it leaves of a piece."""

import json
import math

import pytest

from tests.contracts import make_sequence
from tests.data.builders import write_dataset
from tests.experiments import load_config
from tests.models.test_set_autoencoder import random_sets
from tests.representations.conftest import with_controls
from tfmusic.errors import UserError
from tfmusic.representations import make_representation
from tfmusic.serving.player import Player
from tfmusic.serving.saved_model import export_run
from tfmusic.training.scoring import evaluate_run
from tfmusic.training.setup import train_and_evaluate

MAX_EVENTS = 4


def tiny_config():
    config = load_config("set_autoencoder", "smoke")
    config.representation.max_events = MAX_EVENTS
    config.data.update(min_steps=1, window_steps=8)
    config.model.update(latent_size=8, value_units=(8,), event_units=(8,))
    config.train.update(
        batch_size=2, eval_batch_size=2, num_epochs=1, steps_per_epoch=3
    )
    return config


def make_piece(num_steps, number):
    events, num_events = random_sets(num_steps, MAX_EVENTS, seed=number)
    return {"events": events, "num_events": num_events}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The directories of a dataset and of a run on it."""
    folder = tmp_path_factory.mktemp("autoencoder")
    config = tiny_config()
    representation = make_representation(
        {**config.representation, "duration_lognormal": (1.1, 80.0)}
    )
    lengths = {"train": [30, 41], "validation": [12], "test": [9, 20]}
    write_dataset(folder / "data", lengths, representation, make_piece)
    train_and_evaluate(config, str(folder / "data"), str(folder / "run"))
    return str(folder / "data"), str(folder / "run")


@pytest.fixture(scope="module")
def export(run, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("export"))
    export_run(run[1], path)
    return path


def test_reconstruction_is_scored_instead_of_likelihood(run, tmp_path):
    data_dir, workdir = run
    result = evaluate_run(workdir, data_dir, "test", str(tmp_path / "scores.json"))
    assert json.loads((tmp_path / "scores.json").read_text()) == result
    assert (result["num_pieces"], result["num_steps"]) == (2, 29)
    for tolerance in (25, 50):
        for name in ("precision", "recall", "f1"):
            assert 0 <= result[f"note_{name}_{tolerance}ms"] <= 1
    for name in ("velocity_error", "duration_error_seconds", "damper_error", "loss"):
        assert math.isfinite(result[name])
    assert result["overflow_share"] == 0
    assert "log_likelihood_per_step" not in result


def test_an_export_reconstructs_pieces_with_pedals(export):
    player = Player(export)
    piece = with_controls(
        make_sequence([(60 + i, 80, i, i + 1) for i in range(8)]),
        *[(64, 0, 90), (64, 1, 0), (67, 2, 40)],
    )
    made = player.reconstruct(piece)
    assert {note.pitch for note in made.notes} <= set(range(21, 109))
    assert made.notes or made.control_changes
    card = player.card["endpoints"]
    assert card.keys() >= {"encode", "decode", "reconstruct"}
    for endpoint in card.values():
        for value in (*endpoint["inputs"].values(), *endpoint["outputs"].values()):
            assert value["doc"]


def test_it_neither_generates_nor_scores(export):
    player = Player(export)
    with pytest.raises(UserError, match="makes none: .* tfmusic reconstruct; .* enc"):
        player.generate()
    with pytest.raises(UserError, match="endpoint of set_autoencoder: unknown .* de"):
        player.score(make_sequence([]))


def test_what_cannot_be_encoded_is_told(export):
    with pytest.raises(UserError, match="cannot be encoded as event_chunks .no_notes"):
        Player(export).reconstruct(make_sequence([]))
