"""Model servers on a loopback address, and asking them."""

import contextlib
import json
import pathlib
import socket
import threading
import urllib.error
import urllib.request

import pytest

pytest.importorskip("starlette", reason="see [studio]")
import uvicorn

from tests.contracts import make_sequence
from tfmusic.serving.server.app import make_app

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRIMER = make_sequence([(60, 80, 0.0, 0.5), (64, 80, 0.5, 1.0), (67, 80, 1.0, 2.0)])
GENERATE = {"num_outputs": 2, "num_steps": 12, "seed": 3}
PREDICT = "/v1/models/tiny:predict"


@contextlib.contextmanager
def serve(models, *args, **kwargs):
    """Serves models; gives the address and the app."""
    app = make_app(models, *args, **kwargs)
    with run_app(app) as address:
        yield address, app
    app.state.workers.close()


@contextlib.contextmanager
def run_app(app):
    """Runs an app in a thread; gives its address."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, log_level="critical"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def ask(address, path, body=None, **headers):
    """Status and answer of a request; the body is JSON, or bytes as they are."""
    data = (
        body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    )
    request = urllib.request.Request(f"http://{address}{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def generate(address, **inputs):
    body = {"signature_name": "generate", "inputs": {**GENERATE, **inputs}}
    return ask(address, PREDICT, body)
