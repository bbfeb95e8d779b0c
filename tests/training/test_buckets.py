"""A whole run in a bucket, against a server of the S3 API on this machine."""

import csv
import io
import json
import pathlib

import pytest
import tensorflow as tf

from tests.buckets import BUCKET, needs_bucket, open_bucket, run
from tests.experiments import assert_same_run, tiny_config
from tfmusic.notes.reading import read_file

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


def test_run_lives_in_a_bucket_from_its_data_to_its_music(bucket, whole_run, tmp_path):
    client, environment = bucket
    config = tmp_path / "config.py"
    config.write_text(
        "import json, ml_collections\n\n\ndef get_config():\n    return "
        f"ml_collections.ConfigDict(json.loads({tiny_config().to_json()!r}))\n"
    )
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
    for name in names(client):
        if name.startswith("run/latest/"):
            (tmp_path / "latest").mkdir(exist_ok=True)
            (tmp_path / "latest" / pathlib.Path(name).name).write_bytes(
                read(client, name)
            )
    assert_same_run(whole_run, tmp_path)
    rows = csv.DictReader(io.StringIO(read(client, "run/metrics.csv").decode()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]

    # What TensorBoard shows: the losses of all three epochs, from both programs.
    steps = []
    for name in names(client):
        if "tensorboard/validation/events" in name:
            (tmp_path / "events").write_bytes(read(client, name))
            for event in tf.compat.v1.train.summary_iterator(str(tmp_path / "events")):
                if any(value.tag == "loss" for value in event.summary.value):
                    steps.append(event.step)
    assert steps == [5, 10, 15]

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


def test_place_without_music_is_a_users_mistake(bucket):
    _, environment = bucket
    flags = [f"--workdir={BUCKET}/nothing", f"--export_dir={BUCKET}/none"]
    done = run(environment, "tfmusic.export", *flags)
    assert done.returncode == 2
    assert "train first" in done.stderr
    assert done.stderr.count("\n") == 1
