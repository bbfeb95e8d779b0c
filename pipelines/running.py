"""Runs a Beam pipeline, on this machine unless told otherwise, with a progress bar."""

import contextlib
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping

import tqdm

# Beam warns of cloud libraries that are not there.
logging.disable(logging.WARNING)
import apache_beam as beam  # noqa: E402
from apache_beam.options.pipeline_options import PipelineOptions  # noqa: E402
from apache_beam.runners.portability.fn_api_runner import fn_runner  # noqa: E402
from apache_beam.transforms.environments import (  # noqa: E402
    SubprocessSDKEnvironment,
)

logging.disable(logging.NOTSET)

# Beam's own choice, DirectRunner, would first try to download another runner.
LOCAL_RUNNER = "FnApiRunner"
# Each worker takes five seconds to start, as long as a hundred files take to convert.
FILES_WORTH_WORKERS = 500
# As --direct_running_mode=multi_processing does, with a worker that is quiet.
_WORKER = SubprocessSDKEnvironment.from_command_string(
    f"{sys.executable} -m pipelines.worker"
)
_POLL_SECONDS = 0.2


def beam_option_names() -> set[str]:
    """The names of all flags that Beam knows."""
    return set(PipelineOptions([]).get_all_options())


def run_pipeline(
    build: Callable[[beam.Pipeline, str], None],
    num_files: int,
    num_workers: int = 0,
    beam_options: Mapping[str, str] | None = None,
) -> None:
    """Runs a pipeline to its end.

    Args:
        build: Adds the steps to a pipeline; its second argument is the path of a local
            file that is to grow by two bytes for each file of the source as it is
            worked on, or empty if the workers may be on other machines.
        num_files: How many files the source has.
        num_workers: Worker processes on this machine; 1 works in this process, 0 takes
            one for every core from `FILES_WORTH_WORKERS` files on.
        beam_options: Flags of Beam, by name.
    """
    options = dict(beam_options or {})
    runner = options.pop("runner", LOCAL_RUNNER)
    is_local = runner == LOCAL_RUNNER
    if is_local and "direct_running_mode" not in options:
        if not num_workers:
            cores = len(os.sched_getaffinity(0))
            num_workers = cores if num_files >= FILES_WORTH_WORKERS else 1
        if num_workers > 1:
            runner = fn_runner.FnApiRunner(default_environment=_WORKER)
            options["direct_num_workers"] = num_workers
    arguments = [f"--{name}={value}" for name, value in options.items()]
    # Of FnApiRunner it would say that worker processes belong to another mode.
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    with (
        _progress_bar(2 * num_files) if is_local else contextlib.nullcontext("") as path
    ):
        pipeline = beam.Pipeline(runner, PipelineOptions(arguments))
        build(pipeline, path)
        pipeline.run().wait_until_finish()


@contextlib.contextmanager
def _progress_bar(total: int) -> Iterator[str]:
    """Shows how far a file has grown; gives its path."""
    done = threading.Event()
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "progress")

        def follow() -> None:
            # On a terminal only.
            with tqdm.tqdm(
                total=total,
                disable=None,
                bar_format="{percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
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


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0
