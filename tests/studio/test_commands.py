"""tfmusic studio and tfmusic play as a user starts them."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from tests.studio.test_app import four_parts
from tfmusic.errors import UserError
from tfmusic.notes.writing import write_midi
from tfmusic.studio import server
from tfmusic.studio.shelf import Shelf

ROOT = pathlib.Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def started(*arguments, code="from tfmusic.cli import main; main()"):
    """Runs a command in the background; gives it and the line that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def test_file_is_played_without_tensorflow_until_ctrl_c(tmp_path):
    write_midi(four_parts(1), tmp_path / "mine.mid")
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from tfmusic.cli import main; main()"
    )
    command = ["play", str(tmp_path / "mine.mid"), "--noopen", "--port=0"]
    with started(*command, code=code) as (process, line):
        found = re.fullmatch(r"tfmusic play: (http://127\.0\.0\.1:\d+/)  .*\n", line)
        assert found, line + process.stderr.read()
        assert "mine.mid" in get(f"{found[1]}api/pieces")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert (out, err) == ("", "stopped by Ctrl-C\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["play"], "expected 1 to 32 files"),
        (["play", "nothing.mid"], "nothing.mid: expected a readable"),
        (["studio", "--models=nothing/here"], "nothing/here: there is no such"),
        (["studio", "--port=99999", "--noopen"], "cannot be bound"),
    ],
)
@pytest.mark.slow
def test_mistake_is_one_line(arguments, words):
    with started(*arguments) as (process, _):
        _, err = process.communicate(timeout=60)
        assert process.returncode == 2
    assert words in err
    assert err.count("\n") == 1


def test_next_port_is_taken_where_one_is_in_use(monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        monkeypatch.setattr(server, "DEFAULT_PORT", taken)
        with server._bind("127.0.0.1", None) as listener:
            assert listener.getsockname()[1] != taken
        with (
            pytest.raises(UserError, match="leave --port out"),
            server._bind("127.0.0.1", taken),
        ):
            pass


def test_host_that_is_none_is_told():
    with (
        pytest.raises(UserError, match="name or an address of this machine"),
        server._bind("nowhere.invalid", 0),
    ):
        pass


@pytest.mark.slow
def test_address_for_others_holds_a_token():
    with started("studio", "--host=0.0.0.0", "--noopen", "--port=0") as (_, line):
        found = re.search(r":(\d+)/(\?token=[\w-]{20,})", line)
        assert found, line
        address = f"http://127.0.0.1:{found[1]}/"
        with pytest.raises(urllib.request.HTTPError, match="403"):
            get(address)
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(address + found[2], timeout=10) as page:
            assert b"tfmusic studio" in page.read()


def test_folder_that_is_no_export_is_refused(tmp_path):
    with pytest.raises(UserError, match="expected a directory that tfmusic.export"):
        Shelf([str(tmp_path)])


@pytest.mark.slow
def test_ctrl_c_while_a_model_is_at_work_is_one_line():
    with started("studio", "--noopen", "--port=0") as (process, line):
        address = re.search(r"http://\S+/", line)[0]
        order = {"model": "folk", "bars": 200, "num_outputs": 8}
        request = urllib.request.Request(
            f"{address}api/jobs",
            json.dumps(order).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            job = json.load(answer)
        while json.loads(get(f"{address}api/jobs/{job['id']}"))["state"] == "waiting":
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "stopped by Ctrl-C\n"
