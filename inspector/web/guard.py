"""Who may ask, and how much: looked at before any route sees a request.

A page that somebody opens elsewhere must not act here in his name. Against DNS rebinding the Host header has to be a
name by which the service is known; against cross-site requests a browser's Origin has to be our own or an allowed one,
and a body has to be JSON, which a page of another origin cannot send without asking first (Fetch, CORS-preflight).
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inspector.domain.errors import BadInputError
from inspector.web.problems import problem

HEALTH_PATH = "/healthz"
_BODY_TIMEOUT_S = 60.0
_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")
_SAME_ORIGIN = (None, "same-origin", "none")  # Sec-Fetch-Site; "none" is a person who typed the address
_CORS_METHODS = "GET, POST"
_CORS_HEADERS = "authorization, content-type"


@dataclass(frozen=True, slots=True)
class WebAccess:
    """``hosts``: names (without port) by which the service is reached. ``origins``: pages of others that may ask.

    ``token`` None: whoever reaches the service may ask.
    """

    hosts: frozenset[str]
    origins: frozenset[str] = frozenset()
    token: str | None = field(default=None, repr=False)
    max_body_bytes: int = 8 * 2**20


class Guard:
    """ASGI middleware: refuses what ``WebAccess`` does not allow, and hands on the rest with its whole body."""

    def __init__(self, app: ASGIApp, access: WebAccess) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; see ASGI."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks WebSocket
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["path"] == HEALTH_PATH:
            # Probes know neither our names nor our token, and learn nothing.
            await self._app(scope, _empty, send)
            return
        headers = Headers(scope=scope)
        send = self._marked(send, headers.get("origin"))
        refused = self._refusal(scope, headers)
        if refused is not None:
            await refused(scope, receive, send)
            return
        try:
            body = await asyncio.wait_for(self._body(receive), _BODY_TIMEOUT_S)
        except (TimeoutError, _TooLargeError) as error:
            await self._too_much(isinstance(error, _TooLargeError))(scope, receive, send)
            return
        await self._app(scope, _replayed(body, receive), send)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        return next(self._refusals(scope, headers), None)

    def _refusals(self, scope: Scope, headers: Headers) -> Iterator[Response]:
        host = headers.get("host", "")
        if _host_name(host) not in self._access.hosts or len(headers.getlist("host")) != 1:
            known = ", ".join(sorted(self._access.hosts))
            yield problem(403, BadInputError(f"a Host of {known}", repr(host), "name it in serve.allowed_hosts"))
        origin, method = headers.get("origin"), scope["method"]
        if not self._may_come_from(origin, host, headers.get("sec-fetch-site"), scope["scheme"]):
            came = repr(origin or "another site")
            todo = "name it in serve.allowed_origins if that page may ask"
            yield problem(403, BadInputError("a request of our own pages, or of allowed ones", came, todo))
        if method == "OPTIONS" and origin in self._access.origins:
            answer = {"access-control-allow-methods": _CORS_METHODS, "access-control-allow-headers": _CORS_HEADERS}
            yield Response(status_code=204, headers=answer)
        if not self._knows_token(headers.get("authorization", "")):
            wanted = BadInputError(
                "Authorization: Bearer TOKEN", "none, or another", "use the token of serve.token_file"
            )
            yield problem(401, wanted, {"www-authenticate": "Bearer"})
        if method in _WITH_BODY and headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            got = repr(headers.get("content-type", ""))
            yield problem(415, BadInputError("Content-Type: application/json", got, "send the body as JSON"))
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > self._access.max_body_bytes:
            yield self._too_much(True)

    def _may_come_from(self, origin: str | None, host: str, fetch_site: str | None, scheme: str) -> bool:
        if origin is None:
            return fetch_site in _SAME_ORIGIN
        # Behind a proxy that ends TLS the page's scheme is not the one that reaches us; the host has to be ours anyway.
        return origin in self._access.origins or origin in (f"{scheme}://{host}", f"https://{host}")

    def _knows_token(self, authorization: str) -> bool:
        if self._access.token is None:
            return True
        scheme, _, given = authorization.partition(" ")
        # As bytes: compare_digest refuses text beyond ASCII.
        same = hmac.compare_digest(given.strip().encode(), self._access.token.encode())
        return same and scheme.lower() == "bearer"

    async def _body(self, receive: Receive) -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b""
            body += message.get("body", b"")
            if len(body) > self._access.max_body_bytes:
                raise _TooLargeError
            if not message.get("more_body", False):
                return bytes(body)

    def _too_much(self, in_bytes: bool) -> Response:
        if in_bytes:
            most = f"a body of at most {self._access.max_body_bytes} bytes"
            return problem(413, BadInputError(most, "more", "send less, or raise serve.max_body_bytes"))
        return problem(408, BadInputError(f"a body within {_BODY_TIMEOUT_S:.0f} s", "no end of it", "send it again"))

    def _marked(self, send: Send, origin: str | None) -> Send:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-content-type-options"] = "nosniff"
                headers["cache-control"] = "no-store"
                headers.add_vary_header("origin")
                if origin in self._access.origins:
                    headers["access-control-allow-origin"] = origin or ""
            await send(message)

        return marked


class _TooLargeError(Exception):
    """The body goes on beyond the limit."""


def _host_name(host: str) -> str:
    """Return the name in a Host header, without its port; an IPv6 address keeps its brackets."""
    name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
    return name.lower().rstrip(".")


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay


async def _empty() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
