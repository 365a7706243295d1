"""Metrics and probes over HTTP, on a port of their own: ``/metrics``, ``/livez``, ``/readyz``, ``/startupz``."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from inspector.adapters.telemetry.instruments import CONTENT_TYPE
from inspector.domain.errors import BadInputError
from inspector.pipeline.health import Health

_log = logging.getLogger(__name__)

# Who connects and says nothing holds a thread for so long, and so many may be held.
_REQUEST_TIMEOUT_S = 5.0
_MAX_REQUESTS = 16


class TelemetryServer:
    """Answers until closed, each request on a thread of its own.

    Args:
        host: address to listen on.
        port: port; 0 takes a free one.
        metrics: returns the text of the metrics.
        health: returns how the process is; it must not wait for anything.

    Raises:
        BadInputError: the address cannot be taken.
    """

    def __init__(self, host: str, port: int, metrics: Callable[[], bytes], health: Callable[[], Health]) -> None:
        class Handler(_Handler):
            pages = _Pages(metrics, health)

        try:
            self._server = _server_class(host)((host, port), Handler)
        except OSError as error:
            raise BadInputError(
                f"to listen on {host} port {port}",
                f"{error.strerror or error}",
                "correct metrics.host, or give each process on this machine its own metrics.port",
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="telemetry", daemon=True)
        self._thread.start()
        _log.info("metrics and probes at %s", self.url)

    @property
    def url(self) -> str:
        """Where it listens, as http://HOST:PORT."""
        host, port = self._server.server_address[:2]
        shown = str(host)
        return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Pages:
    def __init__(self, metrics: Callable[[], bytes], health: Callable[[], Health]) -> None:
        self._metrics = metrics
        self._health = health

    def get(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        """Return status, content type and body of a path."""
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE, self._metrics()
        health = self._health()
        fine = {"/livez": health.live, "/readyz": health.ready, "/startupz": health.started}.get(path)
        if fine is None:
            return HTTPStatus.NOT_FOUND, "text/plain", b"/metrics /livez /readyz /startupz\n"
        if fine:
            return HTTPStatus.OK, "text/plain", b"ok\n"
        return HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", f"{health.why or 'not yet'}\n".encode()


class _Handler(BaseHTTPRequestHandler):
    pages: _Pages
    timeout = _REQUEST_TIMEOUT_S
    server_version = "inspector"
    sys_version = ""

    def do_GET(self) -> None:
        status, kind, body = self.pages.get(self.path.partition("?")[0])
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a probe every few seconds is no news."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._room = threading.BoundedSemaphore(_MAX_REQUESTS)
        super().__init__(address, handler)

    def server_bind(self) -> None:
        # Not HTTPServer's own, which asks the name service for this machine's name.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away before it has its answer is no trouble of ours."""


class _Server6(_Server):
    address_family = socket.AF_INET6


def _server_class(host: str) -> type[_Server]:
    return _Server6 if ":" in host else _Server
