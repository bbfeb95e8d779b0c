"""Work that may hang, crash or eat all memory, in a process that is watched.

The work is done in a child process, one task after another. A task that takes too long
is killed from outside, whatever code it is in; one that takes too much memory is
refused it by the kernel; one that crashes takes its process along. Each costs that one
task, and the next has a new process. As long as nothing goes wrong there is one process
for all tasks, so that a task costs a fraction of a millisecond beyond the work. The
child ends with its parent, however that ends and whatever the child is doing.

Windows lacks what this takes: there the work is done in this process, without limits.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from tfmusic.errors import DropError

_OUT_OF_MEMORY = 9  # exit status of the child
_START_SECONDS = 120  # a machine may be busy


class Sandbox:
    """A function that is run in a child process, within limits."""

    def __init__(
        self, work: Callable[[Any], Any], task_seconds: float, task_megabytes: int
    ):
        """Starts nothing yet.

        Args:
            work: What to do with a task. It and the tasks are pickled by name, so they
                belong to modules; may raise DropError.
            task_seconds: How long one task may take.
            task_megabytes: How much memory one task may take.
        """
        self._work = work
        self._seconds = task_seconds
        self._megabytes = task_megabytes
        self._process: subprocess.Popen | None = None

    def __call__(self, task: Any) -> Any:
        """Does the work on one task.

        Raises:
            DropError: The work did, or `timeout`, `out_of_memory` or `crashed`.
        """
        if sys.platform == "win32":
            return self._work(task)
        was_used = self._process is not None
        try:
            return self._attempt(task)
        except _Died as death:
            if not was_used:
                raise death.reason from None
        # What tasks before it left behind may be what it died of.
        try:
            return self._attempt(task)
        except _Died as death:
            raise death.reason from None

    def close(self) -> None:
        """Ends the process."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._connection.close()
            os.close(self._lifeline)
            self._errors.close()

    def _attempt(self, task: Any) -> Any:
        if self._process is None:
            self._start()
        try:
            self._connection.send(task)
            if not self._connection.poll(self._seconds):
                self.close()
                raise DropError(
                    "timeout",
                    f"expected to be done with it in {self._seconds:g} s",
                    self._seconds,
                )
            answer = self._connection.recv()
        except (EOFError, ConnectionError):
            raise _Died(*self._bury()) from None
        if isinstance(answer, DropError):
            raise answer
        return answer

    def _start(self) -> None:
        """Starts the process; once more if the system killed it meanwhile.

        Raises:
            DropError: The system did so twice.
            RuntimeError: It ended by itself, as it would for every task.
        """
        reason = None
        for _ in range(2):
            try:
                self._launch()
                return
            except _Died as death:
                if not death.was_killed:
                    raise RuntimeError(
                        f"a worker did not start: {death.reason.detail}"
                    ) from None
                reason = death.reason
        raise reason

    def _launch(self) -> None:
        self._connection, theirs = Pipe()
        # Nothing is ever written to it: the child sees it close when this process ends.
        watched, self._lifeline = os.pipe()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 closed with the process
        passed = theirs.fileno(), watched
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), *sys.path])),
            # Threads of numpy would be more than there are cores.
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tfmusic.sandbox", *map(str, passed)],
                pass_fds=passed,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                # Ctrl-C in a terminal is for the parent alone; else the task that is
                # interrupted would count as one that crashed.
                start_new_session=True,
            )
        os.close(watched)
        try:
            self._connection.send((self._work, self._seconds, self._megabytes))
            if not self._connection.poll(_START_SECONDS):
                self._process.kill()
            self._connection.recv()
        except (EOFError, ConnectionError):
            raise _Died(*self._bury()) from None

    def _bury(self) -> tuple[DropError, bool]:
        """Clears a dead process away; gives what it died of, and if of a signal."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(self._seconds)
        status = self._process.returncode
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        last_words = next(filter(None, map(str.strip, reversed(lines))), "")
        self.close()
        was_killed = status is not None and status < 0
        # Of processes that others kill, nearly all are killed for want of memory.
        if (
            status in (_OUT_OF_MEMORY, -signal.SIGKILL)
            or "std::bad_alloc" in last_words
        ):
            reason = DropError(
                "out_of_memory",
                f"expected to do with {self._megabytes} MB",
                self._megabytes,
            )
        elif status == -signal.SIGALRM:
            reason = DropError("timeout", f"stopped after {self._seconds:g} s")
        else:
            cause = signal.Signals(-status).name if was_killed else status
            detail = f"ended with {cause}: {last_words}".rstrip(": ")
            reason = DropError("crashed", detail)
        return reason, was_killed


class _Died(Exception):
    """The child is no more; not for callers."""

    def __init__(self, reason: DropError, was_killed: bool):
        super().__init__(reason)
        self.reason = reason
        self.was_killed = was_killed


def main() -> None:
    """The child: works until the connection closes."""
    connection = Connection(int(sys.argv[1]))
    _end_with_parent(int(sys.argv[2]))
    work, seconds, megabytes = connection.recv()
    _limit_memory(megabytes)
    connection.send("ready")
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        # The parent kills before; this is for one that is held up itself.
        signal.setitimer(signal.ITIMER_REAL, 2 * seconds)
        try:
            try:
                answer = work(task)
            except DropError as error:
                answer = error
            connection.send(answer)
        except MemoryError:
            os._exit(_OUT_OF_MEMORY)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _end_with_parent(watched: int) -> None:
    """Lets the kernel end this process once its parent has: also within code in C.

    Args:
        watched: The end of a pipe whose other end the parent holds.
    """
    import fcntl  # Windows has no such module

    # When the pipe closes, SIGIO comes, which ends a process that does not want it.
    with contextlib.suppress(OSError):  # not all systems do so for pipes
        fcntl.fcntl(watched, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(watched, fcntl.F_GETFL)
        fcntl.fcntl(watched, fcntl.F_SETFL, flags | fcntl.FASYNC)


def _limit_memory(megabytes: int) -> None:
    """Lets the process take so much more memory than it has by now; Linux only."""
    if sys.platform != "linux":
        return
    import resource  # Windows has no such module

    with open("/proc/self/statm", encoding="ascii") as file:
        data_pages = int(file.read().split()[5])
    limit = data_pages * resource.getpagesize() + megabytes * 2**20
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most != resource.RLIM_INFINITY:
        limit = min(limit, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


if __name__ == "__main__":
    main()
