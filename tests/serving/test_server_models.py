"""Which models a server has, and the command that starts it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

pytest.importorskip("starlette", reason="see [studio]")

from tests.serving.serving_apps import PREDICT, PRIMER, ROOT, ask, generate, serve
from tfmusic.errors import UserError
from tfmusic.notes.writing import write_midi
from tfmusic.serving.server.models import ServedModels


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_export):
    path = tmp_path_factory.mktemp("models")
    shutil.copytree(tiny_export, path / "tiny")
    return path


@pytest.fixture(scope="module")
def models(folder):
    return ServedModels([str(folder)])


@pytest.fixture
def growing(tmp_path, tiny_export):
    """A folder of models that tests add to, and what is served from it."""
    shutil.copytree(tiny_export, tmp_path / "models" / "tiny")
    return tmp_path / "models", ServedModels([str(tmp_path / "models")], warm_up=False)


def test_new_versions_and_models_come_into_service(growing):
    folder, models = growing
    (old,) = models
    models.watch(0.02)
    try:
        shutil.copytree(folder / "tiny" / "1", folder / "tiny" / ".2")
        (folder / "tiny" / ".2").rename(folder / "tiny" / "2")
        shutil.copytree(folder / "tiny", folder / "other")
        end = time.monotonic() + 30
        while {m.version for m in models} != {2} and time.monotonic() < end:
            time.sleep(0.02)
    finally:
        models.close()
    assert {(m.name, m.version) for m in models} == {("tiny", 2), ("other", 2)}
    with pytest.raises(LookupError, match=r"Specific\(tiny, 1\)"):
        models.find("tiny", 1)
    # Requests under way end on the model that they began with.
    assert old.player.call("serving_default", {"num_steps": [2], "seed": [1]})


def test_damaged_version_leaves_the_old_one_in_service(growing, caplog):
    folder, models = growing
    shutil.copytree(folder / "tiny" / "1", folder / "tiny" / "2")
    (data,) = (folder / "tiny" / "2" / "variables").glob("variables.data*")
    whole = data.read_bytes()
    data.write_bytes(whole[:100])
    with caplog.at_level("WARNING", "absl"):
        for _ in range(3):
            models.refresh()
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("tiny 2 cannot be loaded, version 1 stays: ")
    assert models.find("tiny").version == 1
    with serve(models) as (address, _):
        _, answer = ask(address, "/v1/models/tiny")
    states = [(s["version"], s["state"]) for s in answer["model_version_status"]]
    assert states == [("2", "END"), ("1", "AVAILABLE")]
    data.write_bytes(whole)
    models.refresh()
    assert models.find("tiny").version == 2
    assert not models.damaged("tiny")


def test_version_that_is_taken_away_gives_way_to_the_one_before(growing):
    folder, models = growing
    shutil.copytree(folder / "tiny" / "1", folder / "tiny" / "2")
    models.refresh()
    assert models.find("tiny").version == 2
    shutil.rmtree(folder / "tiny" / "2")
    models.refresh()
    assert models.find("tiny").version == 1
    shutil.rmtree(folder / "tiny")
    models.refresh()
    assert models.find("tiny").version == 1


def test_models_are_found_in_each_kind_of_place(folder, tmp_path, monkeypatch):
    def names(*places):
        models = ServedModels(places, warm_up=False)
        return {(model.name, model.version) for model in models}

    assert names(f"{folder}/tiny/") == {("tiny", 1)}
    assert names(f"{folder}/tiny/1") == {("tiny", 1)}
    monkeypatch.chdir(folder / "tiny")
    assert names(".") == {("tiny", 1)}
    with pytest.raises(UserError, match="expected exports as NAME/VERSION in it"):
        names(str(tmp_path))
    with pytest.raises(UserError, match="it can be chorales, folk"):
        names("choral")
    with pytest.raises(UserError, match="another model is served as tiny already"):
        names(str(folder), str(folder / "tiny"))


def test_fault_of_the_server_is_told_and_does_not_end_it(models, caplog):
    with serve(models) as (address, app):
        app.state.workers.close()
        status, answer = generate(address)
        assert (status, list(answer)) == (500, ["error"])
        assert ask(address, "/v1/models/tiny")[0] == 200
    assert PREDICT in caplog.text


@pytest.mark.slow
def test_model_that_comes_with_tfmusic_is_served_by_its_name():
    with serve(ServedModels(["folk"])) as (address, _):
        path = "/v1/models/folk:predict"
        inputs = {"tokens": [[0, 99_999]], "num_steps": 4, "seed": 0}
        body = {"signature_name": "continue", "inputs": inputs}
        status, answer = ask(address, path, body)
        assert status == 400
        assert answer["error"].startswith("indices[0] = 99999 is not in [0, ")
        inputs["tokens"] = [[0, 1]]
        assert ask(address, path, body)[0] == 200


def command(*flags, **kwargs):
    return subprocess.Popen(
        [sys.executable, "-m", "tfmusic", "serve", *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )


def test_no_connection_is_taken_before_the_models_are_loaded():
    code = """
import socket
from tfmusic.serve import _listen
with _listen("127.0.0.1", 0) as listening:
    try:
        socket.create_connection(listening.getsockname(), timeout=5)
    except ConnectionRefusedError:
        print("refused")
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "refused\n", done.stderr


def test_port_that_is_taken_is_told_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = command("--models=chorales", f"--port={port}")
        _, error = server.communicate(timeout=60)
    assert server.returncode == 2
    assert error.startswith(f"error: --host=127.0.0.1 --port={port}: Address already")
    assert error.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_serves_the_documented_client_until_a_signal(folder, tmp_path, number):
    server = command(f"--models={folder}", "--port=0")
    try:
        line = server.stdout.readline()
        assert line.startswith("serving tiny (version 1) at http://127.0.0.1:")
        address = line.partition("http://")[2].partition(";")[0]
        host, port = address.split(":")
        socket.create_connection((host, int(port))).close()  # at once
        write_midi(PRIMER, tmp_path / "primer.mid")
        client = [sys.executable, "-m", "examples.serving_client", f"--rest={address}"]
        client += [f"--model_dir={folder}/tiny", f"--output_dir={tmp_path}/music"]
        client += [f"--primer={tmp_path}/primer.mid", "--num_steps=12"]
        subprocess.run(client, cwd=ROOT, check=True, env={**os.environ})
        assert (tmp_path / "music" / "piece_1.mid").exists()
    finally:
        server.send_signal(number)
        output, error = server.communicate(timeout=60)
    assert (server.returncode, output) == (0, "stopped\n")
    assert [line.partition("] ")[2] for line in error.splitlines()] == [
        f"loading {folder}",
        "tiny: version 1 is in service",
    ]


@pytest.mark.slow
def test_command_that_others_can_ask_makes_a_token(folder):
    server = command(f"--models={folder}", "--port=0", "--host=0.0.0.0")
    try:
        token = server.stdout.readline().split()[1]
        port = server.stdout.readline().partition(";")[0].rpartition(":")[2]
        address = f"127.0.0.1:{port}"
        assert ask(address, "/v1/models/tiny")[0] == 401
        bearer = {"Authorization": f"Bearer {token}"}
        assert ask(address, "/v1/models/tiny", **bearer)[0] == 200
    finally:
        server.terminate()
        server.communicate(timeout=60)
