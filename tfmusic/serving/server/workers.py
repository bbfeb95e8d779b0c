"""Threads that call the graphs, with a queue of bounded length before them.

Requests are not joined into batches. `generate` takes its seed and its controls once
for a whole call, so requests of different seeds cannot share one; `serving_default`
takes a seed a row, but makes its rows one after the other so that none changes another,
and gains nothing by having more of them. Each request is therefore a call of its own,
and gives the same music alone and among others. Threads run the calls side by side:
TensorFlow releases Python's lock while a graph runs.
"""

import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any


class QueueFull(Exception):
    """As many requests wait as may."""


class Workers:
    """A pool of threads.

    A request is admitted, then submitted; it holds its place until its work is done,
    also where nobody waits for the answer any more.

    Attributes:
        num_running: How many are worked on.
    """

    def __init__(self, num_threads: int, max_waiting: int):
        self._pool = concurrent.futures.ThreadPoolExecutor(num_threads, "tfmusic")
        self._max_admitted = num_threads + max_waiting
        self._admitted = self.num_running = 0
        self._lock = threading.Lock()

    @property
    def num_waiting(self) -> int:
        """How many requests are admitted and not worked on yet."""
        return self._admitted - self.num_running

    def admit(self) -> None:
        """Takes a place, which `leave` or the end of the submitted work gives back.

        Raises:
            QueueFull: There is none.
        """
        with self._lock:
            if self._admitted >= self._max_admitted:
                raise QueueFull
            self._admitted += 1

    def leave(self) -> None:
        """Gives back the place of a request that submits nothing."""
        with self._lock:
            self._admitted -= 1

    def submit(self, work: Callable[..., Any], *args) -> concurrent.futures.Future:
        """Queues the work of an admitted request."""
        future = self._pool.submit(self._run, work, *args)
        future.add_done_callback(lambda _: self.leave())
        return future

    def close(self) -> None:
        """Drops what waits; what runs goes on to its end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, work: Callable[..., Any], *args) -> Any:
        with self._lock:
            self.num_running += 1
        try:
            return work(*args)
        finally:
            with self._lock:
                self.num_running -= 1
