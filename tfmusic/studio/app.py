"""The page's server.

What it answers to is in docs/studio.md, under "From a program".
"""

import asyncio
import collections
import contextlib
import json
import os
import pathlib
import secrets
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tfmusic.errors import DropError, UserError
from tfmusic.notes import NoteSequence
from tfmusic.notes.grid import TempoMap
from tfmusic.notes.reading import SUFFIXES
from tfmusic.notes.writing import to_midi_bytes, write_musicxml, write_wav
from tfmusic.sandbox import Sandbox
from tfmusic.studio import making
from tfmusic.studio.jobs import BusyError, Job, Jobs
from tfmusic.studio.likelihood import likelihoods
from tfmusic.studio.pieces import (
    edited,
    has_more_bars,
    read_upload,
    summary,
    title_of,
    to_page,
)
from tfmusic.studio.safety import Guard
from tfmusic.studio.shelf import Shelf

STATIC = pathlib.Path(__file__).with_name("static")
MOST_BYTES = 10 * 2**20
_MOST_PIECES = 400
_MOST_SECONDS = 2  # that a request waits for a job; a stopping server waits for it
# Files may hold what takes minutes to read.
_READ_SECONDS, _READ_MEGABYTES = 20.0, 1024
# Of pieces that become sound or scores, or are scored: half a minute of work at most.
_MOST_MINUTES, _MOST_QUARTERS, _MOST_NOTES = 20, 10_000, 10_000
_MOST_BARS = 5_000
_MEDIA = {
    "mid": "audio/midi",
    "musicxml": "application/vnd.recordare.musicxml+xml",
    "wav": "audio/wav",
}


