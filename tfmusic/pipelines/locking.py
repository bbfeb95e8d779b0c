"""One build at a time in a directory."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator

from tfmusic.errors import UserError
from tfmusic.files import is_remote, make_directory, writing


@contextlib.contextmanager
def locked(output_dir: str) -> Iterator[None]:
    """Keeps other builds from writing the same directory meanwhile.

    The lock is a file beside the directory, and ends with the process that holds it,
    however that ends. In buckets and on Windows there is none.

    Raises:
        UserError: Another build is at work; says which one, and since when.
    """
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        fcntl = None
    if fcntl is None or is_remote(output_dir):
        yield
        return
    path = output_dir + ".lock"
    with writing(output_dir):
        make_directory(os.path.dirname(path) or ".")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    with open(descriptor, "r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who held it may have removed it since it was opened here.
            is_there = os.path.exists(path) and os.path.samestat(
                os.fstat(file.fileno()), os.stat(path)
            )
        except OSError:
            is_there = False
        if not is_there:
            owner = file.read().strip() or "which ends just now"
            raise UserError(
                f"{output_dir}: another build writes there ({owner}); wait for it, or "
                "choose another --output_dir"
            )
        with writing(output_dir):
            file.truncate()
            file.write(
                f"process {os.getpid()} on {socket.gethostname()}, since "
                f"{time.strftime('%Y-%m-%d %H:%M:%S')}"
            )
            file.flush()
        try:
            yield
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)
