"""The model server under load: requests a second, how long they take, memory.

    python -m benchmarks.studio [--quick] [--models=chorales] [--num_clients=8]

The server is a process of its own, as `tfmusic serve` starts it. Clients first ask one
at a time, then all at once, each for a piece by `generate` and for the next one when it
has come; every request has a seed of its own. Milliseconds are those that a client
waits; CPU is how long the server works for each request, on a busy machine too.
"""

import concurrent.futures
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
from absl import app, flags

_QUICK = flags.DEFINE_bool("quick", False, "Five seconds each way.")
_MODELS = flags.DEFINE_string("models", "chorales", "What tfmusic serve takes.")
_NUM_CLIENTS = flags.DEFINE_integer("num_clients", 8, "How many ask at once.", 1)
_SECONDS = flags.DEFINE_float("seconds", 60, "How long they ask, each way.")
_NUM_STEPS = flags.DEFINE_integer("num_steps", 64, "The length of a piece.")
_SERVER_FLAGS = flags.DEFINE_multi_string(
    "server_flag", [], "A flag for the server, such as --num_threads=1."
)


def start() -> tuple[subprocess.Popen, str, str]:
    """Starts a server; gives it, its address and the name of its model."""
    command = [sys.executable, "-m", "tfmusic.serve", f"--models={_MODELS.value}"]
    server = subprocess.Popen(
        [*command, "--port=0", *_SERVER_FLAGS.value],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    line = server.stdout.readline().split()
    if line[:1] != ["serving"]:
        raise SystemExit(f"the server did not start: {server.wait()}")
    return server, line[line.index("at") + 1].rstrip(";"), line[1]


def ask(url: str, name: str, seed: int) -> tuple[float, bool]:
    """Seconds of a request, and whether it was answered with music."""
    inputs = {"num_outputs": 1, "num_steps": _NUM_STEPS.value, "seed": seed}
    body = json.dumps({"signature_name": "generate", "inputs": inputs}).encode()
    start_seconds = time.perf_counter()
    try:
        with urllib.request.urlopen(f"{url}/v1/models/{name}:predict", body) as answer:
            done = "num_steps" in json.load(answer)["outputs"]
    except (OSError, urllib.error.HTTPError):
        done = False
    return time.perf_counter() - start_seconds, done


def usage(url: str) -> tuple[float, float]:
    """What the server says of its memory, in MiB, and of its seconds of processor."""
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    found = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return (
        float(found["process_resident_memory_bytes"]) / 2**20,
        float(found["process_cpu_seconds_total"]),
    )


def load(url: str, name: str, num_clients: int, seconds: float) -> float:
    """Asks for some seconds and prints a row; gives requests a second."""
    megabytes_before, cpu_before = usage(url)
    begin = time.perf_counter()
    end = begin + seconds

    def client(number: int) -> list[tuple[float, bool]]:
        answers = []
        while time.perf_counter() < end:
            answers.append(ask(url, name, 1_000_000 * number + len(answers)))
        return answers

    with concurrent.futures.ThreadPoolExecutor(num_clients) as pool:
        answers = sum(pool.map(client, range(num_clients)), [])
    taken = time.perf_counter() - begin
    times = 1e3 * np.array([t for t, done in answers if done])
    rate = len(times) / taken
    percentiles = np.percentile(times, [50, 95, 99])
    megabytes, cpu = usage(url)
    cpu_milliseconds = 1e3 * (cpu - cpu_before) / len(answers)
    print(
        f"{num_clients:7}{len(answers):10}{rate:10.1f}"
        + "".join(f"{value:9.0f}" for value in percentiles)
        + f"{len(answers) - len(times):9}"
        + f"{megabytes_before:11.0f}{megabytes:10.0f}{cpu_milliseconds:9.0f}",
        flush=True,
    )
    return rate


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    seconds = 5.0 if _QUICK.value else _SECONDS.value
    server, url, name = start()
    try:
        for seed in range(3):
            ask(url, name, seed)
        print(f"{name}: one piece of {_NUM_STEPS.value} steps a request; milliseconds")
        print(
            f"{'clients':>7}{'requests':>10}{'a second':>10}{'p50':>9}{'p95':>9}"
            f"{'p99':>9}{'errors':>9}{'MB before':>11}{'MB after':>10}{'CPU':>9}"
        )
        alone = load(url, name, 1, seconds)
        together = load(url, name, _NUM_CLIENTS.value, seconds)
    finally:
        server.terminate()
        server.wait()
    print(f"studio.requests_ratio = {together / alone:.2f}")


if __name__ == "__main__":
    app.run(main)