class Studio:
    """What the page works with: models, pieces, requests; in memory alone."""

    def __init__(self, shelf: Shelf | None, pieces: Sequence[NoteSequence] = ()):
        """Begins with some pieces.

        Args:
            shelf: The models; None: the page only plays.
            pieces: What the page shows at first.
        """
        self._shelf = shelf
        self._jobs = Jobs()
        self._pieces: collections.OrderedDict[str, tuple[NoteSequence, dict]]
        self._pieces = collections.OrderedDict()
        self._lock = threading.Lock()  # the thread of the jobs keeps pieces, too
        self._sandbox = Sandbox(read_upload, _READ_SECONDS, _READ_MEGABYTES)
        self._reading = threading.Lock()
        self._first = [self._keep(piece) for piece in pieces]

    def app(self, host: str = "127.0.0.1", token: str | None = None) -> Starlette:
        """The app; see `Guard` for the arguments."""
        routes = [
            Route("/", self._page),
            Mount("/static", StaticFiles(directory=STATIC)),
            Route("/api/models", self._models),
            Route("/api/pieces", self._first_pieces, methods=["GET"]),
            Route("/api/pieces", self._upload, methods=["POST"]),
            Route("/api/pieces/{name}.{ending}", self._download),
            Route("/api/pieces/{name}", self._piece, methods=["GET"]),
            Route("/api/pieces/{name}", self._edit, methods=["POST"]),
            Route("/api/jobs", self._order, methods=["POST"]),
            Route("/api/jobs/{name}", self._job, methods=["GET"]),
            Route("/api/jobs/{name}", self._cancel, methods=["DELETE"]),
            Route("/api/likelihood", self._likelihood, methods=["POST"]),
        ]
        handlers = {
            DropError: lambda request, error: _error(422, error),
            UserError: lambda request, error: _error(400, error),
            KeyError: lambda request, error: _error(404, error.args[0]),
            BusyError: lambda request, error: _error(429, error),
            HTTPException: lambda request, error: _error(
                error.status_code, error.detail
            ),
        }

        @contextlib.asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            yield
            self.close()

        return Starlette(
            routes=routes,
            middleware=[Middleware(Guard, host=host, token=token)],
            exception_handlers=handlers,
            lifespan=lifespan,
        )

    @property
    def is_busy(self) -> bool:
        """Whether a model is at work."""
        return self._jobs.is_running

    def close(self, waits: bool = False) -> None:
        """Forgets all requests, and ends the process that reads files.

        Args:
            waits: Whether to wait for a model that is at work.
        """
        self._jobs.close(waits)
        with self._reading:
            self._sandbox.close()

    def warm_up(self) -> None:
        """Loads the first model meanwhile."""
        if self._shelf and self._shelf.cards:
            first = next(iter(self._shelf.cards))
            self._jobs.add(lambda: self._shelf.player(first) and {})

    def _keep(
        self, sequence: NoteSequence, has_beat: bool | None = None, **more: Any
    ) -> dict[str, Any]:
        """Keeps a piece; gives what the page knows of it."""
        page = to_page(sequence, has_beat) | more
        page["id"] = secrets.token_urlsafe(9)
        page["title"] = more.get("title") or title_of(sequence)
        page["summary"] = summary(page)
        with self._lock:
            self._pieces[page["id"]] = sequence, page
            while len(self._pieces) > _MOST_PIECES:
                self._pieces.popitem(last=False)
        return page

    def _find(self, name: Any) -> tuple[NoteSequence, dict[str, Any]]:
        with self._lock:
            if not isinstance(name, str) or name not in self._pieces:
                raise KeyError("piece: it is not there any more; make or open it again")
            self._pieces.move_to_end(name)
            return self._pieces[name]

    async def _page(self, request: Request) -> Response:
        return FileResponse(
            STATIC / "index.html", headers={"cache-control": "no-cache"}
        )

    async def _models(self, request: Request) -> Response:
        return JSONResponse(self._shelf.describe() if self._shelf else [])

    async def _first_pieces(self, request: Request) -> Response:
        return JSONResponse(self._first)

    async def _upload(self, request: Request) -> Response:
        name = os.path.basename(request.query_params.get("name", ""))[:120] or "file"
        data = await _body(request)
        sequence = await run_in_threadpool(self._read, data, name)
        page = await run_in_threadpool(self._keep, sequence)
        return JSONResponse(page, status_code=201)

    def _read(self, data: bytes, name: str) -> NoteSequence:
        with self._reading:  # the sandbox does one file after another
            return self._sandbox((data, name))

    async def _piece(self, request: Request) -> Response:
        return JSONResponse(self._find(request.path_params["name"])[1])

    async def _edit(self, request: Request) -> Response:
        base, page = self._find(request.path_params["name"])
        body = await _json(request)
        notes = body.get("notes") if isinstance(body, dict) else None

        def work() -> dict[str, Any]:
            piece = edited(base, notes)
            return self._keep(piece, bool(page["bars"]), title=page["title"])

        return JSONResponse(await run_in_threadpool(work), 201)

    async def _download(self, request: Request) -> Response:
        name, ending = (request.path_params[key] for key in ("name", "ending"))
        sequence, page = self._find(name)
        if ending not in _MEDIA:
            raise KeyError(f"file: expected .{', .'.join(_MEDIA)}, got .{ending}")
        data = await run_in_threadpool(_to_bytes, sequence, page["title"], ending)
        file = quote(f"{_stem(page['title'])}.{ending}")
        disposition = f"attachment; filename*=utf-8''{file}"
        return Response(
            data,
            media_type=_MEDIA[ending],
            headers={"content-disposition": disposition, "cache-control": "no-store"},
        )

    async def _order(self, request: Request) -> Response:
        shelf = self._models_or_none()
        order = making.read_order(await _json(request), shelf)
        piece, page = self._find(order.piece) if order.piece else (None, {})

        def work() -> dict[str, Any]:
            results = making.make(order, shelf, piece)
            return {
                "pieces": [
                    self._keep(
                        result.sequence,
                        bool(page["bars"]) if page else result.has_beat,
                        title=_title(order, number, page.get("title", "")),
                        remark=result.remark,
                        # What makes the same music again.
                        order=order.body() if order.kind == "generate" else None,
                        # Where the primer ends, and new music begins.
                        new_from=page["seconds"] if order.kind == "continue" else None,
                    )
                    for number, result in enumerate(results, 1)
                ]
            }

        return JSONResponse(_status(self._jobs.add(work)), status_code=202)

    async def _likelihood(self, request: Request) -> Response:
        body = await _json(request)
        shelf = self._models_or_none()
        body = body if isinstance(body, dict) else {}
        shelf.check(body.get("model"))
        piece = self._find(body.get("piece"))[0]
        _check_length("likelihood", piece, "choose a shorter piece")

        def work() -> dict[str, Any]:
            return {"values": likelihoods(shelf, body["model"], piece)}

        return JSONResponse(_status(self._jobs.add(work)), status_code=202)

    def _models_or_none(self) -> Shelf:
        if self._shelf is None:
            raise KeyError("model: this page only plays; start tfmusic studio")
        return self._shelf

    async def _job(self, request: Request) -> Response:
        job = self._jobs.get(request.path_params["name"])
        seconds = _seconds(request.query_params.get("wait", "0"))
        if seconds and not job.is_over:
            # This leaves the job alone when the time is up, or nobody waits any more.
            await asyncio.wait([asyncio.wrap_future(job.future)], timeout=seconds)
        return JSONResponse(_status(job))

    async def _cancel(self, request: Request) -> Response:
        return JSONResponse(_status(self._jobs.cancel(request.path_params["name"])))


