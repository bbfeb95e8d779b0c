"""Runs cases in child processes, and says how each of them ended.

A child is forked from a process that has imported TensorFlow but not used it, so that
hundreds of cases take minutes; each may end it by an abort without harm to the others.
"""

import collections
import dataclasses
import io
import itertools
import json
import math
import os
import random
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence

from tfmusic.errors import UserError

# How a case may end. The first three are right, but for what has to be refused.
DONE, REFUSED, WRONG_TYPE = "done", "refused in a line", "TypeError"
ACCEPTED, TRACEBACK, ABORT, HANG = "accepted", "traceback", "abort", "hang"
FAILURES = (ACCEPTED, TRACEBACK, ABORT, HANG)

_MEMORY_BYTES = 12 * 2**30


@dataclasses.dataclass(frozen=True)
class Case:
    """One attempt.

    Attributes:
        name: What is tried, in a line.
        attempt: Tries it.
        must_fail: Whether it is wrong to accept it.
    """

    name: str
    attempt: Callable[[], object]
    must_fail: bool = False


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a case ended, in a word and in a line.

    Attributes:
        case: Its name.
        ending: The word.
        detail: The line.
        seconds: How long it took.
        megabytes: The most memory that its process, or one that this waited for, has
            had until then.
    """

    case: str
    ending: str
    detail: str = ""
    seconds: float = 0.0
    megabytes: int = 0


Report = Callable[[Outcome], object]


@dataclasses.dataclass(frozen=True)
class Choose:
    """Which of many cases are tried.

    Attributes:
        only: A part of their names.
        every: One of so many.
        seed: Which of these, and in which order where time is short.
        until: When no other case is begun, by `time.monotonic`.
    """

    only: str = ""
    every: int = 1
    seed: int = 0
    until: float = math.inf

    def __call__(self, cases: Sequence[Case]) -> list[Case]:
        """Those of some cases."""
        wanted = [case for case in cases if self.only in case.name]
        wanted = wanted[self.seed % self.every :: self.every]
        if self.until < math.inf:
            random.Random(self.seed).shuffle(wanted)
        return wanted

    def has_time(self) -> bool:
        """Whether another case may be begun."""
        return time.monotonic() < self.until

    def part(self, number: int) -> "Choose":
        """The same with one of so many parts of the time that is left."""
        now = time.monotonic()
        return dataclasses.replace(self, until=now + (self.until - now) / number)


def ignore(outcome: Outcome) -> None:
    """Reports to nobody."""


def call(function: Callable[[], object]) -> Callable[[], object]:
    """An attempt that calls a Python function: UserError and TypeError are answers."""
    return function


def command(*arguments: str) -> Callable[[], None]:
    """An attempt that is a command line: `command("train", "--workdir=x")`."""

    def attempt() -> None:
        from tfmusic import cli

        sys.argv = ["tfmusic", *arguments]
        cli.main()

    return attempt


def process(*arguments: str) -> None:
    """Runs a command line in a process of its own, for those that start workers.

    Raises:
        UserError: It was refused in a line.
        RuntimeError: It ended otherwise.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tfmusic", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    if done.returncode == 2 and len(lines) == 1 and "Traceback" not in done.stderr:
        raise UserError(lines[0])
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}: {done.stderr[-300:]}")


def run_cases(
    cases: Sequence[Case],
    choose: Choose,
    seconds: float = 60.0,
    prepare: Callable[[], object] | None = None,
    alone: bool = True,
    report: Report = ignore,
) -> list[Outcome]:
    """Tries the cases that are chosen, as long as there is time.

    Args:
        cases: What may be tried.
        choose: What is tried.
        seconds: How long one may take.
        prepare: Called in each child before its first case, within no limit of time.
        alone: Whether each case has a child of its own; otherwise a new one is only
            made after an abort or a hang.
        report: Told of each outcome.
    """
    outcomes, todo = [], choose(cases)
    while todo and choose.has_time():
        batch = todo[:1] if alone else todo
        found = _run_child(batch, choose, seconds, prepare, report)
        outcomes += found
        todo = todo[len(found) :]
    return outcomes


