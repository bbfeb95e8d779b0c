"""A small disk of its own for a program, that ends with it: a user's own mount."""

import subprocess

import pytest

IN_OWN_MOUNTS = ["unshare", "--map-root-user", "--mount", "sh", "-e", "-c"]


def _can_mount():
    command = [*IN_OWN_MOUNTS, "mount -t tmpfs tmpfs /mnt"]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


needs_disk = pytest.mark.skipif(not _can_mount(), reason="nothing can be mounted here")
