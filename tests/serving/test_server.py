"""The model server on a loopback address, as clients of TensorFlow Serving see it."""

import concurrent.futures
import json
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

pytest.importorskip("starlette", reason="see [studio]")
from starlette.applications import Starlette
from starlette.routing import Mount

from examples.serving_client import ask_rest
from tests.serving.exports import export_untrained
from tests.serving.serving_apps import PREDICT, PRIMER, ask, generate, run_app, serve
from tfmusic.notes.writing import to_midi_bytes
from tfmusic.serving.player import Player
from tfmusic.serving.requests import read_music, request_music
from tfmusic.serving.server.app import make_app
from tfmusic.serving.server.limits import Limits
from tfmusic.serving.server.models import ServedModels
from tfmusic.serving.server.workers import Task, Workers


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_export):
    path = tmp_path_factory.mktemp("models")
    shutil.copytree(tiny_export, path / "tiny")
    return path


@pytest.fixture(scope="module")
def models(folder):
    return ServedModels([str(folder)])


@pytest.fixture(scope="module")
def address(models):
    with serve(models) as (address, _):
        yield address


@pytest.fixture(scope="module")
def player(tiny_export):
    return Player(tiny_export)


def test_example_client_gets_what_the_export_plays_with_a_primer(address, player):
    for primer in (None, PRIMER):
        request = request_music(
            player.card,
            player.representation,
            num_outputs=2,
            num_steps=12,
            seed=3,
            primer=primer,
            controls={"temperature": 0.8},
        )
        outputs = ask_rest(address, "tiny", request, timeout=60)
        served = read_music(player.representation, request, outputs)
        pieces = player.generate(2, 12, 3, primer, controls={"temperature": 0.8})
        assert list(map(to_midi_bytes, served)) == list(map(to_midi_bytes, pieces))


def test_rows_are_answered_with_rows_and_columns_with_columns(address, player):
    rows = [{"num_steps": 8, "seed": 1}, {"num_steps": 5, "seed": 2}]
    _, answer = ask(address, PREDICT, {"instances": rows})
    columns = {"num_steps": [8, 5], "seed": [1, 2]}
    _, same = ask(address, "/v1/models/tiny/versions/1:predict", {"inputs": columns})
    expected = player.call("serving_default", columns)
    for name, array in expected.items():
        np.testing.assert_array_equal(same["outputs"][name], array)
        for row, values in zip(answer["predictions"], array, strict=True):
            np.testing.assert_array_equal(row[name], values)


def test_one_output_has_no_name(address):
    piece = np.zeros([1, 6, 88, 1], bool).tolist()
    body = {"signature_name": "score", "inputs": {"roll": piece, "num_steps": [6]}}
    status, answer = ask(address, PREDICT, body)
    assert status == 200
    assert np.shape(answer["outputs"]) == (1, 6)


def test_controls_that_are_left_out_have_the_defaults_of_the_card(address, player):
    defaults = {name: spec["default"] for name, spec in player.controls.items()}
    status, answer = generate(address)
    assert status == 200
    assert answer == generate(address, **defaults)[1]
    assert answer != generate(address, temperature=5)[1]
    assert answer != generate(address, seed=4)[1]


def test_each_row_may_have_controls_of_its_own(address, player):
    rows = [
        {"num_steps": 8, "seed": 1, "temperature": 0.5},
        {"num_steps": 8, "seed": 1, "temperature": 5},
        {"num_steps": 8, "seed": 1, "temperature": 0.5},
    ]
    status, answer = ask(address, PREDICT, {"instances": rows})
    assert status == 200
    first, bold, third = answer["predictions"]
    assert first == third != bold
    given = {"num_outputs": 1, "num_steps": 8, "seed": 1, "temperature": 0.5}
    alone = player.call("generate", given)
    np.testing.assert_array_equal(first["roll"], alone["roll"][0])
    for wrong in (11, float("nan")):
        body = {"instances": [rows[0], {**rows[1], "temperature": wrong}]}
        status, answer = ask(address, PREDICT, body)
        assert status == 400
        assert f"temperature: expected 0 to 10, got {wrong:g}" in answer["error"]


