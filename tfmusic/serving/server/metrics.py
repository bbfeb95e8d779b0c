"""What a server tells Prometheus of itself."""

import time

import prometheus_client
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tfmusic.serving.server.models import ServedModels
from tfmusic.serving.server.workers import Workers

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """Counts of requests, their seconds, and the queue."""

    def __init__(self, models: ServedModels, workers: Workers):
        self._models = models
        # Not the process's own registry, which could hold the metrics of one app alone.
        self._registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self._registry)
        self._requests = prometheus_client.Counter(
            "tfmusic_requests",
            "Requests that were answered.",
            ("model", "code"),
            registry=self._registry,
        )
        self._seconds = prometheus_client.Histogram(
            "tfmusic_request_seconds",
            "Seconds from a request to its answer.",
            ("model",),
            registry=self._registry,
            buckets=_SECONDS,
        )
        prometheus_client.Gauge(
            "tfmusic_queue_length",
            "Requests that wait for a thread.",
            registry=self._registry,
        ).set_function(lambda: workers.num_waiting)
        prometheus_client.Gauge(
            "tfmusic_calls",
            "Calls of graphs since the start; requests that are joined share one.",
            registry=self._registry,
        ).set_function(lambda: workers.num_calls)

    async def answer(self, request: Request) -> Response:
        """All of it, in Prometheus' text format."""
        text = prometheus_client.generate_latest(self._registry)
        return Response(text, media_type=prometheus_client.CONTENT_TYPE_LATEST)

    def counting(self, app: ASGIApp) -> ASGIApp:
        """The same app, with its answers counted."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return await app(scope, receive, send)
            start, codes = time.perf_counter(), []

            async def note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    codes.append(message["status"])
                await send(message)

            try:
                await app(scope, receive, note)
            finally:
                # Clients can ask for any name; only those of models are kept apart.
                name = scope.get("path_params", {}).get("name", "")
                name = name if name in self._models else ""
                self._requests.labels(name, codes[0] if codes else 500).inc()
                self._seconds.labels(name).observe(time.perf_counter() - start)

        return counted
