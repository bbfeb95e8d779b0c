"""Serves the page until Ctrl-C: a free port, one line that says where."""

import contextlib
import os
import secrets
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator

from tfmusic.errors import UserError
from tfmusic.serving.loopback import is_loopback

DEFAULT_PORT = 8765
_PORTS_TRIED = 20
HOW_TO_INSTALL = 'pip install "tfmusic[studio]"'


def check_installed() -> None:
    """Says what is missing.

    Raises:
        UserError: The server's packages are not installed.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"the page needs {error.name}, which is not installed: {HOW_TO_INSTALL}"
        ) from error


def serve(studio, host: str, port: int | None, opens: bool, name: str) -> None:
    """Serves a studio until Ctrl-C.

    Args:
        studio: A `Studio`.
        host: The address to bind to; anything but loopback asks for a token.
        port: None: the first free one.
        opens: Whether to open the page in a browser.
        name: Of the command, for the line that it prints.

    Raises:
        UserError: The address cannot be bound.
    """
    import uvicorn

    token = None if is_loopback(host) else secrets.token_urlsafe(16)
    with _bind(host, port) as listener:
        shown = f"[{host}]" if ":" in host else host
        if host in ("0.0.0.0", "::"):
            shown = socket.gethostname()
        address = f"http://{shown}:{listener.getsockname()[1]}/"
        address += f"?token={token}" if token else ""
        sys.stdout.write(f"tfmusic {name}: {address}  (Ctrl-C ends it)\n")
        sys.stdout.flush()
        config = uvicorn.Config(
            studio.app(host, token),
            log_level="warning",
            access_log=False,
            server_header=False,
            # What runs is forgotten at Ctrl-C.
            timeout_graceful_shutdown=1,
        )
        if opens:
            threading.Timer(0.5, webbrowser.open, [address]).start()
        studio.warm_up()
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:
            if studio.is_busy:
                # Python would abort over a thread that is within TensorFlow.
                sys.stderr.write("stopped by Ctrl-C\n")
                sys.stderr.flush()
                os._exit(128 + signal.SIGINT)
            raise


@contextlib.contextmanager
def _bind(host: str, port: int | None) -> Iterator[socket.socket]:
    """A socket that listens."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    first = DEFAULT_PORT if port is None else port
    ports = [first] if port is not None else [*range(first, first + _PORTS_TRIED), 0]
    for number in ports:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
            listener.listen(64)
        except (OSError, OverflowError) as error:
            listener.close()
            if number == ports[-1]:
                reason = getattr(error, "strerror", None) or error
                remedy = "leave --port out to take a free one"
                if isinstance(error, socket.gaierror):
                    remedy = "expected a name or an address of this machine"
                raise UserError(
                    f"--host={host} --port={number}: cannot be bound ({reason}); "
                    f"{remedy}"
                ) from error
            continue
        with listener:
            yield listener
        return
