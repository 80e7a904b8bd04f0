"""Who may ask, and what browsers are told. Data flow: request > Guard > routes.

A service without a token trusts this machine; but any page that a browser on it shows can send
requests here too. So it answers only to names of this machine (a page whose own name is pointed
here is refused), and no request that changes anything may come from another site's page.
"""

import hmac
from collections.abc import Sequence
from typing import Annotated

from fastapi import HTTPException, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_READS = ("GET", "HEAD", "OPTIONS")
_SAME = ("same-origin", "none")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_STRICT = "default-src 'none'; frame-ancestors 'none'"

bearer = HTTPBearer(auto_error=False, description="The token of the service, if it has one.")


def require_token(
    request: Request,
    shown: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
) -> None:
    """Refuses a request without the service's token."""
    token: str | None = request.app.state.service.settings.token
    if token is None:
        return
    given = shown.credentials if shown else ""
    if not hmac.compare_digest(given.encode(), token.encode()):
        raise HTTPException(401, "the token is missing or wrong", {"WWW-Authenticate": "Bearer"})


class Guard:
    """Looks at every request before the routes do.

    Args:
        app: What comes after it.
        hosts: Names by which the service may be called; empty: any.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = ()) -> None:
        self._app, self._hosts = app, tuple(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", _STRICT)
            await send(message)

        if wrong := self._wrong(Headers(scope=scope), scope["method"]):
            answer = JSONResponse({"detail": wrong}, 403)
            await answer(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)

    def _wrong(self, headers: Headers, method: str) -> str:
        """Why a request is refused; empty if it is not."""
        host = headers.get("host", "")
        if self._hosts and host.rsplit(":", 1)[0] not in self._hosts:
            return "this service is called by another name; ask it as 127.0.0.1"
        if method in _READS:
            return ""
        origin = headers.get("origin", "")
        foreign = bool(origin) and origin.partition("://")[2] != host
        if foreign or headers.get("sec-fetch-site", "none") not in _SAME:
            return "a page of another site may not do this"
        return ""
