"""tfmusic live as a user starts it."""

import contextlib
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from tfmusic.live import ports

ROOT = pathlib.Path(__file__).resolve().parents[2]


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "tfmusic", "live", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--osc_port=0"], "expected --output=PORT"),
        (["--osc_reply=9"], "expected --input=PORT"),
        (["--osc_port=0", "--osc_reply=9", "--metre=4"], "metre: expected such as"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_loaded(arguments, message):
    process = start("--model=folk", *arguments)
    errors = process.communicate()[1].splitlines()
    assert process.returncode == 2
    assert errors[-1].startswith(f"error: {message}")


@pytest.mark.slow
def test_shipped_model_answers_by_osc_until_ctrl_c():
    replies = ports.Events()
    with ports.osc_input(0, replies) as reply:
        arguments = (f"--osc_reply={reply}", "--tempo=240", "--bars=2", "--seed=3")
        process = start("--model=chorales", "--osc_port=0", *arguments)
        line = process.stdout.readline()
        port = re.search(r"listens to OSC port (\d+) at 240 quarter notes", line)[1]
        with contextlib.closing(ports.OscOutput(port)) as keyboard:
            for pitch in (67, 67, 69, 71):
                keyboard.send(pitch, 80)
                time.sleep(0.2)
                keyboard.send(pitch, 0)
        assert replies.get(timeout=60).velocity
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGINT
    assert re.search(r"4 notes in 1 bars: the answer begins \d", errors)
    assert errors.endswith("stopped by Ctrl-C\n")