def test_status_and_metadata_are_those_of_tensorflow_serving(address, folder):
    pytest.importorskip("tensorflow_serving", reason="see [serving]")
    from google.protobuf import json_format
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

    for path in ("/v1/models/tiny", "/v1/models/tiny/versions/1"):
        _, answer = ask(address, path)
        message = get_model_status_pb2.GetModelStatusResponse()
        (state,) = json_format.ParseDict(answer, message).model_version_status
        assert (state.version, state.state, state.status.error_code) == (1, 30, 0)
    _, answer = ask(address, "/v1/models/tiny/metadata")
    assert answer["model_spec"] == {
        "name": "tiny",
        "signature_name": "",
        "version": "1",
    }
    signatures = answer["metadata"]["signature_def"]
    message = get_model_metadata_pb2.SignatureDefMap()
    message = json_format.ParseDict(signatures, message)
    data = (folder / "tiny" / "1" / "saved_model.pb").read_bytes()
    graph = saved_model_pb2.SavedModel.FromString(data).meta_graphs[0]
    assert dict(message.signature_def) == dict(graph.signature_def)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            {"num_steps": 2**31 - 1},
            "num_steps: expected 1 to 10,000, got 2,147,483,647",
        ),
        ({"num_steps": 2**31}, "num_steps: expected an int32, got 2147483648"),
        ({"num_steps": 0}, "num_steps: expected 1 to 10,000, got 0"),
        ({"num_outputs": 65}, "num_outputs: expected 1 to 64, got 65"),
        ({"num_outputs": 64, "num_steps": 10_000}, "ask for fewer or shorter pieces"),
        ({"seed": 1.5}, "seed: expected whole numbers, got 1.5"),
        ({"seed": True}, "seed: expected whole numbers, got True"),
        ({"seed": [1]}, "seed: expected one number for the whole request, got shape"),
        ({"seed": {"b64": "AA=="}}, "seed: expected whole numbers, got {'b64'"),
        ({"temperature": float("nan")}, "temperature: expected 0 to 10, got nan"),
        ({"temperature": float("inf")}, "temperature: expected 0 to 10, got inf"),
        ({"temperature": "0.9"}, "temperature: expected numbers, got '0.9'"),
        ({"temperatur": 1}, "'temperatur' (did you mean 'temperature'?); it can be"),
    ],
)
def test_inputs_that_cannot_be_are_refused_in_one_line(address, inputs, message):
    status, answer = generate(address, **inputs)
    assert status == 400
    assert answer.keys() == {"error"}
    assert message in answer["error"]
    assert "\n" not in answer["error"]


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (PREDICT, b"[1", 400, "JSON Parse error"),
        (PREDICT, b"[" * 100_000, 400, "JSON Parse error"),
        (PREDICT, [], 400, "expected a JSON object"),
        (PREDICT, {}, 400, "one of 'instances' (rows) and 'inputs' (columns)"),
        (PREDICT, {"instances": []}, 400, "at least one row"),
        (PREDICT, {"instances": [3]}, 400, "an object with num_steps, seed"),
        (
            PREDICT,
            {"instances": [{"num_steps": 3, "seed": 1}, {"seed": 2}]},
            400,
            "the same inputs in each row",
        ),
        (PREDICT, {"inputs": {"seed": [1]}}, 400, "Missing named input: num_steps"),
        (
            PREDICT,
            {"inputs": {"seed": [1, 2], "num_steps": [3]}},
            400,
            "inputs with as many rows",
        ),
        (
            PREDICT,
            {"inputs": {"seed": [1, 2], "num_steps": [3, 10_001]}},
            400,
            "num_steps: expected 1 to 10,000, got 10,001",
        ),
        (PREDICT, {"signature_name": "sing", "inputs": {}}, 400, "unknown 'sing'"),
        (
            PREDICT,
            {"signature_name": "score", "inputs": {"roll": [[1]], "num_steps": [1]}},
            400,
            "roll: expected true or false, got int64 values",
        ),
        (
            PREDICT,
            {"signature_name": "score", "inputs": {"roll": [[True]], "num_steps": [1]}},
            400,
            "roll: expected shape [n, n, 88, 1], got shape [1, 1]",
        ),
        ("/v1/models/timy:predict", {}, 404, "Latest(timy); here: tiny (version 1)"),
        ("/v1/models/tiny/versions/2:predict", {}, 404, "Specific(tiny, 2)"),
        (
            "/v1/models/tiny:classify",
            {},
            400,
            "Malformed request: POST /v1/models/tiny",
        ),
        (PREDICT, None, 400, "Malformed request: GET"),
        ("/v1/models/timy", None, 404, "Could not find any versions of model timy"),
        ("/v1/models/../../etc/passwd", None, 404, "Not Found"),
        ("/v1/models/%2e%2e/tiny", None, 404, "Not Found"),
        ("/elsewhere", None, 404, "Not Found"),
        (f"/v1/models/tiny/versions/{'1' * 5000}", None, 404, "no version of 5000"),
        (f"/v1/models/tiny/versions/{'1' * 5000}:predict", {}, 404, "of 5000 digits"),
        ("/v1/models/tiny/versions/x", None, 400, "Malformed request"),
    ],
)
def test_request_that_is_wrong_gets_the_status_of_tensorflow_serving(
    address, path, body, status, message
):
    found, answer = ask(address, path, body)
    assert (found, answer.keys()) == (status, {"error"})
    assert message in answer["error"]
    assert ask(address, "/v1/models/tiny")[0] == 200


