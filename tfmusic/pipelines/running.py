"""Runs a step of the job on Beam, on this machine unless told otherwise.

A step is one transform over a list of elements that are small (see
`tfmusic.pipelines.dataset_job`), so that all a runner needs to know is Create,
Reshuffle and ParDo, and its workers need the output directory within reach.

On this machine Beam runs within this process, and the transform itself spreads its
elements over threads: each watches a child process that does the work
(`tfmusic.sandbox`). Beam's own ways to use several cores open ports on all
network interfaces, through which anyone who reaches them can read this machine's
files, so they are refused.

Distributed runners open such ports too, so they belong on a network whose machines and
users are trusted. Both of these were seen to write 337 files byte for byte as this
machine alone does, while other processes than the one that was called did the work:

-   Beam's portable runner, with nothing but apache-beam: a job server and a pool of
    workers, each a process of its own and anywhere on the network. All need tfmusic
    installed, no clone of it; the pool looks for its Python on the PATH:

        python -m apache_beam.runners.portability.local_job_service_main --port=8801
        python -m apache_beam.runners.worker.worker_pool_main --service_port=8802
        python -m pipelines.build_tfrecords ... --runner=PortableRunner \
            --job_endpoint=localhost:8801 --environment_type=EXTERNAL \
            --environment_config=localhost:8802

    The job servers of Flink and Spark are called alike, but have not been tried.
-   Beam's Dask runner, with Dask 2026.8 and a cluster of two worker processes, which
    shared the work evenly. Dask is no requirement of this package: `pip install dask
    distributed` here and on the workers, then
    `--runner=apache_beam.runners.dask.dask_runner.DaskRunner
    --dask_client_address=tcp://HOST:8786 --dask_npartitions=N`, N being a few for each
    worker (of its own accord Dask would make one partition of 128 batches).
"""

import argparse
import contextlib
import copy
import difflib
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from multiprocessing.pool import ThreadPool
from typing import Any

import absl.logging
import tqdm

from tfmusic.compat import in_notebook
from tfmusic.errors import UserError
from tfmusic.files import system_errors
from tfmusic.pipelines.quiet_beam import (
    PipelineOptions,
    beam,
    create_runner,
    not_interactive,
)

# Beam's own choice, DirectRunner, would first try to download another runner.
LOCAL_RUNNER = "FnApiRunner"
# How it runs without ports; on the command line, these flags are refused.
_WITHOUT_PORTS = {"direct_running_mode": "in_memory", "direct_num_workers": "1"}
_POLL_SECONDS = 0.2


def _is_local(runner: str) -> bool:
    """Whether a runner of Beam, by any of its names, works on this machine alone."""
    name = runner.rpartition(".")[2].lower().removesuffix("runner")
    return name in ("fnapi", "direct")


def beam_flag_names(runner: str = LOCAL_RUNNER) -> set[str]:
    """The names of all flags that Beam knows, and of those that a runner adds.

    Raises:
        UserError: There is no such runner.
    """
    try:
        create_runner(runner)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"--runner={runner}: expected a runner of Beam whose packages are "
            f"installed, but {error}"
        ) from error
    names = set()
    for options in PipelineOptions.__subclasses__():
        parser = argparse.ArgumentParser(add_help=False)
        options._add_argparse_args(parser)  # the hook that Beam itself calls
        names |= parser._option_string_actions.keys()
    return {name.removeprefix("--") for name in names}


def beam_options(given: Mapping[str, str], defined: Iterable[str]) -> dict[str, str]:
    """Flags of a command line that it does not define, for Beam.

    Warns of runners that open ports.

    Args:
        given: The flags, by name.
        defined: The names of those that the command line defines.

    Raises:
        UserError: A flag that Beam does not have either, or one that would make it
            open ports on this machine.
    """
    runner = given.get("runner", LOCAL_RUNNER)
    for name in _WITHOUT_PORTS:
        if name in given:
            raise UserError(
                f"--{name}={given[name]}: Beam would open ports through which others "
                "can read this machine's files; leave it out: --num_workers=N uses N "
                "cores without them"
            )
    beam_flags = beam_flag_names(runner)
    if unknown := given.keys() - beam_flags:
        name = min(unknown)
        close = difflib.get_close_matches(name, [*defined, *beam_flags], n=1)
        hint = f"; did you mean --{close[0]}?" if close else ""
        raise UserError(f"unknown flag --{name}{hint}")
    if not _is_local(runner):
        absl.logging.warning(
            "--runner=%s opens ports without authentication, through which files of "
            "its machines can be read: use it on a network that you trust",
            runner,
        )
    return dict(given)


