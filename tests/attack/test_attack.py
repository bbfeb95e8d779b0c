"""A part of the attack as tests; `python -m tests.attack` is the whole of it."""

import subprocess
import sys

import pytest

from tests.attack.__main__ import KINDS, parse


def test_all_kinds_are_tried_unless_some_are_named():
    assert parse(["--minutes=30"]).kinds == KINDS
    assert parse(["files", "kills"]).kinds == ["files", "kills"]


def attack(kind, every):
    # A process of its own: children are forked before TensorFlow is used.
    command = [sys.executable, "-m", "tests.attack", kind, f"--every={every}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "attack.failures = 0", done.stdout
    assert done.returncode == 0, done.stderr


def test_damaged_files_cost_nothing_but_themselves():
    attack("files", 13)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "every"),
    [
        ("command_lines", 30),
        ("api_calls", 10),
        ("artefacts", 25),
        ("export_requests", 20),
        ("server_requests", 10),
        ("archives", 20),
        ("kills", 20),
    ],
)
def test_what_is_wrong_works_or_is_refused_in_one_line(kind, every):
    attack(kind, every)