def test_request_that_is_too_long_is_refused(models):
    with serve(models, Limits(max_bytes=10_000)) as (address, _):
        assert generate(address)[0] == 200
        body = {"inputs": {"seed": [1] * 10_000}}
        status, answer = ask(address, PREDICT, body)
    assert status == 413
    assert "expected a request of at most 10,000 bytes, got 30," in answer["error"]


def test_who_sends_slowly_takes_no_place_in_the_queue(models):
    limits = Limits(num_threads=1, max_waiting=0, read_seconds=1.5)
    with serve(models, limits) as (address, app):
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=30) as slow:
            head = f"POST {PREDICT} HTTP/1.1\r\nHost: {address}\r\n"
            slow.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
            assert generate(address)[0] == 200
            answer = slow.makefile("rb").read()  # to the end: the connection is closed
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"expected the whole request within 1.5 seconds" in answer


def test_only_who_bears_the_token_is_answered(models):
    with serve(models, token="secret", origins=["http://page"]) as (address, _):
        path = "/v1/models/tiny"
        assert ask(address, path)[0] == 401
        assert ask(address, path, Authorization="Bearer secre")[0] == 401
        assert ask(address, path, Authorization="Bearer secret")[0] == 200
        bearer = {"Authorization": "Bearer secret"}
        assert ask(address, path, Origin="http://page", **bearer)[0] == 200
        assert ask(address, path, Origin="http://other", **bearer)[0] == 403
        with urllib.request.urlopen(f"http://{address}/healthz") as answer:
            assert answer.read() == b"ok\n"


def test_pages_of_other_sites_are_refused(address):
    path = "/v1/models/tiny"
    assert ask(address, path, Origin=f"http://{address}")[0] == 200
    assert ask(address, path, Origin="null")[0] == 403
    assert ask(address, PREDICT, {}, Origin="http://example.org")[0] == 403
    assert ask(address, path, Host="[")[0] == 400
    assert ask(address, path, Origin="http://[")[0] == 403
    # A foreign name that was made to point to this machine.
    foreign = {"Host": "example.org:8501", "Origin": "http://example.org:8501"}
    assert ask(address, path, **foreign)[0] == 403


def test_requests_beyond_the_queue_are_sent_away_and_slow_ones_end(models):
    limits = Limits(num_threads=1, max_waiting=1, timeout_seconds=0.3)
    release = threading.Event()
    with serve(models, limits) as (address, app):
        app.state.workers.admit()
        app.state.workers.submit(Task(lambda _: [release.wait()]))
        try:
            begin = time.monotonic()
            status, answer = generate(address)
            assert status == 504
            assert time.monotonic() - begin < 30
            assert answer["error"].startswith("no answer within 0.3 seconds")
            # The place of the request that was given up is free again; two take both.
            app.state.workers.admit()
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"http://{address}{PREDICT}", b"{}")
            with refused.value:
                assert refused.value.code == 503
                assert int(refused.value.headers["Retry-After"]) > 0
            app.state.workers.leave()
        finally:
            release.set()


