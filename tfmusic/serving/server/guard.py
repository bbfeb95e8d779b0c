"""Who may ask: bearers of the token, and no page of a foreign site."""

import hmac
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tfmusic.serving.loopback import is_loopback, name_of

_OPEN_PATHS = ("/healthz",)  # a load balancer has no token


class Guard:
    """Refuses requests before anything else looks at them.

    A browser names in `Origin` the site whose page asks, and in `Host` the name that it
    took the server for. Without a token the server is for this machine alone, so a
    `Host` that is not this machine's is a foreign site's name made to point here.
    """

    def __init__(
        self, app: ASGIApp, token: str | None = None, origins: Collection[str] = ()
    ):
        """Guards an app.

        Args:
            app: What is guarded.
            token: What `Authorization: Bearer TOKEN` must give; None: nothing.
            origins: Sites, such as "https://example.org", whose pages may ask.
        """
        self._app, self._token, self._origins = app, token, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a refusal, or lets the app answer."""
        app = self._app
        if scope["type"] == "http" and (refused := self._refusal(scope)):
            status, text = refused
            headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
            app = JSONResponse({"error": text}, status, headers)
        await app(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        if ".." in scope["path"].split("/"):
            return 404, "Not Found"
        host, origin = headers.get("host", ""), headers.get("origin")
        try:
            is_local = is_loopback(name_of(host))
        except ValueError:
            return 400, f"Host {host:.60}: expected NAME or NAME:PORT"
        if self._token is None and not is_local:
            return 403, f"Host {host:.60}: this server answers on this machine alone"
        own = f"{scope['scheme']}://{host}"
        if origin is not None and origin != own and origin not in self._origins:
            return (
                403,
                f"Origin {origin:.60}: pages of this site may not ask this server",
            )
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if self._token is None or path in _OPEN_PATHS:
            return None
        given = headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            return 401, "expected the header Authorization: Bearer TOKEN"
        return None
