"""Requests and answers of a model server, as docs/engineer.md writes them down."""

import json
import os
import pathlib
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
import tensorflow as tf

from tests.contracts import make_sequence
from tests.serving.exports import export_untrained
from tfmusic.notes.writing import to_midi_bytes, write_midi
from tfmusic.serving.player import Player

pytest.importorskip("tensorflow_serving", reason="see [serving]")
import grpc  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.serving.model_server import (  # noqa: E402
    ServedModel,
    serve_grpc,
    serve_rest,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRIMER = make_sequence([(60, 80, 0.0, 0.5), (64, 80, 0.5, 1.0), (67, 80, 1.0, 2.0)])


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "hands"
    export_untrained("two_hands", path / "1")
    return path


@pytest.fixture(scope="module")
def served(model_dir):
    return ServedModel("hands", model_dir / "1")


def post(address, body):
    url = f"http://{address}/v1/models/hands:predict"
    with urllib.request.urlopen(url, json.dumps(body).encode()) as answer:
        return json.load(answer)


def test_rows_are_answered_with_rows(served, model_dir):
    rows = [{"num_steps": 8, "seed": 1}, {"num_steps": 5, "seed": 2}]
    body = {"signature_name": "pieces", "instances": rows}
    with serve_rest(served) as address:
        predictions = post(address, body)["predictions"]
    assert [prediction["num_steps"] for prediction in predictions] == [8, 5]
    roll = np.array(predictions[0]["roll"])
    assert roll.shape == (8, 2, 88, 2)
    alone = Player(str(model_dir)).call(
        "generate", {"num_outputs": 1, "num_steps": 8, "seed": 1}
    )
    np.testing.assert_array_equal(roll, alone["roll"][0])


def test_three_numbers_are_a_request_by_grpc(served, model_dir):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "hands"
    request.model_spec.signature_name = "generate"
    numbers = {
        "num_outputs": np.int32(2),
        "num_steps": np.int32(6),
        "seed": np.int64(4),
    }
    for name, value in numbers.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    with serve_grpc(served) as address, grpc.insecure_channel(address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        answer = tf.make_ndarray(stub.Predict(request).outputs["roll"])
    expected = Player(str(model_dir)).call("generate", numbers)
    np.testing.assert_array_equal(answer, expected["roll"])


def test_columns_are_answered_with_columns(served):
    piece = np.zeros([1, 6, 2, 88, 2], bool)
    piece[..., 40, :] = True
    body = {"roll": piece.tolist(), "num_steps": [6]}
    with serve_rest(served) as address:
        answer = post(address, {"signature_name": "score", "inputs": body})
    # One output alone has no name in REST.
    assert np.shape(answer["outputs"]) == (1, 6)


def client(*flags):
    return subprocess.run(
        [sys.executable, "-m", "examples.serving_client", *flags],
        cwd=ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("protocol", "serve"), [("rest", serve_rest), ("grpc", serve_grpc)]
)
def test_client_writes_what_the_export_plays(
    protocol, serve, served, model_dir, tmp_path
):
    write_midi(PRIMER, tmp_path / "primer.mid")
    with serve(served) as address:
        done = client(
            f"--model_dir={model_dir}",
            f"--{protocol}={address}",
            f"--output_dir={tmp_path}/music",
            f"--primer={tmp_path}/primer.mid",
            "--num_outputs=2",
            "--num_steps=12",
            "--seed=3",
            "--temperature=0.8",
        )
    assert done.returncode == 0, done.stderr
    pieces = Player(str(model_dir)).generate(
        2, 12, 3, primer=PRIMER, controls={"temperature": 0.8}
    )
    for number, piece in enumerate(pieces, start=1):
        written = (tmp_path / "music" / f"piece_{number}.mid").read_bytes()
        assert written == to_midi_bytes(piece)


@pytest.mark.slow
def test_clients_mistakes_are_answered_in_one_line(served, model_dir, tmp_path):
    flags = [f"--model_dir={model_dir}", f"--output_dir={tmp_path}/music"]
    with serve_rest(served) as rest, serve_grpc(served) as grpc:
        other = model_dir.rename(model_dir.parent / "others")
        try:
            wrong = [f"--model_dir={other}", flags[1]]
            cases = [
                ([*flags, "--rest=localhost:1"], "found no model card"),
                (wrong, "expected one of --rest"),
                ([*wrong, "--rest=localhost:1"], "expected a model server, but"),
                ([*wrong, f"--rest={rest}"], "no servable at /v1/models/others"),
                ([*wrong, f"--grpc={grpc}"], "NOT_FOUND"),
                ([*wrong, f"--rest={rest}", "--heat=1"], "unknown 'heat'"),
            ]
            for arguments, message in cases:
                done = client(*arguments)
                assert done.returncode == 2, done.stderr
                assert message in done.stderr
                assert done.stderr.count("\n") == 1
        finally:
            other.rename(model_dir)
    assert not (tmp_path / "music").exists()
