"""Long requests: done one after another, waited for, or forgotten."""

import collections
import concurrent.futures
import dataclasses
import secrets
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from absl import logging

from tfmusic.errors import UserError, first_line
from tfmusic.serving.server.workers import QueueFull, Task, Workers

MOST_WAITING = 8
_MOST_KEPT = 64


class BusyError(Exception):
    """Too many requests wait already."""


@dataclasses.dataclass
class Job:
    """A request.

    Attributes:
        work: What is to be done; gives the answer.
        id: Its name.
        state: waiting, running, done, failed or cancelled.
        answer: What `work` gave.
        error: What went wrong, in one line.
        status: The HTTP status of the error.
        begun: When it began to run, in seconds of `time.monotonic`.
        seconds: How long it ran.
        future: Done when nothing of it runs any more.
    """

    work: Callable[[], Any]
    id: str = dataclasses.field(default_factory=lambda: secrets.token_urlsafe(9))
    state: str = "waiting"
    answer: Any = None
    error: str = ""
    status: int = 200
    begun: float = 0.0
    seconds: float = 0.0
    future: concurrent.futures.Future | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing comes after this state."""
        return self.state not in ("waiting", "running")


class Jobs:
    """The requests of a page, before one thread.

    A graph of TensorFlow cannot be stopped halfway: a running job that is cancelled
    runs to its end, holds its place until then, and what it made is thrown away.
    """

    def __init__(self):
        self._jobs: collections.OrderedDict[str, Job] = collections.OrderedDict()
        self._lock = threading.RLock()
        self._workers = Workers(num_threads=1, max_waiting=MOST_WAITING - 1)

    @property
    def is_running(self) -> bool:
        """Whether a job runs now, cancelled or not."""
        return self._workers.num_running > 0

    def close(self, waits: bool = False) -> None:
        """Forgets all jobs.

        Args:
            waits: Whether to wait for the end of the one that runs.
        """
        self._workers.close()
        with self._lock:
            jobs = list(self._jobs.values())
            for job in jobs:
                self.cancel(job.id)
        if waits:
            # Nobody says of a future that is cancelled in the queue that it is over.
            running = [job.future for job in jobs if not job.future.cancelled()]
            concurrent.futures.wait(running)

    def add(self, work: Callable[[], Any]) -> Job:
        """Puts a job at the end of the queue.

        Raises:
            BusyError: The queue is full.
        """
        try:
            self._workers.admit()
        except QueueFull:
            raise BusyError(
                f"{MOST_WAITING} requests wait already; try again when one is done"
            ) from None
        job = Job(work)
        with self._lock:
            while len(self._jobs) >= _MOST_KEPT:
                self._jobs.pop(next(k for k, j in self._jobs.items() if j.is_over))
            self._jobs[job.id] = job
            job.future = self._workers.submit(Task(self._do, job))
        return job

    def get(self, name: str) -> Job:
        """A job.

        Raises:
            KeyError: There is no such job.
        """
        if name not in self._jobs:
            raise KeyError("job: there is none of that name; it was long ago")
        return self._jobs[name]

    def cancel(self, name: str) -> Job:
        """Forgets a job.

        Raises:
            KeyError: There is no such job.
        """
        with self._lock:
            job = self.get(name)
            if not job.is_over:
                job.state = "cancelled"
                job.future.cancel()
            return job

    def _do(self, jobs: list[Job]) -> list[None]:
        """Does the one job that a call of the workers has."""
        (job,) = jobs
        with self._lock:
            if job.state == "waiting":
                job.state = "running"
            job.begun = time.monotonic()
        answer, error, status = _call(job.work)
        with self._lock:
            job.seconds = time.monotonic() - job.begun
            if job.state == "running":
                job.answer, job.error, job.status = answer, error, status
                job.state = "failed" if error else "done"
        return [None]


def _call(work: Callable[[], Any]) -> tuple[Any, str, int]:
    """The answer, the error and its HTTP status."""
    try:
        return work(), "", 200
    except UserError as error:
        return None, " ".join(str(error).split()), 400
    # One request that fails must not end the thread that does all others.
    except Exception as error:
        logging.error("%s", traceback.format_exc())
        return None, f"the model failed: {first_line(error)}", 500
