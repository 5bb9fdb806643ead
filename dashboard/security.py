"""Who may ask: the host and origin of every request, the token where one is set, and what a browser may load.

In: ASGI requests of any kind. Out: the same, or a refusal in one sentence; every answer with a strict content policy.
Loopback alone is served without a token; a page of another site can neither read nor post, whatever name it gave this
machine (DNS rebinding). The token comes as `Authorization: Bearer`, or once as ?token=, which is kept in a cookie.
"""

from __future__ import annotations

import hmac
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.settings import DashboardSettings

COOKIE = "covered_calls_token"
READING = ("GET", "HEAD")
CONTENT_POLICY = "; ".join(
    [
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect", "font")),
        *("form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"),
    ]
)
HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with no-referrer a browser would send `Origin: null` with our own forms
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """The outermost layer of the application: nothing is reached but through it."""

    def __init__(self, app: ASGIApp, settings: DashboardSettings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no web sockets
        answer = self._refusal(scope) or self._with_token_kept(scope)
        await (answer or self._app)(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or hosts[0].lower() not in self._settings.allowed_hosts:
            return PlainTextResponse("this name is not one of the dashboard's", 421)
        if not scope.get("query_string", b"").isascii():
            return PlainTextResponse("an address is plain ASCII: encode what is not", 400)
        if any(origin.lower().partition("://")[2] != hosts[0].lower() for origin in origins):
            return PlainTextResponse("a page of another site may not ask", 403)
        if scope["method"] not in READING and (not origins or not headers.get("content-length", "0").isdigit()):
            return PlainTextResponse("what changes something must come from the dashboard's own page", 403)
        if self._settings.token is not None and not self._is_known(scope, headers):
            return PlainTextResponse("open the dashboard once with ?token=... (DASHBOARD_TOKEN)", 401)
        return None

    def _is_known(self, scope: Scope, headers: Headers) -> bool:
        given = (headers.get("authorization", "").removeprefix("Bearer "), _cookie(headers), _asked_token(scope))
        return any(_is_same(token, self._settings.token or "") for token in given)

    def _with_token_kept(self, scope: Scope) -> Response | None:
        """The token leaves the address, and with it the history of the browser."""
        token = _asked_token(scope)
        if self._settings.token is None or scope["method"] != "GET" or not _is_same(token, self._settings.token):
            return None
        answer = RedirectResponse("/", 303)
        answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", path="/")
        return answer


def _is_same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _asked_token(scope: Scope) -> str:
    asked: dict[str, list[str]] = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    return asked.get("token", [""])[0]


def _cookie(headers: Headers) -> str:
    found: dict[str, str] = cookie_parser(headers.get("cookie", ""))
    return found.get(COOKIE, "")


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(HEADERS)
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sending
