"""A bucket on this machine: a server of the S3 API, and programs that use it."""

import contextlib
import importlib.util
import os
import pathlib
import socket
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUCKET = "s3://music"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
NEEDED = ("moto", "flask", "boto3", "tensorflow_io")
missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
needs_bucket = pytest.mark.skipif(
    bool(missing), reason=f"not installed: {', '.join(missing)}; see [dev]"
)


@contextlib.contextmanager
def open_bucket():
    """An empty bucket: boto3's client of it, and the variables that lead to it."""
    import boto3

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        client = boto3.client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )
        client.create_bucket(Bucket=BUCKET.removeprefix("s3://"))
        variables = {"S3_ENDPOINT": address, "AWS_REGION": "us-east-1", **KEYS}
        yield client, {**os.environ, **variables}
    finally:
        server.terminate()
        server.wait()


def start(environment, module, *arguments):
    """Starts a module of the project as a program, whose output comes by pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    )


def run(environment, module, *arguments):
    """Runs a module of the project as a program, to its end."""
    process = start(environment, module, *arguments)
    output, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)
