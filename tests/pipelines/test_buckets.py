"""Datasets in a bucket, against a server of the S3 API on this machine."""

import importlib.util
import os
import socket
import subprocess
import sys
import time

import pytest

from tests.pipelines.conftest import make_piece
from tfmusic.notes.writing import to_midi_bytes

NEEDED = ("moto", "flask", "boto3", "tensorflow_io")
missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(missing), reason=f"not installed: {', '.join(missing)}; see [dev]"
    ),
]
BUCKET = "s3://music"


@pytest.fixture(scope="module")
def environment():
    """Variables that lead to an empty bucket."""
    import boto3

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        client = boto3.client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        )
        client.create_bucket(Bucket="music")
        for i in range(12):
            client.put_object(
                Bucket="music",
                Key=f"midi/book{i % 2}/piece{i}.mid",
                Body=to_midi_bytes(make_piece(i)),
            )
        client.put_object(Bucket="music", Key="midi/junk.mid", Body=b"no music")
        yield {**os.environ, **keys, "S3_ENDPOINT": address, "AWS_REGION": "us-east-1"}
    finally:
        server.terminate()
        server.wait()


def run(environment, module, *arguments):
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def test_dataset_is_built_inspected_and_read_in_a_bucket(environment, config, tmp_path):
    build = [
        "pipelines.build_tfrecords",
        f"--config={config}",
        f"--source={BUCKET}/midi",
    ]
    output = f"--output_dir={BUCKET}/data"
    done = run(environment, *build, output, "--num_workers=1")
    assert done.returncode == 0, done.stderr
    assert "pure virtual" not in done.stderr

    shown = run(
        environment,
        "pipelines.inspect_tfrecords",
        f"--data_dir={BUCKET}/data",
        "--split=train",
        "--piece=0",
        f"--output={tmp_path / 'piece.mid'}",
    )
    assert shown.returncode == 0, shown.stderr
    assert (tmp_path / "piece.mid").stat().st_size > 100

    read = run(environment, "tests.pipelines.list_dataset", f"{BUCKET}/data")
    assert read.returncode == 0, read.stderr
    names = sorted(read.stdout.split())
    assert names == sorted(f"book{i % 2}/piece{i}.mid" for i in range(12))

    again = run(environment, *build, output)
    assert again.returncode == 0
    assert "is complete already" in again.stderr
    replaced = run(environment, *build, output, "--overwrite", "--num_workers=2")
    assert replaced.returncode == 0, replaced.stderr
    read = run(environment, "tests.pipelines.list_dataset", f"{BUCKET}/data")
    assert sorted(read.stdout.split()) == names


def test_mistakes_and_faults_keep_their_status(environment, config):
    build = ["pipelines.build_tfrecords", f"--config={config}"]
    nothing = run(
        environment,
        *build,
        f"--source={BUCKET}/nothing",
        f"--output_dir={BUCKET}/other",
    )
    assert nothing.returncode == 2
    assert nothing.stderr.count("\n") == 1
    assert "there is no file or folder 's3://music/nothing'" in nothing.stderr
