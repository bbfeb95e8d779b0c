"""Hostile requests to `tfmusic serve`: wrong paths, bodies, headers and numbers."""

import functools
import http.client
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

from tests.attack.runner import (
    Case,
    Choose,
    Outcome,
    Report,
    UserError,
    ignore,
    run_cases,
)
from tests.attack.victims import victims

_MODEL = "/v1/models/tokens"
_PREDICT = f"{_MODEL}:predict"
_GOOD = {
    "signature_name": "generate",
    "inputs": {"num_outputs": 1, "num_steps": 4, "seed": 1},
}
_SECONDS = 60
_LONG_BODY = 40 * 2**20

_PATHS = (
    "/",
    "/v1",
    "/v1/",
    "/v1/models",
    "/v1/models/",
    "/v1/models/none",
    "/v1/models/none:predict",
    f"{_MODEL}/versions/2",
    f"{_MODEL}/versions/-1",
    f"{_MODEL}/versions/x",
    f"{_MODEL}/versions/99999999999999999999",
    f"{_MODEL}:classify",
    f"{_MODEL}:regress",
    f"{_MODEL}:",
    f"{_MODEL}/metadata/x",
    "/v1/models/../../etc/passwd",
    "/v1/models/%2e%2e/%2e%2e/etc/passwd",
    "/v1/models/..%2f..%2fetc:predict",
    "/v1/models/%00:predict",
    "/v1/models/" + "x" * 5000,
    "/v1/models/" + "x/" * 1000,
    "//v1/models/tokens",
    "/metrics/x",
    "/api/pieces",
)
_BODIES = {
    "nothing": b"",
    "no JSON": b"{",
    "binary": bytes(range(256)),
    "a number": b"1",
    "null": b"null",
    "a list": b"[]",
    "an empty object": b"{}",
    "deep": b"[" * 100_000,
    "deep inputs": b'{"inputs": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "a long number": b'{"inputs": {"num_steps": ' + b"9" * 100_000 + b"}}",
    "a bad escape": b'{"inputs": "\\ud800"}',
    "twice the same name": b'{"inputs": {"seed": 1, "seed": "x"}}',
    "NaN": b'{"signature_name": "generate", "inputs": {"temperature": NaN}}',
    "both forms": b'{"inputs": {}, "instances": []}',
    "no instances": b'{"instances": []}',
    "instances of numbers": b'{"instances": [1, 2]}',
    "uneven instances": b'{"instances": [{"seed": 1}, {"num_steps": 1}]}',
    "inputs of text": b'{"inputs": "x"}',
    "a signature of none": b'{"signature_name": "none", "inputs": {}}',
    "a signature that is a list": b'{"signature_name": [], "inputs": {}}',
    "a signature within": b'{"signature_name": "__saved_model_init_op", "inputs": {}}',
    "too long": b" " * _LONG_BODY,
    "an unknown input": b'{"signature_name": "generate", "inputs": {"x": 1}}',
    "UTF-16": '{"inputs": {}}'.encode("utf-16"),
}
_HEADERS = (
    {"Host": "example.org"},
    {"Host": ""},
    {"Host": "[::1"},
    {"Host": "x" * 10_000},
    {"Origin": "https://example.org"},
    {"Origin": "null"},
    {"Content-Encoding": "gzip"},
    {"Content-Type": "text/xml"},
    {"Content-Length": "-1"},
    {"Content-Length": "x"},
    {"Transfer-Encoding": "chunked"},
    {"Transfer-Encoding": "x"},
    {"Expect": "100-continue"},
    {"X-Long": "x" * 200_000},
)
_NUMBERS = (-1, 2**31 - 1, 2**31, 2**63, 10**30, 1.5, "x", None, [], [1, 2], {}, True)
_FLOATS = (1e39, -1e39, 1e308, "NaN", "nan", None, [0.5, 0.5], {}, -1)
# Numbers may be any that the type holds; one row may be written as a list.
_NUMBER_INPUTS = ("num_outputs", "num_steps", "seed", "temperature", "top_p", "tag")


@functools.cache
def _server() -> tuple[subprocess.Popen, int]:
    """The server, started once, and its port."""
    command = [sys.executable, "-m", "tfmusic", "serve", "--port=0"]
    process = subprocess.Popen(
        [*command, f"--models={victims().tokens}", "--timeout_seconds=30"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    line = process.stdout.readline()
    found = re.search(r":(\d+)", line)
    if not found:
        raise RuntimeError(f"the server did not start: {line}")
    return process, int(found[1])


def _send(
    method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", _server()[1], timeout=_SECONDS)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        length = {} if body is None else {"Content-Length": str(len(body))}
        for name, value in {**length, **headers}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _attempt(method, path, body=None, headers=None) -> Callable[[], None]:
    def attempt() -> None:
        try:
            status, text = _send(method, path, body, headers or {})
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException) as error:
            # The server closed the connection on what is no HTTP.
            status, text = 400, str(error).encode()
        health, _ = _send("GET", "/healthz", None, {})
        if health != 200:
            raise RuntimeError(f"the server is not well after status {status}")
        if status >= 500:
            raise RuntimeError(f"status {status}: {text[:200]!r}")
        if status >= 300:
            raise UserError(f"status {status}: {text[:200]!r}")

    return attempt


def _predictions() -> Iterator[tuple[str, dict, bool]]:
    """Requests with one number changed: name, body, whether it must be refused."""
    for name in _NUMBER_INPUTS:
        whole = name in ("num_outputs", "num_steps", "seed")
        for value in _NUMBERS if whole else _FLOATS:
            inputs = {**_GOOD["inputs"], name: value}
            may_be = name == "seed" and type(value) is int and abs(value) < 2**63
            may_be |= value is None or value == [0.5, 0.5]
            yield f"{name}={value!r}", {**_GOOD, "inputs": inputs}, not may_be
    for size in ({"num_outputs": 10**6}, {"num_steps": 10**6}):
        yield f"{size}", {**_GOOD, "inputs": {**_GOOD["inputs"], **size}}, True


def cases() -> list[Case]:
    """About 170 of them."""
    found = [Case("as it should be", _attempt("POST", _PREDICT, _encode(_GOOD)))]
    for method, path in itertools.product(("GET", "POST"), _PATHS):
        body = _encode(_GOOD) if method == "POST" else None
        found.append(
            Case(f"{method} {path[:60]}", _attempt(method, path, body), must_fail=True)
        )
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X" * 300):
        body = _encode(_GOOD)
        found.append(
            Case(f"{method[:9]} predict", _attempt(method, _PREDICT, body), True)
        )
    for name, body in _BODIES.items():
        found.append(Case(f"body: {name}", _attempt("POST", _PREDICT, body)))
    for headers in _HEADERS:
        what = " ".join(f"{k}: {v[:30]}" for k, v in headers.items())
        found.append(
            Case(what, _attempt("POST", _PREDICT, _encode(_GOOD), dict(headers)))
        )
    for name, body, must_fail in _predictions():
        found.append(Case(name, _attempt("POST", _PREDICT, _encode(body)), must_fail))
    return found


def _encode(body: dict) -> bytes:
    return json.dumps(body).encode()


def run(seed: int, choose: Choose, report: Report = ignore) -> list[Outcome]:
    """Tries them."""
    del seed
    process, _ = _server()
    try:
        return run_cases(cases(), choose, seconds=120, alone=False, report=report)
    finally:
        process.kill()
