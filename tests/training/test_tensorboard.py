"""What a run shows in TensorBoard, read back through its own reader."""

import csv

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

from tests.experiments import family_experiment, tiny_config
from tfmusic.notes.reading import read_file
from tfmusic.training.setup import train_and_evaluate


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensorboard")
    config = family_experiment("chord_lstm", folder / "data", sample_every_epochs=1)
    config.train.update(steps_per_epoch=2, num_epochs=2)
    train_and_evaluate(config, str(folder / "data"), str(folder / "run"))
    return folder / "run"


@pytest.fixture(scope="module")
def board(workdir):
    events = EventMultiplexer().AddRunsFromDirectory(str(workdir / "tensorboard"))
    return events.Reload()


def values(board, run, tag):
    return [
        (e.step, float(tf.make_ndarray(e.tensor_proto)))
        for e in board.Tensors(run, tag)
    ]  # at the end of each epoch


def test_curves_hold_what_the_metrics_file_holds(board, workdir):
    with open(workdir / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    for column, run, tag in (
        ("loss", "training", "metrics/loss"),
        ("val_nats_per_step", "validation", "metrics/nats_per_step"),
        ("gradient_norm", "training", "optimizer/gradient_norm"),
        ("input_share", "training", "speed/input_share"),
    ):
        expected = [(2 * i + 2, float(row[column])) for i, row in enumerate(rows)]
        found = values(board, run, tag)
        assert [step for step, _ in found] == [step for step, _ in expected]
        for (_, value), (_, other) in zip(found, expected, strict=True):
            assert value == pytest.approx(other, rel=1e-5)
    for tag in ("optimizer/learning_rate", "speed/seconds_of_music_per_second"):
        assert len(values(board, "training", tag)) == 2


def test_generated_music_stands_beside_held_out_music(board):
    tags = board.Runs()
    for run in ("generated", "held-out"):
        assert {"piano_roll/1", "sound/1"} <= set(tags[run]["tensors"])
        assert (
            len(values(board, run, "music: metre/notes that begin on the beat, %")) == 2
        )
    held_out = values(board, "held-out", "music: notes and chords/pitches at once")
    # Chords of three for three quarters of the time under a tune of one.
    assert held_out[0][1] == held_out[1][1] == pytest.approx(3.25)
    overlaps = values(board, "generated", "music/mean overlap with held-out")
    assert len(overlaps) == 2
    assert all(0 < overlap <= 1 for _, overlap in overlaps)
    (event, _) = board.Tensors("generated", "statistics")
    table = tf.make_ndarray(event.tensor_proto).item().decode()
    assert "notes that begin on the beat, %" in table
    assert "ends on" not in table  # pieces are cut at the same length


def test_music_on_the_way_lies_in_the_workdir(workdir):
    for step in (2, 4):
        for number in (1, 2, 3):
            path = workdir / "samples" / f"step_{step:08d}" / f"piece_{number}"
            assert read_file(path.with_suffix(".mid")).total_time > 0
            assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    held_out = read_file(workdir / "samples" / "held_out" / "piece_1.mid")
    assert len(held_out.notes) > 0


def test_config_and_model_are_texts(board):
    for tag, text in (
        ("config", b'"name": "chord_lstm"'),
        ("model", b"recurrent_kernel` | 64 x 256 | 16,384 |"),
    ):
        (event,) = board.Tensors("training", tag)
        assert text in event.tensor_proto.string_val[0]


def test_projector_has_a_readable_label_for_each_token(workdir):
    folder = workdir / "tensorboard" / "training"
    vectors = (folder / "vectors.tsv").read_text().splitlines()
    header, *labels = (folder / "tokens.tsv").read_text().splitlines()
    assert len(labels) == len(vectors)
    assert header == "token\tnumber of notes\tlowest note"
    assert labels[0] == "<pad>\t0\tnone"
    assert any(label.startswith("C2 G2 C3 ") for label in labels)
    assert all(label.split("\t")[2] == "C" for label in labels if label[:2] == "C2")
    assert (
        'metadata_path: "tokens.tsv"' in (folder / "projector_config.pbtxt").read_text()
    )


@pytest.mark.slow
def test_run_that_stops_early_leaves_its_last_music_and_its_profile(
    tiny_data, tmp_path
):
    config = tiny_config(
        num_epochs=12, early_stopping_epochs=1, sample_every_epochs=50, profile_steps=99
    )
    config.optimizer.learning_rate = 0.3  # so high that the loss soon rises
    train_and_evaluate(config, tiny_data, str(tmp_path))
    with open(tmp_path / "metrics.csv") as file:
        num_steps = 5 * len(list(csv.DictReader(file)))
    assert 10 < num_steps < 60
    assert (tmp_path / "samples" / f"step_{num_steps:08d}" / "piece_1.mid").exists()
    profile = tmp_path / "tensorboard" / "training" / "plugins" / "profile"
    (events,) = profile.glob("*/*.xplane.pb")
    assert b"step_num" in events.read_bytes()  # without, no step has a time
