"""The page's first music, and the model server under load.

    python -m benchmarks.studio [--quick] [--models=chorales] [--num_clients=50]

First a studio, as `tfmusic studio` starts it, is asked for a piece as the page asks;
in turn the model is called here: how much later than the bare call is music there to be
drawn and heard?

Then a server, a process of its own, as `tfmusic serve` starts it. Clients first ask one
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

import tfmusic

_QUICK = flags.DEFINE_bool("quick", False, "Five seconds each way.")
_MODELS = flags.DEFINE_string("models", "chorales", "What tfmusic serve takes.")
_NUM_CLIENTS = flags.DEFINE_integer("num_clients", 50, "How many ask at once.", 1)
_SECONDS = flags.DEFINE_float("seconds", 60, "How long they ask, each way.")
_NUM_STEPS = flags.DEFINE_integer("num_steps", 64, "The length of a piece.")
_SERVER_FLAGS = flags.DEFINE_multi_string(
    "server_flag", [], "A flag for the server, such as --num_threads=1."
)


def start() -> tuple[subprocess.Popen, str, str]:
    """Starts a server; gives it, its address and the name of its model."""
    command = [sys.executable, "-m", "tfmusic.serve", f"--models={_MODELS.value}"]
    command += ["--port=0", f"--max_waiting={_NUM_CLIENTS.value}"]
    server = subprocess.Popen(
        [*command, *_SERVER_FLAGS.value],
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


def first_music(repeats: int) -> float:
    """Seconds of 16 bars by the page's server, over those of a bare call."""
    command = [sys.executable, "-m", "tfmusic.studio", "--noopen", "--port=0"]
    studio = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = studio.stdout.readline().split()[2].rstrip("/")
        model = tfmusic.load_model("chorales")
        by_page, bare = [], []
        for seed in range(repeats + 2):  # two to warm up
            start = time.perf_counter()
            _make_by_page(url, {"model": "chorales", "bars": 16, "seed": seed})
            by_page.append(time.perf_counter() - start)
            start = time.perf_counter()
            model.generate(1, bars=16, seed=seed)
            bare.append(time.perf_counter() - start)
    finally:
        studio.terminate()
        studio.wait()
    by_page, bare = np.median(by_page[2:]), np.median(bare[2:])
    print(f"16 bars of chorales: page {by_page:.3f} s, bare call {bare:.3f} s")
    return by_page / bare


def _make_by_page(url: str, order: dict) -> None:
    """What the page does after a click, until it has the notes."""

    def send(path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(url + path, data, headers)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    job = send("/api/jobs", order)
    while job["state"] in ("waiting", "running"):
        job = send(f"/api/jobs/{job['id']}?wait=0.4")
    if job["state"] != "done":
        raise SystemExit(f"the studio made nothing: {job}")


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
    ratio = first_music(5 if _QUICK.value else 30)
    print(f"studio.first_music_seconds_over_bare_call = {ratio:.2f}", flush=True)
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
