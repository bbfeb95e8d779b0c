"""Who may ask the page's server."""

import pytest
from starlette.testclient import TestClient

from tfmusic.studio.app import Studio


@pytest.fixture(scope="module")
def studio():
    return Studio(None)


def ask(studio, url="http://127.0.0.1:8765", host="127.0.0.1", token=None, **headers):
    client = TestClient(studio.app(host, token), base_url=url)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get("/api/models", headers=named)


def test_own_page_is_answered(studio):
    assert ask(studio).status_code == 200
    assert ask(studio, origin="http://127.0.0.1:8765").status_code == 200
    assert ask(studio, url="http://localhost:8765").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://example.org"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"},
        {"url": "http://example.org:8765"},
        {"origin": "http://["},
    ],
)
def test_foreign_page_is_refused(studio, headers):
    answer = ask(studio, **headers)
    assert answer.status_code == 403
    assert answer.text.count("\n") == 1


def test_malformed_host_is_refused(studio):
    assert ask(studio, Host="[").status_code == 400


def test_elsewhere_than_on_loopback_a_token_is_asked_for(studio):
    url = "http://192.168.0.7:8765"
    assert ask(studio, url=url, host="0.0.0.0", token="secret").status_code == 403
    client = TestClient(studio.app("0.0.0.0", "secret"), base_url=url)
    assert client.get("/?token=wrong").status_code == 403
    first = client.get("/?token=secret", follow_redirects=False)
    assert first.status_code == 303
    assert "token" not in first.headers["location"]
    assert "HttpOnly" in first.headers["set-cookie"]
    assert client.get("/").status_code == 200
    assert client.get("/api/models").status_code == 200
