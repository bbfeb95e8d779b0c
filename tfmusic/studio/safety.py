"""Who may ask the page's server, and what the page may do: an ASGI middleware."""

import http.cookies
import secrets
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tfmusic.serving.loopback import is_loopback, name_of

COOKIE = "tfmusic_studio"
_HEADERS = {
    # Sounds are decoded from what is fetched; pictures are drawn on a canvas and saved
    # from it. Nothing comes from, or goes to, another place.
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """Refuses foreign pages, and those who do not know the token.

    - Bound to loopback, the server is asked for by a name of loopback, or not at all:
      a foreign name that resolves to this machine is refused.
    - A request that another page makes (by its `Origin`) is refused.
    - Where there is a token, the first address holds it; the answer is a cookie.
    """

    def __init__(self, app: ASGIApp, host: str, token: str | None = None):
        """Guards an app.

        Args:
            app: The app.
            host: What the server is bound to.
            token: What a request must know; None: nothing.
        """
        self._app = app
        self._only_loopback = is_loopback(host)
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or lets the app answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(k.encode(), v.encode()) for k, v in _HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *extra]
            await send(message)

        headers = {
            k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]
        }
        answer = self._refusal(headers) or self._ask_token(scope, headers) or self._app
        await answer(scope, receive, send_with_headers)

    def _refusal(self, headers: dict[str, str]) -> ASGIApp | None:
        host = headers.get("host", "")
        try:
            is_local = is_loopback(name_of(host))
        except ValueError:
            return _refuse("expected a Host of NAME or NAME:PORT", 400)
        if self._only_loopback and not is_local:
            return _refuse("expected to be asked for as 127.0.0.1 or localhost")
        origin = headers.get("origin")
        # Behind a proxy the page's own scheme may be another than the server's.
        if origin is not None and origin.partition("://")[2] != host:
            return _refuse("asked by another page; open the studio's own")
        if headers.get("sec-fetch-site") == "cross-site" and (
            headers.get("sec-fetch-mode") != "navigate"
        ):
            return _refuse("asked by another page; open the studio's own")
        return None

    def _ask_token(self, scope: Scope, headers: dict[str, str]) -> ASGIApp | None:
        if self._token is None:
            return None
        cookie = http.cookies.SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        if cookie and _same(cookie.value, self._token):
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])
        if scope["method"] == "GET" and _same(given[0], self._token):
            answer = RedirectResponse(scope["path"], status_code=303)
            answer.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
            return answer
        return _refuse("expected the token: open the address that tfmusic printed")


def _same(given: str, token: str) -> bool:
    return secrets.compare_digest(given.encode(), token.encode())


def _refuse(why: str, status: int = 403) -> PlainTextResponse:
    return PlainTextResponse(f"refused: {why}\n", status_code=status)
