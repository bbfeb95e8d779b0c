"""The server's app: TensorFlow Serving's REST API, health and metrics.

GET  /v1/models/NAME[/versions/V]             whether it is in service
GET  /v1/models/NAME[/versions/V]/metadata    its signatures
POST /v1/models/NAME[/versions/V]:predict     calls one of them
GET  /healthz, /metrics

An error is `{"error": "..."}` with the status that TensorFlow Serving gives it.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tfmusic.errors import UserError, first_line
from tfmusic.serving.endpoints import reason
from tfmusic.serving.server.guard import Guard
from tfmusic.serving.server.joining import generate_together, kind_of
from tfmusic.serving.server.limits import Limits, read_inputs
from tfmusic.serving.server.metrics import Metrics
from tfmusic.serving.server.models import ServedModel, ServedModels
from tfmusic.serving.server.tensors import (
    parse_body,
    read_columns,
    signature_of,
    to_json,
)
from tfmusic.serving.server.workers import QueueFull, Task, Workers

_RETRY_SECONDS = 5
_MOST_DIGITS = 18  # of a version; TensorFlow Serving takes an int64
_MOST_SHOWN = 200  # letters of a path in an error or in the log
# What a graph raises, as TensorFlow Serving answers it; all else is a fault, 500.
_STATUS = {
    tf.errors.InvalidArgumentError: 400,
    tf.errors.FailedPreconditionError: 400,
    tf.errors.OutOfRangeError: 400,
    tf.errors.ResourceExhaustedError: 429,
}


def make_app(
    models: ServedModels,
    limits: Limits | None = None,
    token: str | None = None,
    origins: Collection[str] = (),
) -> Starlette:
    """An app to run, or to mount in another one.

    Args:
        models: What is served; whoever made it closes it.
        limits: What a request may ask for.
        token: What each request but `/healthz` must bear; None: nothing, and only
            requests to this machine by its own name are answered.
        origins: Sites, such as "https://example.org", whose pages may ask.

    Returns:
        The app; `app.state.workers` is to be closed in the end.
    """
    limits = limits or Limits()
    workers = Workers(limits.num_threads, limits.max_waiting, limits.max_joined)
    metrics = Metrics(models, workers)
    middleware = [Middleware(metrics.counting)]
    if origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(origins),
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type"],
            )
        )
    middleware.append(Middleware(Guard, token=token, origins=origins))
    service = _Service(models, limits, workers)
    routes = [
        Route("/healthz", _healthz),
        Route("/metrics", metrics.answer),
    ]
    for path in ("/v1/models/{name}", "/v1/models/{name}/versions/{version}"):
        routes += [
            Route(f"{path}:predict", service.predict, methods=["POST"]),
            Route(f"{path}:predict", _malformed),
            Route(f"{path}/metadata", service.metadata),
            Route(path, service.status),
        ]
    routes.append(Route("/v1/{rest:path}", _malformed, methods=["GET", "POST"]))
    app = Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers={HTTPException: _refuse, Exception: _fault},
    )
    app.state.workers = workers
    return app


class _Service:
    """Answers of the REST API."""

    def __init__(self, models: ServedModels, limits: Limits, workers: Workers):
        self._models, self._limits, self._workers = models, limits, workers

    async def status(self, request: Request) -> Response:
        """Which versions are in service, and which cannot be."""
        name, version = _asked(request)
        states = [
            _state(number, "END", "DATA_LOSS", why)
            for number, why in self._models.damaged(name).items()
        ]
        if name in self._models:
            states.append(_state(self._models.find(name).version, "AVAILABLE"))
        if version is not None:
            states = [s for s in states if s["version"] == str(version)]
        if not states:
            which = "any versions" if version is None else f"version {version}"
            raise HTTPException(404, f"Could not find {which} of model {name}")
        states.sort(key=lambda state: -int(state["version"]))
        return JSONResponse({"model_version_status": states})

    async def metadata(self, request: Request) -> Response:
        """The signatures."""
        model = self._find(*_asked(request))
        version = str(model.version)
        spec = {"name": model.name, "signature_name": "", "version": version}
        signatures = {"signature_def": {"signature_def": model.signatures}}
        return JSONResponse({"model_spec": spec, "metadata": signatures})

    async def predict(self, request: Request) -> Response:
        """Calls a signature, when its turn comes."""
        model = self._find(*_asked(request))
        # A client that sends slowly takes no place in the queue.
        data = await self._read(request)
        try:
            self._workers.admit()
        except QueueFull:
            text = "as many requests wait as this server takes; try again later"
            retry = {"Retry-After": str(_RETRY_SECONDS)}
            raise HTTPException(503, text, retry) from None
        job = None
        try:
            async with asyncio.timeout(self._limits.timeout_seconds):
                # Beside the threads of the queue, so that a mistake is told at once.
                task = await run_in_threadpool(_prepare, model, data, self._limits)
                job = self._workers.submit(task)
                answer = await asyncio.wrap_future(job)
        except UserError as error:
            raise HTTPException(400, str(error)) from error
        except TimeoutError:
            text = f"no answer within {self._limits.timeout_seconds:g} seconds"
            raise HTTPException(504, f"{text}; ask for less, or later") from None
        except asyncio.CancelledError:
            raise HTTPException(503, "the server stops") from None
        except tuple(_STATUS) as error:
            raise HTTPException(_STATUS[type(error)], reason(error)) from error
        finally:
            if job is None:
                self._workers.leave()
        return Response(answer, media_type="application/json")

    async def _read(self, request: Request) -> bytes:
        """The body; one that is too long is read to its end, but not kept."""
        data, size, seconds = bytearray(), 0, self._limits.read_seconds
        try:
            async with asyncio.timeout(seconds):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size <= self._limits.max_bytes:
                        data += chunk
        except TimeoutError:
            text = f"expected the whole request within {seconds:g} seconds"
            raise HTTPException(408, text, {"Connection": "close"}) from None
        except ClientDisconnect:
            raise HTTPException(400, "the request broke off") from None
        if size > self._limits.max_bytes:
            most = f"at most {self._limits.max_bytes:,} bytes"
            raise HTTPException(413, f"expected a request of {most}, got {size:,}")
        return bytes(data)

    def _find(self, name: str, version: int | None) -> ServedModel:
        try:
            return self._models.find(name, version)
        except LookupError as error:
            raise HTTPException(404, error.args[0]) from error


def _prepare(model: ServedModel, data: bytes, limits: Limits) -> Task:
    """The call that a request asks for, checked."""
    body = parse_body(data)
    card = model.player.card
    signature = signature_of(body, card["endpoints"])
    columns = read_columns(body, card["endpoints"][signature]["inputs"])
    inputs = read_inputs(columns, signature, card, limits)
    as_rows = "instances" in body

    def call(requests: Sequence[Mapping[str, np.ndarray]]) -> list[bytes]:
        """Answers this request, or several of its kind, whose inputs these are."""
        if len(requests) == 1:
            found = [model.player.call(signature, requests[0])]
        else:
            found = generate_together(model.player, requests)
        return [to_json(outputs, as_rows) for outputs in found]

    kind = kind_of(signature, inputs, card)
    if kind is None:
        return Task(call, inputs)
    return Task(call, inputs, (id(model), as_rows, *kind), int(inputs["num_outputs"]))


def _asked(request: Request) -> tuple[str, int | None]:
    """The name and the version of the model that a path is about."""
    name, version = (request.path_params.get(key) for key in ("name", "version"))
    if version is None:
        return name, None
    if not version.isdecimal():
        raise HTTPException(400, _malformed_text(request))
    if len(version) > _MOST_DIGITS:
        text = f"{_short(name)} has no version of {len(version)} digits"
        raise HTTPException(404, text)
    return name, int(version)


def _state(version: int, state: str, code: str = "OK", why: str = "") -> dict[str, Any]:
    status = {"error_code": code, "error_message": why}
    return {"version": str(version), "state": state, "status": status}


async def _healthz(request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _malformed(request: Request) -> Response:
    return JSONResponse({"error": _malformed_text(request)}, 400)


def _malformed_text(request: Request) -> str:
    return f"Malformed request: {request.method} {_short(request.url.path)}"


def _short(text: str) -> str:
    """A text of a client, cut to what a line can hold."""
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


async def _refuse(request: Request, error: HTTPException) -> Response:
    text = " ".join(error.detail.split())
    return JSONResponse({"error": text}, error.status_code, error.headers)


async def _fault(request: Request, error: Exception) -> Response:
    logging.error("%s", _short(request.url.path), exc_info=error)
    text = f"{type(error).__name__}: {first_line(error)}"
    return JSONResponse({"error": text}, 500)
