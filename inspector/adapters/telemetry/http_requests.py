"""Counts and times the requests of an ASGI application, by route template, never by path."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from inspector.adapters.telemetry.instruments import Instruments
from inspector.domain.metrics import LABELS, OTHER

_Message = MutableMapping[str, Any]
_App = Callable[[_Message, Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]], Awaitable[None]]
_METHODS = LABELS["method"].values


class CountedApp:
    """An ASGI application around another one; what is refused before it has a route is counted as ``other``."""

    def __init__(self, app: _App, made: Instruments) -> None:
        self._app = app
        self._requests = made.counter("inspector_http_requests_total")
        self._seconds = made.histogram("inspector_http_request_seconds")

    async def __call__(
        self, scope: _Message, receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
    ) -> None:
        """Pass a request on, and count it when it has ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # of an application that fails before it says anything

        async def noting(message: _Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started_s = time.perf_counter()
        try:
            await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", OTHER)
            method = scope["method"] if scope["method"] in _METHODS else OTHER
            self._requests.labels(method, route, f"{status // 100}xx").inc()
            self._seconds.labels(route).observe(time.perf_counter() - started_s)
