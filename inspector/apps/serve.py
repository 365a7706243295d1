"""``inspector serve``: the HTTP API, until SIGTERM."""

from __future__ import annotations

import signal
import socket
from contextlib import closing
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI

from inspector.apps import console
from inspector.apps.feedback_desk import FeedbackDesk
from inspector.apps.process_telemetry import telling
from inspector.apps.web_access import web_access
from inspector.domain.errors import BadInputError
from inspector.domain.metrics import Part
from inspector.settings import Settings
from inspector.web.app import create_app

if TYPE_CHECKING:
    from inspector.adapters.telemetry.http_requests import CountedApp
    from inspector.adapters.telemetry.instruments import Instruments

# Connections, each of which may hold a body in memory; browsers keep several open.
_MAX_CONNECTIONS = 100
_LAST_REQUESTS_S = 10


class _Server(uvicorn.Server):
    """Ends with exit code 0 when it is told to: uvicorn's own would repeat the signal and be killed by it."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True


def run(settings: Settings) -> None:
    """Answer requests until SIGTERM or Ctrl-C; those in hand are finished.

    Raises:
        BadInputError: the address cannot be taken, or ``serve.*`` would let in who should not be.
        InspectorError: Redis cannot be used.
    """
    access = web_access(settings)
    listens_at = settings.serve.host, settings.serve.port
    with (
        closing(_bound(*listens_at)) as listening,
        closing(FeedbackDesk(settings)) as desk,
        telling(settings, Part.SERVE) as made,
    ):
        app = create_app(desk, access)
        config = uvicorn.Config(
            app if made is None else _counted(app, made),
            log_config=None,  # ours is set already
            access_log=False,
            server_header=False,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_graceful_shutdown=_LAST_REQUESTS_S,
            ws="none",
        )
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        console.remark(f"serving http://{shown}:{port}{'' if access.token is None else ', with a token'}")
        _Server(config).run([listening])


def _counted(app: FastAPI, made: Instruments) -> CountedApp:
    from inspector.adapters.telemetry.http_requests import CountedApp

    return CountedApp(app, made)


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        raise BadInputError(
            f"to listen on {host} port {port}",
            f"{error.strerror or error}",
            "correct serve.host, or set another serve.port; is it served there already?",
        ) from error