def _seconds(text: str) -> float:
    """How long a request waits for the end of a job.

    Raises:
        UserError: It is no number, or out of bounds.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MOST_SECONDS:
        raise UserError(f"wait: expected 0 to {_MOST_SECONDS} seconds, got {text:.40}")
    return seconds


def _title(order: making.Order, number: int, piece: str) -> str:
    """What a new piece is called."""
    stem = _stem(piece)
    if order.kind == "continue":
        return f"{stem}, continued by {order.model}, no. {number}"
    if order.kind == "infill":
        first, last = order.settings.get("bars", ("", ""))
        what = f"bars {first} to {last}" if first != "" else "voices"
        return f"{stem}, {what} by {order.model}, no. {number}"
    if order.kind == "search":
        return f"{order.model}, likeliest, no. {number}"
    return f"{order.model}, seed {order.settings.get('seed', 0)}, no. {number}"


def _stem(title: str) -> str:
    """A title without the ending of the file that it was."""
    path = pathlib.PurePath(title)
    return path.stem if path.suffix.lower() in SUFFIXES else title


def _status(job: Job) -> dict[str, Any]:
    seconds = job.seconds
    if job.state == "running":
        seconds = time.monotonic() - job.begun
    answer = {"id": job.id, "state": job.state, "seconds": round(seconds, 2)}
    if job.error:
        answer |= {"error": job.error, "status": job.status}
    return answer | (job.answer or {})


def _error(status: int, error: Any) -> JSONResponse:
    return JSONResponse({"error": " ".join(str(error).split())}, status_code=status)


async def _body(request: Request) -> bytes:
    """The body of a request, if it is not too large."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise HTTPException(
                413, f"expected at most {MOST_BYTES // 2**20} MB, got more"
            )
        parts.append(part)
    return b"".join(parts)


async def _json(request: Request) -> Any:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise UserError("request: expected content-type application/json")
    data = await _body(request)
    try:
        return await run_in_threadpool(_parse, data)
    except (ValueError, RecursionError):
        raise UserError("request: expected JSON") from None


def _parse(data: bytes) -> Any:
    """What JSON says.

    Raises:
        ValueError: It is none, or holds what no answer could: NaN, an infinite number,
            half of a surrogate pair.
    """
    body = json.loads(data)
    json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    return body


def _check_length(what: str, sequence: NoteSequence, remedy: str) -> None:
    """Refuses what would keep the machine busy for minutes.

    Raises:
        UserError: The piece is too long.
    """
    if what != "wav" and has_more_bars(sequence, _MOST_BARS):
        raise UserError(f"{what}: expected at most {_MOST_BARS:,} bars; {remedy}")
    quarters = float(TempoMap.of(sequence).to_quarters(sequence.total_time))
    bounds = [(sequence.total_time / 60, _MOST_MINUTES, "minutes")]
    if what != "wav":
        bounds.append((quarters, _MOST_QUARTERS, "quarter notes"))
        bounds.append((len(sequence.notes), _MOST_NOTES, "notes"))
    for found, most, unit in bounds:
        if found > most:
            raise UserError(
                f"{what}: expected at most {most:,} {unit}, got {found:,.4g}; {remedy}"
            )


def _to_bytes(sequence: NoteSequence, title: str, ending: str) -> bytes:
    """A file of a piece, by the package's own writers."""
    if ending == "mid":
        return to_midi_bytes(sequence)
    _check_length(ending, sequence, "the MIDI file holds all")
    with tempfile.TemporaryDirectory(prefix="tfmusic_") as folder:
        path = pathlib.Path(folder, f"piece.{ending}")
        if ending == "wav":
            write_wav(sequence, path)
        else:
            named = NoteSequence()
            named.CopyFrom(sequence)
            named.filename = title.replace("/", "-")
            write_musicxml(named, path)
        return path.read_bytes()
