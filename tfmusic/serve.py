"""Serves models by TensorFlow Serving's REST API, without Docker.

--models is a folder of exports NAME/VERSION, as TensorFlow Serving takes it, one
export, a model in one file, or the name of a model that comes with tfmusic; give it
again for more. New versions are loaded while the server runs. See docs/serving.md.
"""

import os
import secrets
import signal
import socket
import sys

from absl import flags, logging

from tfmusic import command_line
from tfmusic.compat import import_tensorflow
from tfmusic.errors import UserError
from tfmusic.serving.loopback import is_loopback

_MODELS = flags.DEFINE_multi_string(
    "models", None, "Folder, file or name of models.", required=True
)
_PORT = flags.DEFINE_integer("port", 8501, "Port; 0 takes a free one.", 0, 65535)
_HOST = flags.DEFINE_string(
    "host", "127.0.0.1", "Address to listen at; 0.0.0.0 lets other machines ask."
)
_TOKEN = flags.DEFINE_string(
    "token",
    None,
    "What requests must bear as Authorization: Bearer TOKEN. Without it, one is made "
    "and printed where --host lets other machines ask.",
)
_ALLOW_ORIGIN = flags.DEFINE_multi_string(
    "allow_origin", [], "Site whose pages may ask, such as https://example.org."
)
_MAX_STEPS = flags.DEFINE_integer("max_steps", 10_000, "Longest piece in steps.", 1)
_MAX_OUTPUTS = flags.DEFINE_integer("max_outputs", 64, "Most pieces a request.", 1)
_MAX_WAITING = flags.DEFINE_integer(
    "max_waiting", 32, "Requests that wait for their turn; more are answered 503.", 0
)
_NUM_THREADS = flags.DEFINE_integer(
    "num_threads", None, "Requests worked on at a time [the cores, 4 at most].", 1
)
_TIMEOUT = flags.DEFINE_float(
    "timeout_seconds", 600.0, "Longest time from a whole request to its answer.", 0.1
)
_STOP_SECONDS = 10


def main() -> None:
    """Serves until a signal."""
    try:
        import prometheus_client  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise UserError(
            f'the server needs {error.name}: pip install "tfmusic[studio]"'
        ) from error
    listening = _listen(_HOST.value, _PORT.value)
    tensorflow = import_tensorflow()
    from tfmusic.serving.server.app import make_app
    from tfmusic.serving.server.limits import Limits
    from tfmusic.serving.server.models import ServedModels

    num_threads = _NUM_THREADS.value or Limits.num_threads
    # Calls share the cores. Steps are small: more threads within each of them would
    # mostly wait for each other.
    cores = max((os.cpu_count() or 1) // num_threads, 1)
    tensorflow.config.threading.set_intra_op_parallelism_threads(cores)
    logging.info("loading %s", ", ".join(_MODELS.value))
    models = ServedModels(_MODELS.value)
    limits = Limits(
        max_steps=_MAX_STEPS.value,
        max_outputs=_MAX_OUTPUTS.value,
        max_waiting=_MAX_WAITING.value,
        timeout_seconds=_TIMEOUT.value,
        num_threads=num_threads,
    )
    token = _TOKEN.value
    if not is_loopback(_HOST.value) and token is None:
        token = secrets.token_urlsafe(24)
        sys.stdout.write(f"token: {token}\n")
    app = make_app(models, limits, token, _ALLOW_ORIGIN.value)
    models.watch()
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",  # the app tells of its faults itself
        access_log=False,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    names = ", ".join(f"{model.name} (version {model.version})" for model in models)
    host, port = listening.getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    listening.listen()  # who reads the line may ask at once
    sys.stdout.write(f"serving {names} at http://{host}:{port}; Ctrl-C stops\n")
    sys.stdout.flush()
    # uvicorn ends its work at a signal, then raises the signal anew.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run([listening])
    models.close()
    app.state.workers.close()
    sys.stdout.write("stopped\n")
    if app.state.workers.num_running:  # a graph cannot be interrupted
        logging.flush()
        sys.stdout.flush()
        os._exit(0)


def _listen(host: str, port: int) -> socket.socket:
    """The socket of the server, which takes no connections before uvicorn runs.

    Raises:
        UserError: The address is not this machine's, or the port is taken.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        return listening
    except OSError as error:
        raise UserError(
            f"--host={host} --port={port}: {error.strerror}; choose another --port, or "
            "end what listens there"
        ) from error


if __name__ == "__main__":
    command_line.run(main)
