"""Threads that call the graphs, with a queue of bounded length before them.

A thread takes the oldest request and, with it, those waiting that one call can answer
too; what comes meanwhile waits for the next call of its kind. Where no queue has built
up each request is a call of its own. Calls of different kinds run side by side:
TensorFlow releases Python's lock while a graph runs.
"""

import collections
import concurrent.futures
import dataclasses
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any

# Clients that have just been answered together often ask again at once: a moment later
# they can share the next call, too.
_LINGER_SECONDS = 0.02

Work = Callable[[Sequence[Any]], Sequence[Any]]


class QueueFull(Exception):
    """As many requests wait as may."""


@dataclasses.dataclass(frozen=True)
class Task:
    """What a request needs to have done.

    Attributes:
        work: Gives an answer for each of some tasks' items.
        item: What `work` is to be called with.
        kind: Tasks of an equal kind may be done by one call; None: this one alone.
        size: How much of a call it takes.
    """

    work: Work
    item: Any = None
    kind: Hashable | None = None
    size: int = 1


class Workers:
    """A pool of threads.

    A request is admitted, then submitted; it holds its place until its work is done,
    also where nobody waits for the answer any more.

    Attributes:
        num_running: How many are worked on.
        num_calls: How many calls there have been.
    """

    def __init__(self, num_threads: int, max_waiting: int, max_size: int = 1):
        """Starts the threads.

        Args:
            num_threads: How many.
            max_waiting: How many requests may wait for them.
            max_size: Of all tasks of a call together.
        """
        self._max_admitted = num_threads + max_waiting
        self._max_size = max_size
        self._admitted = self.num_running = self.num_calls = 0
        self._queue: collections.deque[tuple[Task, concurrent.futures.Future]]
        self._queue = collections.deque()
        self._kinds: set[Hashable] = set()  # of the calls that run
        self._is_open = True
        self._changed = threading.Condition()
        for number in range(num_threads):
            # The program may end while a graph runs.
            name = f"tfmusic_{number}"
            threading.Thread(target=self._serve, name=name, daemon=True).start()

    @property
    def num_waiting(self) -> int:
        """How many requests are admitted and not worked on yet."""
        return self._admitted - self.num_running

    def admit(self) -> None:
        """Takes a place, which `leave` or the end of the submitted work gives back.

        Raises:
            QueueFull: There is none.
        """
        with self._changed:
            if self._admitted >= self._max_admitted:
                raise QueueFull
            self._admitted += 1

    def leave(self) -> None:
        """Gives back the place of a request that submits nothing."""
        with self._changed:
            self._admitted -= 1

    def submit(self, task: Task) -> concurrent.futures.Future:
        """Queues the work of an admitted request.

        Raises:
            RuntimeError: After `close`.
        """
        future: concurrent.futures.Future = concurrent.futures.Future()
        with self._changed:
            if not self._is_open:
                raise RuntimeError("the server stops")
            self._queue.append((task, future))
            self._changed.notify()
        future.add_done_callback(lambda _: self.leave())
        return future

    def close(self) -> None:
        """Drops what waits; what runs goes on to its end."""
        with self._changed:
            self._is_open = False
            dropped = [future for _, future in self._queue]
            self._queue.clear()
            self._changed.notify_all()
        for future in dropped:
            future.cancel()

    def _serve(self) -> None:
        while batch := self._take():
            self._do(batch)
            with self._changed:
                self.num_running -= len(batch)
            if len(batch) > 1:
                time.sleep(_LINGER_SECONDS)
            with self._changed:
                self._kinds.discard(batch[0][0].kind)
                self._changed.notify_all()

    def _take(self) -> list[tuple[Task, concurrent.futures.Future]]:
        """The oldest task and those that can be done with it; none at the end."""
        with self._changed:
            while not (batch := self._next()):
                if not self._is_open:
                    return []
                self._changed.wait()
            self.num_running += len(batch)
            if batch[0][0].kind is not None:
                self._kinds.add(batch[0][0].kind)
            return batch

    def _next(self) -> list[tuple[Task, concurrent.futures.Future]]:
        batch, others, size = [], [], 0
        for task, future in self._queue:
            if batch:
                kind = batch[0][0].kind
                is_next = kind is not None and task.kind == kind
                is_next &= size + task.size <= self._max_size
            else:
                is_next = task.kind not in self._kinds
            if is_next:
                # One that is cancelled takes no part, and its place is free already.
                if future.set_running_or_notify_cancel():
                    batch.append((task, future))
                    size += task.size
            else:
                others.append((task, future))
        self._queue = collections.deque(others)
        return batch

    def _do(self, batch: list[tuple[Task, concurrent.futures.Future]]) -> None:
        with self._changed:
            self.num_calls += 1
        try:
            answers = batch[0][0].work([task.item for task, _ in batch])
        # Whatever it is, the request is told; the thread goes on.
        except BaseException as error:
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return
            # A mistake of one must not be told to others.
            for one in batch:
                self._do([one])
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            future.set_result(answer)
