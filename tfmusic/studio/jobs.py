"""Long requests: done one after another by one thread, waited for, or forgotten."""

import collections
import dataclasses
import secrets
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from absl import logging

from tfmusic.errors import UserError, first_line

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
    """

    work: Callable[[], Any]
    id: str = dataclasses.field(default_factory=lambda: secrets.token_urlsafe(9))
    state: str = "waiting"
    answer: Any = None
    error: str = ""
    status: int = 200
    begun: float = 0.0
    seconds: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether nothing comes after this state."""
        return self.state not in ("waiting", "running")


class Jobs:
    """A queue and the thread that works it off.

    A graph of TensorFlow cannot be stopped halfway: a running job that is cancelled
    runs to its end, and what it made is thrown away.
    """

    def __init__(self):
        self._jobs: collections.OrderedDict[str, Job] = collections.OrderedDict()
        self._changed = threading.Condition()
        self._is_open = True
        self._running: Job | None = None
        # The program may end while a graph runs.
        self._thread = threading.Thread(
            target=self._work, name="studio jobs", daemon=True
        )
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether a job runs now, cancelled or not."""
        return self._running is not None

    def close(self, waits: bool = False) -> None:
        """Forgets all jobs.

        Args:
            waits: Whether to wait for the end of the one that runs.
        """
        with self._changed:
            self._is_open = False
            for job in self._jobs.values():
                if not job.is_over:
                    job.state = "cancelled"
            self._changed.notify_all()
        if waits:
            self._thread.join()

    def add(self, work: Callable[[], Any]) -> Job:
        """Puts a job at the end of the queue.

        Raises:
            BusyError: The queue is full.
        """
        with self._changed:
            open_jobs = [job for job in self._jobs.values() if not job.is_over]
            if len(open_jobs) >= MOST_WAITING:
                raise BusyError(
                    f"{len(open_jobs)} requests wait already; try again when one is "
                    "done"
                )
            while len(self._jobs) >= _MOST_KEPT:
                self._jobs.pop(next(k for k, j in self._jobs.items() if j.is_over))
            job = Job(work)
            self._jobs[job.id] = job
            self._changed.notify_all()
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
        with self._changed:
            job = self.get(name)
            if not job.is_over:
                job.state = "cancelled"
            return job

    def _work(self) -> None:
        while True:
            with self._changed:
                while (job := self._next()) is None:
                    if not self._is_open:
                        return
                    self._changed.wait()
                job.state, job.begun = "running", time.monotonic()
                self._running = job
            answer, error, status = _call(job.work)
            with self._changed:
                self._running = None
                job.seconds = time.monotonic() - job.begun
                if job.state == "cancelled":
                    continue
                job.answer, job.error, job.status = answer, error, status
                job.state = "failed" if error else "done"

    def _next(self) -> Job | None:
        waiting = (job for job in self._jobs.values() if job.state == "waiting")
        return next(waiting, None)


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
