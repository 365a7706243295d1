"""Who may use the HTTP API, by the settings: nobody from elsewhere without a token and a name."""

from __future__ import annotations

import ipaddress

from inspector.apps import wiring
from inspector.domain.errors import BadInputError
from inspector.settings import Settings
from inspector.web.guard import WebAccess

_MIN_TOKEN_CHARS = 16
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  looked for, not bound to


def web_access(settings: Settings) -> WebAccess:
    """Return who may use the HTTP API.

    Raises:
        BadInputError: others could reach it and there is no token, or no name by which they do; or the token's file
            cannot be read.
    """
    serve = settings.serve
    token = wiring.secret_of(serve.token, serve.token_file, "serve.token_file")
    if token is not None and (len(token) < _MIN_TOKEN_CHARS or not token.isascii() or not token.isprintable()):
        raise BadInputError(
            f"a token of at least {_MIN_TOKEN_CHARS} printable ASCII characters",
            f"one of {len(token)} characters",
            "write another to serve.token_file, as `openssl rand -hex 24` makes it",
        )
    local = _is_loopback(serve.host)
    if not local and token is None:
        raise BadInputError(
            "a token where others can reach the service",
            f"serve.host {serve.host} and none",
            "set serve.token_file, or serve.host to 127.0.0.1",
        )
    everywhere = serve.host in _EVERYWHERE
    if everywhere and not serve.allowed_hosts:
        raise BadInputError(
            "the names by which the service is reached",
            f"serve.host {serve.host} and no serve.allowed_hosts",
            "name them in serve.allowed_hosts, as in [inspector.plant.example]",
        )
    own = set() if everywhere else {f"[{serve.host}]" if ":" in serve.host else serve.host.lower()}
    loopback = {"127.0.0.1", "localhost", "[::1]"} if local or everywhere else set()
    return WebAccess(
        hosts=frozenset({*serve.allowed_hosts, *own, *loopback}),
        origins=frozenset(serve.allowed_origins),
        token=token,
        max_body_bytes=serve.max_body_bytes,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
