import functools
import os
import signal
import time

import pytest

from tfmusic.errors import DropError
from tfmusic.pipelines.sandbox import Sandbox


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
