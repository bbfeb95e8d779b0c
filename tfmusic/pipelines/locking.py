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
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise _is_taken(output_dir, file) from error
        # Who held it may have removed it since it was opened here.
        if not os.path.exists(path) or not os.path.samestat(
            os.fstat(file), os.stat(path)
        ):
            raise _is_taken(output_dir, file)
        try:
            with writing(output_dir):
                since = time.strftime("%Y-%m-%d %H:%M:%S")
                owner = (
                    f"process {os.getpid()} on {socket.gethostname()}, since {since}"
                )
                os.truncate(file, 0)
                os.write(file, owner.encode())
            yield
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)
    finally:
        os.close(file)


def _is_taken(output_dir: str, file: int) -> UserError:
    owner = os.read(file, 200).decode(errors="replace") or "which begins or ends now"
    return UserError(
        f"{output_dir}: another build writes there ({owner}); wait for it, or choose "
        "another --output_dir"
    )
