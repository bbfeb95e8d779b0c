"""A whole run in a bucket, against a server of the S3 API on this machine."""

import csv
import io
import json
import pathlib
import re
import signal
import time

import pytest
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

from tests.buckets import BUCKET, needs_bucket, open_bucket, run, start
from tests.experiments import assert_same_run, tiny_config, write_config
from tfmusic.notes.reading import read_file
from tfmusic.training.setup import train_and_evaluate

pytestmark = [pytest.mark.slow, needs_bucket]


@pytest.fixture(scope="module")
def bucket(tiny_data):
    """A bucket that holds the tiny dataset, and the variables that lead to it."""
    with open_bucket() as (client, environment):
        for path in pathlib.Path(tiny_data).iterdir():
            client.upload_file(str(path), "music", f"data/{path.name}")
        yield client, environment


def names(client):
    listed = client.list_objects_v2(Bucket="music")
    return [item["Key"] for item in listed["Contents"]]


def read(client, name):
    return client.get_object(Bucket="music", Key=name)["Body"].read()


def download(client, name, folder):
    """Copies a directory of the bucket into a folder; gives where it lies there."""
    for path in names(client):
        if path.startswith(f"{name}/"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(read(client, path))
    return folder / name


def test_run_lives_in_a_bucket_from_its_data_to_its_music(bucket, whole_run, tmp_path):
    client, environment = bucket
    config = write_config(tiny_config(sample_every_epochs=1), tmp_path / "config.py")
    where = [f"--data_dir={BUCKET}/data", f"--workdir={BUCKET}/run"]

    def call(module, *flags):
        done = run(environment, module, *flags)
        assert done.returncode == 0, done.stderr
        assert "pure virtual" not in done.stderr
        return done

    # Stopped after an epoch, it goes on from the bucket to the weights of the run on
    # this machine that was never stopped.
    train = ["tfmusic.train", f"--config={config}", *where]
    call(*train, "--config.train.num_epochs=1")
    assert "going on from step 5" in call(*train).stderr
    workdir = download(client, "run", tmp_path)
    assert_same_run(whole_run, workdir)
    rows = csv.DictReader(io.StringIO((workdir / "metrics.csv").read_text()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]

    # What TensorBoard shows: all three epochs, from both programs.
    board = EventMultiplexer().AddRunsFromDirectory(str(workdir / "tensorboard"))
    board.Reload()
    for name, tag in (
        ("validation", "metrics/loss"),
        ("generated", "piano_roll/1"),
        ("generated", "sound/1"),
        ("generated", "statistics"),
    ):
        assert [event.step for event in board.Tensors(name, tag)] == [5, 10, 15], tag
    for folder in ("held_out", "step_00000005", "step_00000010", "step_00000015"):
        piece = workdir / "samples" / folder / "piece_1.mid"
        assert read_file(piece).total_time > 0
        assert piece.with_suffix(".png").read_bytes().startswith(b"\x89PNG")

    scores = f"{BUCKET}/scores.json"
    call("tfmusic.evaluate", *where, "--split=test", f"--json={scores}")
    assert json.loads(read(client, "scores.json"))["num_pieces"] == 1
    export = ["tfmusic.export", where[1], f"--export_dir={BUCKET}/model"]
    call(*export)
    assert "already holds these weights" in call(*export).stderr
    card = json.loads(read(client, "model/1/assets.extra/tfmusic.json"))
    assert card["scores"]["test"]["num_pieces"] == 1
    assert not [name for name in names(client) if name.startswith("model/.")]

    call(
        "tfmusic.generate",
        f"--model_dir={BUCKET}/model",
        f"--output_dir={tmp_path}/music",
        "--num_steps=16",
        "--num_outputs=1",
        "--nopictures",
    )
    assert read_file(tmp_path / "music" / "piece_1.mid").notes


def test_run_that_is_stopped_within_an_epoch_goes_on_from_the_bucket(
    bucket, tiny_data, tmp_path
):
    client, environment = bucket
    settings = tiny_config(steps_per_epoch=100, num_epochs=2, save_every_steps=20)
    train_and_evaluate(settings, tiny_data, str(tmp_path / "whole"))
    config = write_config(settings, tmp_path / "config.py")
    flags = [f"--config={config}", f"--data_dir={BUCKET}/data"]
    train = "tfmusic.train", *flags, f"--workdir={BUCKET}/stopped"
    for number, step in ((signal.SIGKILL, 40), (signal.SIGTERM, 120)):
        process = start(environment, *train)
        while f"stopped/latest/ckpt-{step}.index" not in names(client):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        process.send_signal(number)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert "pure virtual" not in errors
    began, saved = map(
        int, re.findall(r"(?:going on from|saved at) step (\d+)", errors)
    )
    assert 20 <= began < 100
    assert 120 <= saved < 200
    done = run(environment, *train)
    assert done.returncode == 0, done.stderr
    assert f"going on from step {saved} " in done.stderr
    assert_same_run(tmp_path / "whole", download(client, "stopped", tmp_path))


def test_place_without_music_is_a_users_mistake(bucket):
    _, environment = bucket
    flags = [f"--workdir={BUCKET}/nothing", f"--export_dir={BUCKET}/none"]
    done = run(environment, "tfmusic.export", *flags)
    assert done.returncode == 2
    assert "train first" in done.stderr
    assert done.stderr.count("\n") == 1
