import functools
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tfmusic.errors import DropError
from tfmusic.sandbox import Sandbox


def misbehave(how):
    """What parsers have been seen to do; runs in the child process."""
    if how == "hang":
        # As code in C does: no signal handler of Python is ever run.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
        time.sleep(60)
    if how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "fault":
        return [][1]
    if how == "eat":
        return len(bytearray(4 * 2**30))
    if how == "eat slowly":
        return len([bytearray(2**20) for _ in range(4096)])
    if how == "refuse":
        raise DropError("too_long", "far too long", 7)
    if how == "killed for memory":
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def fail_later(calls, limit):
    """A process that dies of what earlier tasks left behind."""
    calls.append(0)
    if len(calls) > limit:
        os.abort()
    return len(calls)


@pytest.fixture
def sandbox():
    sandbox = Sandbox(misbehave, task_seconds=1, task_megabytes=256)
    yield sandbox
    sandbox.close()


def refusal(sandbox, how):
    with pytest.raises(DropError) as caught:
        sandbox(how)
    return caught.value


def test_tasks_share_a_process_that_is_not_this_one(sandbox):
    assert len({sandbox("work"), sandbox("work"), os.getpid()}) == 2
    error = refusal(sandbox, "refuse")
    assert (error.reason, error.detail, error.measured) == (
        "too_long",
        "far too long",
        7,
    )


def test_task_that_hangs_is_stopped_from_outside(sandbox):
    begin = time.monotonic()
    sandbox("work")
    assert refusal(sandbox, "hang").reason == "timeout"
    assert time.monotonic() - begin < 30
    assert sandbox("work")


@pytest.mark.parametrize(
    ("how", "reason", "detail"),
    [
        ("crash", "crashed", "SIGSEGV"),
        ("fault", "crashed", "IndexError: list index out of range"),
        ("eat", "out_of_memory", "256 MB"),
        ("eat slowly", "out_of_memory", "256 MB"),
        ("killed for memory", "out_of_memory", "256 MB"),
    ],
)
def test_task_that_takes_its_process_along_costs_itself_alone(how, reason, detail):
    sandbox = Sandbox(misbehave, task_seconds=30, task_megabytes=256)
    error = refusal(sandbox, how)
    assert error.reason == reason
    assert detail in error.detail
    assert sandbox("work") != os.getpid()
    sandbox.close()


def test_task_is_tried_again_when_others_had_worn_out_the_process():
    sandbox = Sandbox(functools.partial(fail_later, []), 30, 256)
    assert [sandbox(2) for _ in range(5)] == [1, 2, 1, 2, 1]
    sandbox.close()


def test_process_ends_with_the_one_that_it_worked_for(sandbox):
    child = sandbox("work")
    sandbox._connection.close()  # as the kernel does for a process that is killed
    deadline = time.monotonic() + 30
    while sandbox._process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sandbox._process.pid == child
    assert sandbox._process.returncode == 0


def test_ctrl_c_in_a_terminal_does_not_reach_the_process(sandbox):
    assert os.getpgid(sandbox("work")) != os.getpgid(0)


@pytest.mark.parametrize("how", ["hang", "work"])
def test_process_ends_when_its_parent_is_killed_whatever_it_is_doing(how, tmp_path):
    code = (
        "import os, sys, threading; from tests.test_sandbox import *; "
        "sandbox = Sandbox(misbehave, 600, 256); print(sandbox('work'), flush=True); "
        f"sandbox({how!r}); print('done', flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    )
    child = int(parent.stdout.readline())
    time.sleep(0.3)
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 10
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(child)


def is_alive(process):
    try:
        status = pathlib.Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


class Killed:
    """Work whose process the system kills as it starts, so many times."""

    def __init__(self, marks, times):
        self.marks, self.times = marks, times

    def __setstate__(self, state):
        self.__dict__ = state
        for number in range(self.times):
            mark = pathlib.Path(f"{self.marks}{number}")
            if not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)

    def __call__(self, task):
        return task


def test_process_that_is_killed_as_it_starts_costs_one_task_at_most(tmp_path):
    sandbox = Sandbox(Killed(tmp_path / "once", 1), 30, 256)
    assert sandbox("work") == "work"
    sandbox.close()
    sandbox = Sandbox(Killed(tmp_path / "twice", 2), 30, 256)
    assert refusal(sandbox, "work").reason == "out_of_memory"
    assert sandbox("work") == "work"
    sandbox.close()


class Broken:
    def __getstate__(self):
        return {"a": 1}

    def __setstate__(self, state):
        raise ImportError("no such package")


def test_process_that_cannot_start_at_all_is_a_fault():
    with pytest.raises(RuntimeError, match="did not start.*no such package"):
        Sandbox(Broken(), 30, 256)("work")
