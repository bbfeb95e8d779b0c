"""The job on workers that are processes of their own, as on a cluster."""

import os
import socket
import subprocess
import sys
import time

import pytest

from tests.pipelines.test_build_tfrecords import command, contents
from tfmusic.pipelines.building import write_datasets

JOB_SERVER = "apache_beam.runners.portability.local_job_service_main"
WORKER_POOL = "apache_beam.runners.worker.worker_pool_main"


def free_port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


@pytest.fixture
def service(tmp_path):
    """Starts a Beam service; gives its port and the file that it logs to."""
    started = []

    def start(module, port_flag):
        port, log = free_port(), tmp_path / f"{module}.log"
        environment = {
            **os.environ,
            "PYTHONPATH": os.getcwd(),
            # A pool starts "python".
            "PATH": os.pathsep.join(
                [os.path.dirname(sys.executable), os.environ["PATH"]]
            ),
        }
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", module, f"--{port_flag}={port}"],
                stdout=file,
                stderr=file,
                env=environment,
            )
        started.append(process)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if not probe.connect_ex(("localhost", port)):
                    return port, log
            time.sleep(0.1)
        raise RuntimeError(log.read_text())

    yield start
    for process in started:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_workers_elsewhere_write_the_same_bytes(config, music, service, tmp_path):
    configs = [config, config + ":tokens"]
    write_datasets(configs, str(music), str(tmp_path / "expected"))
    endpoint, _ = service(JOB_SERVER, "port")
    pool, log = service(WORKER_POOL, "service_port")
    run = command(
        "pipelines.build_tfrecords",
        *(f"--config={c}" for c in configs),
        f"--source={music}",
        f"--output_dir={tmp_path / 'data'}",
        "--runner=PortableRunner",
        f"--job_endpoint=localhost:{endpoint}",
        "--environment_type=EXTERNAL",
        f"--environment_config=localhost:{pool}",
    )
    assert run.returncode == 0, run.stderr
    # To read, to encode with what was fitted, and to write.
    assert log.read_text().count("Starting worker") == 3
    for name in ("roll", "tokens"):
        assert contents(tmp_path / "data" / name) == contents(
            tmp_path / "expected" / name
        )