def run_step(
    make_step: Callable[[str], beam.DoFn],
    elements: Sequence[Any],
    *,
    title: str,
    total: int,
    num_workers: int = 0,
    beam_options: Mapping[str, str] | None = None,
) -> None:
    """Processes all elements.

    Args:
        make_step: Makes the transform. Its argument is the path of a local file that is
            to grow by a byte for each unit of work that is done, or empty if the
            workers may be on other machines.
        elements: What to process; in any order.
        title: Of the step, for the progress bar.
        total: Units of work.
        num_workers: Workers on this machine; 0 takes one for every core.
        beam_options: Flags of Beam, by name.
    """
    options = dict(beam_options or {})
    runner = options.pop("runner", LOCAL_RUNNER)
    is_local = _is_local(runner)
    if is_local:
        runner = LOCAL_RUNNER
        options |= _WITHOUT_PORTS
        num_workers = min(num_workers or num_cores(), max(len(elements), 1))
    # What goes wrong is raised; Beam would print it first.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    arguments = [f"--{name}={value}" for name, value in options.items()]
    with (
        _progress_bar(title, total) if is_local else contextlib.nullcontext("") as path,
        not_interactive(),
        contextlib.ExitStack() as stack,
    ):
        step = make_step(path)
        if is_local:
            # Beam would copy the list several times over.
            step = Threads(step, num_workers)
            elements = [stack.enter_context(_held_here(elements))]
        pipeline = beam.Pipeline(runner, PipelineOptions(arguments))
        _ = (
            pipeline
            | "Elements" >> beam.Create(elements)
            | "Spread" >> beam.Reshuffle()
            | title >> beam.ParDo(step)
        )
        try:
            pipeline.run().wait_until_finish()
        except Exception as error:
            # Beam makes an error of its own even of Ctrl-C.
            plain = (KeyboardInterrupt, UserError, *system_errors())
            if isinstance(error.__context__, plain):
                raise error.__context__ from None
            raise


# Lists that wait for a step which runs in this process, by a number.
_HELD: dict[int, Sequence[Any]] = {}


@contextlib.contextmanager
def _held_here(elements: Sequence[Any]) -> Iterator[int]:
    """Gives a number by which `Threads` finds a list."""
    number = id(elements)
    _HELD[number] = elements
    try:
        yield number
    finally:
        del _HELD[number]


class Threads(beam.DoFn):
    """A step over a list of elements, which several threads take in turn."""

    def __init__(self, step: beam.DoFn, num_threads: int):
        """Starts nothing yet.

        Args:
            step: What to do with an element; each thread has a copy.
            num_threads: How many threads there are at most.
        """
        self._step = step
        self._num_threads = num_threads

    def process(self, number: int) -> Iterator[Any]:
        """Does the step with all elements of a list; gives what it gives, in any order.

        The first error ends it, and so does Ctrl-C: at once, for other threads are left
        alone with their elements, whose results nobody waits for.
        """
        of_thread = threading.local()
        steps = []

        def work(element: Any) -> list[Any]:
            if not hasattr(of_thread, "step"):
                of_thread.step = copy.deepcopy(self._step)
                of_thread.step.setup()
                steps.append(of_thread.step)
            return list(of_thread.step.process(element))

        with ThreadPool(self._num_threads) as threads:
            for results in threads.imap_unordered(work, _HELD[number]):
                yield from results
        for step in steps:
            step.teardown()


@contextlib.contextmanager
def _progress_bar(title: str, total: int) -> Iterator[str]:
    """Shows how far a file has grown; gives its path."""
    done = threading.Event()
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "progress")

        def follow() -> None:
            # On a terminal, which None finds out, and in a notebook only.
            with tqdm.tqdm(
                total=total,
                disable=False if in_notebook() else None,
                file=sys.stdout if in_notebook() else None,
                desc=title,
                bar_format="{desc:8s}{percentage:4.0f}%|{bar}| {elapsed}<{remaining}",
            ) as bar:
                while not done.wait(_POLL_SECONDS):
                    bar.update(_size(path) - bar.n)
                bar.update(_size(path) - bar.n)

        thread = threading.Thread(target=follow)
        thread.start()
        try:
            yield path
        finally:
            done.set()
            thread.join()


def num_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on Windows and macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0