def test_requests_beside_each_other_get_what_they_get_alone(address):
    alone = [generate(address, seed=seed, num_outputs=1)[1] for seed in range(6)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        ask_both = [
            pool.submit(generate, address, seed=seed, num_outputs=outputs)
            for outputs in (1, 3)
            for seed in range(6)
        ]
        together = [future.result()[1] for future in ask_both]
    assert together[:6] == alone
    assert len({json.dumps(answer) for answer in alone}) == 6


@pytest.mark.slow
def test_waiting_requests_are_joined_and_get_what_they_get_alone(tmp_path):
    export_untrained("tokens", tmp_path / "tokens" / "1")
    path, given = "/v1/models/tokens:predict", {"num_steps": 24, "min_steps": 0}
    requests = [
        {**given, "seed": 5, "num_outputs": 1},
        {**given, "seed": 6, "num_outputs": 3},
        {**given, "seed": -7, "num_outputs": 1},
        {**given, "seed": 5, "num_outputs": 1, "temperature": 0.5},
        {**given, "seed": 6, "num_outputs": 3, "num_steps": 9},
        {**given, "seed": 8, "num_outputs": 2},
    ]
    release = threading.Event()
    served = ServedModels([str(tmp_path)], warm_up=False)
    with serve(served, Limits(num_threads=1)) as (address, app):

        def generate(inputs):
            body = {"signature_name": "generate", "inputs": inputs}
            return ask(address, path, body)

        alone = [generate(inputs) for inputs in requests]
        rows = {"num_steps": 9, "seed": [1, 1], "place": [0, 64]}
        body = {"signature_name": "generate_rows", "inputs": rows}
        status, answer = ask(address, path, body)
        assert (status, answer["error"]) == (400, "place: expected 0 to 63, got 64")
        workers = app.state.workers
        workers.admit()
        workers.submit(Task(lambda _: [release.wait()]))
        num_calls = workers.num_calls
        with concurrent.futures.ThreadPoolExecutor(len(requests)) as pool:
            answers = [pool.submit(generate, inputs) for inputs in requests]
            while len(workers._queue) < len(requests):
                time.sleep(0.01)
            release.set()
            together = [answer.result() for answer in answers]
        # Four share a call; another temperature and another length have their own.
        assert workers.num_calls - num_calls - 1 in (2, 3)
    assert [status for status, _ in alone] == [200] * len(requests)
    assert together == alone
    assert len({json.dumps(answer) for answer in together}) == len(requests)


def test_a_request_waits_for_a_call_of_its_kind_and_for_no_other():
    release, begun = threading.Event(), threading.Event()

    def slow(items):
        begun.set()
        release.wait()
        return items

    workers = Workers(num_threads=2, max_waiting=9, max_size=9)
    slow_one = workers.submit(Task(slow, "slow", "kind"))
    begun.wait()
    same = [workers.submit(Task(slow, i, "kind")) for i in range(3)]
    other = workers.submit(Task(lambda items: items, "other", "another kind"))
    assert other.result(timeout=30) == "other"
    assert not any(future.running() for future in same)
    num_calls = workers.num_calls
    release.set()
    assert [future.result(timeout=30) for future in (slow_one, *same)] == [
        "slow",
        0,
        1,
        2,
    ]
    assert workers.num_calls == num_calls + 1
    workers.close()


def test_a_joined_call_has_a_largest_size_and_fails_for_each_alone():
    calls, release = [], threading.Event()

    def work(items):
        calls.append(items)
        if "wrong" in items:
            raise ValueError("wrong")
        return [item.upper() for item in items]

    workers = Workers(num_threads=1, max_waiting=9, max_size=3)
    tasks = [Task(work, item, "kind", size) for item, size in zip("abcd", (1, 2, 1, 1))]  # noqa: B905
    tasks += [Task(work, "wrong", "other"), Task(work, "e", "other")]
    tasks += [Task(work, "f"), Task(work, "g")]
    workers.submit(Task(lambda _: [release.wait()]))
    futures = [workers.submit(task) for task in tasks]
    futures[2].cancel()
    release.set()
    answers = [f.exception() or f.result() for f in futures if not f.cancelled()]
    workers.close()
    assert [str(answer) for answer in answers] == [
        "A",
        "B",
        "D",
        "wrong",
        "E",
        "F",
        "G",
    ]
    joined, *others = calls
    assert joined == ["a", "b"]
    assert others == [["d"], ["wrong", "e"], ["wrong"], ["e"], ["f"], ["g"]]


def test_metrics_count_requests_by_model_and_status(models):
    with serve(models) as (address, _):
        generate(address)
        generate(address, num_steps=0)
        ask(address, "/v1/models/nobody")
        with urllib.request.urlopen(f"http://{address}/metrics") as answer:
            lines = answer.read().decode().splitlines()
    assert 'tfmusic_requests_total{code="200",model="tiny"} 1.0' in lines
    assert 'tfmusic_requests_total{code="400",model="tiny"} 1.0' in lines
    assert 'tfmusic_requests_total{code="404",model=""} 1.0' in lines
    assert 'tfmusic_request_seconds_count{model="tiny"} 2.0' in lines
    assert "tfmusic_queue_length 0.0" in lines


def test_app_answers_where_another_app_mounts_it(models):
    inner = make_app(models, token="secret")
    app = Starlette(routes=[Mount("/models", inner)])
    with run_app(app) as address:
        path = "/models/v1/models/tiny"
        assert ask(address, path)[0] == 401
        assert ask(address, path, Authorization="Bearer secret")[0] == 200
        with urllib.request.urlopen(f"http://{address}/models/healthz") as answer:
            assert answer.read() == b"ok\n"
    inner.state.workers.close()
