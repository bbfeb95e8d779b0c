import threading
import time

import pytest
import uvicorn
from starlette.testclient import TestClient

from tests.serving.exports import export_untrained
from tfmusic.studio.app import Studio
from tfmusic.studio.shelf import Shelf

ADDRESS = "http://127.0.0.1:8765"


def wait(client, job):
    """The job when it is over."""
    limit = time.monotonic() + 60
    while job["state"] in ("waiting", "running"):
        assert time.monotonic() < limit, job
        time.sleep(0.02)
        job = client.get(f"/api/jobs/{job['id']}").json()
    return job


@pytest.fixture(scope="session")
def infill_export(tmp_path_factory):
    """The directory of a model that writes bars anew; untrained."""
    path = tmp_path_factory.mktemp("studio") / "coconet"
    export_untrained("infill", path)
    return str(path)


@pytest.fixture(scope="session")
def shelf():
    """The shipped models, each loaded once."""
    return Shelf()


@pytest.fixture(scope="session")
def client(shelf):
    """Asks a server of the shipped models."""
    studio = Studio(shelf)
    with TestClient(studio.app(), base_url=ADDRESS) as client:
        yield client
    studio.close(waits=True)


@pytest.fixture(scope="session")
def infill_client(infill_export):
    """Asks a server that has a model which writes bars anew, too."""
    studio = Studio(Shelf([infill_export]))
    with TestClient(studio.app(), base_url=ADDRESS) as client:
        yield client
    studio.close(waits=True)


@pytest.fixture(scope="module")
def serve():
    """Serves a studio; gives its address."""
    servers = []

    def start(studio):
        config = uvicorn.Config(studio.app(), port=0, log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        servers.append((server, thread, studio))
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/"

    yield start
    for server, thread, studio in servers:
        server.should_exit = True
        thread.join()
        studio.close(waits=True)