def _run_child(batch, choose, seconds, prepare, report) -> list[Outcome]:
    """Tries cases in one child until it dies or time is up."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _be_child(batch, choose, prepare, writing)
    os.close(writing)
    found, buffer, patience = [], b"", 300.0
    ending = ""
    while len(found) < len(batch):
        ready, _, _ = select.select([reading], [], [], patience)
        if not ready:
            ending = HANG
            os.killpg(child, signal.SIGKILL)  # and what it started
            break
        data = os.read(reading, 65536)
        if not data:
            ending = ABORT
            break
        buffer += data
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            patience = seconds
            if line != b"ready":
                found.append(Outcome(**json.loads(line)))
                report(found[-1])
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if ending and (status or choose.has_time()):
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        detail = f"signal {number}" if number else f"exit {os.WEXITSTATUS(status)}"
        detail = f"over {seconds:g} s" if ending == HANG else detail
        found.append(Outcome(batch[len(found)].name, ending, detail))
        report(found[-1])
    return found


def _be_child(batch, choose, prepare, writing) -> None:
    """Tries cases, writes a line of JSON for each, and exits."""
    stderr = os.dup(2)  # the cases have another
    try:
        os.setsid()
        limit = (_MEMORY_BYTES, _MEMORY_BYTES)
        resource.setrlimit(resource.RLIMIT_AS, limit)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryFile() as output:
            os.dup2(errors.fileno(), 2)
            os.dup2(output.fileno(), 1)
            if prepare:
                prepare()
            os.write(writing, b"ready\n")
            for case in itertools.takewhile(lambda _: choose.has_time(), batch):
                errors.seek(0)
                errors.truncate()
                outcome = _try(case, errors)
                line = json.dumps(dataclasses.asdict(outcome))
                os.write(writing, line.encode() + b"\n")
    except BaseException:
        os.write(stderr, traceback.format_exc().encode())
        os._exit(3)
    os._exit(0)


def _try(case: Case, errors: io.TextIOBase) -> Outcome:
    """How a case ends, if it does not end the process."""
    begin = time.monotonic()

    def outcome(ending: str, detail: str = "") -> Outcome:
        if case.must_fail and ending == DONE:
            ending = ACCEPTED
        detail = " ".join(detail.split())[:400]
        seconds = round(time.monotonic() - begin, 2)
        return Outcome(case.name, ending, detail, seconds, _peak())

    try:
        case.attempt()
    except SystemExit as end:
        sys.stderr.flush()
        errors.seek(0)
        text = errors.read()
        lines = [line for line in text.splitlines() if line.startswith("error: ")]
        if end.code in (0, None):
            return outcome(DONE)
        if end.code == 2 and len(lines) == 1 and "Traceback" not in text:
            return outcome(REFUSED, lines[0])
        return outcome(TRACEBACK, f"exit {end.code}: {text[-300:]}")
    except UserError as error:
        ending = REFUSED if "\n" not in str(error) else TRACEBACK
        return outcome(ending, str(error))
    except TypeError as error:
        # Python's line is clear where a call does not fit; further inside it is not.
        frames = traceback.extract_tb(error.__traceback__)
        is_clear = "/tests/attack/" in frames[-1].filename
        where = "" if is_clear else f"{frames[-1].filename}:{frames[-1].lineno} "
        return outcome(WRONG_TYPE if is_clear else TRACEBACK, f"{where}{error}")
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)
        ours = [f for f in last if "/tfmusic/" in f.filename]
        where = (
            f"{ours[-1].filename.split('/tfmusic/')[-1]}:{ours[-1].lineno}"
            if ours
            else ""
        )
        return outcome(TRACEBACK, f"{where} {type(error).__name__}: {error}")
    return outcome(DONE)


def _peak() -> int:
    """The most memory of this process or of one that it waited for, in megabytes."""
    who = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return max(resource.getrusage(one).ru_maxrss for one in who) >> 10


def table(found: dict[str, list[Outcome]]) -> str:
    """How often each kind of case ended in which way, and the claim."""
    columns = (DONE, REFUSED, WRONG_TYPE, *FAILURES)
    names = ("kind", "cases", *columns, "peak MB")
    lines = ["".join(f"{name:>18}" for name in names)]
    for kind, outcomes in found.items():
        counts = collections.Counter(outcome.ending for outcome in outcomes)
        peak = max((outcome.megabytes for outcome in outcomes), default=0)
        values = (kind, len(outcomes), *(counts[name] for name in columns), peak)
        lines.append("".join(f"{value:>18}" for value in values))
    failures = [o for outcomes in found.values() for o in outcomes if failed(o)]
    return "\n".join([*lines, f"attack.failures = {len(failures)}"])


def failed(outcome: Outcome) -> bool:
    """Whether a case ended as none should."""
    return outcome.ending in FAILURES


def preload() -> None:
    """Imports what children need, so that they need not; uses none of it."""
    import tensorflow  # noqa: F401

    import tests.experiments  # noqa: F401
    import tfmusic.api  # noqa: F401
    import tfmusic.evaluation.comparison  # noqa: F401
    import tfmusic.pipelines.building  # noqa: F401
    import tfmusic.serving.saved_model  # noqa: F401
    import tfmusic.training.setup  # noqa: F401
