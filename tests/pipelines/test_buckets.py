"""Datasets in a bucket, against a server of the S3 API on this machine."""

import pytest

from tests.buckets import BUCKET, needs_bucket, open_bucket, run
from tests.pipelines.conftest import make_piece
from tfmusic.notes.writing import to_midi_bytes

pytestmark = [pytest.mark.slow, needs_bucket]


@pytest.fixture(scope="module")
def environment():
    """Variables that lead to a bucket with some music."""
    with open_bucket() as (client, variables):
        for i in range(12):
            client.put_object(
                Bucket="music",
                Key=f"midi/book{i % 2}/piece{i}.mid",
                Body=to_midi_bytes(make_piece(i)),
            )
        client.put_object(Bucket="music", Key="midi/junk.mid", Body=b"no music")
        yield variables


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
