"""Connecting to Redis, and saying in a person's words what it refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    NoPermissionError,
    RedisError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from inspector.adapters.tls_files import check_tls_files
from inspector.domain.errors import BadInputError, CredentialsError, ServiceUnavailableError

DEFAULT_TIMEOUT_S = 5.0

_REFUSES_US = (
    AuthenticationError,
    AuthorizationError,
    AuthenticationWrongNumberOfArgsError,
    NoPermissionError,
)
_AWAY = (RedisConnectionError, RedisTimeoutError)
# Older servers wrap the code of an error raised inside a script in a sentence of their own, so it is searched for.
_REFUSES_US_TEXT = re.compile(r"\b(NOAUTH|WRONGPASS|NOPERM)\b|The user executing the script")
_FOR_NOW_TEXT = re.compile(
    r"\b(OOM|MISCONF|READONLY|LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|NOSCRIPT)\b"
)
# What a client meets that speaks plainly to a TLS port, or TLS to a plain one.
_ANOTHER_PROTOCOL = ("WRONG_VERSION_NUMBER", "wrong version number", "record layer failure", "reset by peer")
_WHAT_TO_DO = {
    "OOM": "give Redis more memory (maxmemory) or shorten `retention`",
    "MISCONF": "make room on Redis's disk; it refuses writes it cannot save",
    "READONLY": "point redis.url at the primary, this is a replica",
    "LOADING": "wait until Redis has read its data from disk",
}


@dataclass(frozen=True, slots=True)
class RedisAccess:
    """Who we are and whom we trust, named as in the settings (PEM files); what stands in the URL wins.

    Raises:
        BadInputError: a TLS file cannot be used.
    """

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def __post_init__(self) -> None:
        check_tls_files("redis", self.ca_file, self.cert_file, self.key_file)

    @property
    def uses_tls(self) -> bool:
        """Whether it holds anything that only a TLS connection looks at."""
        return (self.ca_file or self.cert_file) is not None

    def client_options(self) -> dict[str, Any]:
        """Return the keyword arguments that redis-py's client takes from here."""
        options = {
            "username": self.username,
            "password": self.password,
            "ssl_ca_certs": self.ca_file,
            "ssl_certfile": self.cert_file,
            "ssl_keyfile": self.key_file,
        }
        return {name: value for name, value in options.items() if value is not None}


_NO_ACCESS = RedisAccess()


def connect(url: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, access: RedisAccess = _NO_ACCESS) -> redis.Redis:
    """Return a client that has reached the server at ``url`` (``redis://``, ``rediss://`` or ``unix://``).

    ``timeout_s`` bounds connecting and every read and write. For ``rediss://`` the server's certificate and name are
    verified, with the system's authorities or ``access.ca_file``. The client may be used from several threads.

    Raises:
        BadInputError: ``url`` is no Redis URL, or ``access`` asks for TLS and it does not.
        ServiceUnavailableError: the server is away or not ready.
        CredentialsError: it refuses the name or password.
    """
    if access.uses_tls and not url.startswith("rediss://"):
        # Not shown: it may hold a password.
        raise BadInputError(
            "redis.url to begin with rediss://, as redis.ca_file or cert_file asks for TLS",
            "another beginning",
            "correct redis.url, or leave the files out",
        )
    client = _client(url, timeout_s, access)
    try:
        with translated(client):
            _ping(client)
    except BaseException:
        client.close()
        raise
    return client


def _client(url: str, timeout_s: float, access: RedisAccess) -> redis.Redis:
    try:
        return redis.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            **access.client_options(),
            # One more try heals a connection the server closed while it was idle. Longer waits are the caller's,
            # which keeps polling Kafka meanwhile.
            retry=Retry(NoBackoff(), 1),
        )
    except (ValueError, TypeError):
        # Not chained: the parser's message may quote the password.
        raise BadInputError(
            "a Redis URL such as redis://USER:PASSWORD@HOST:6379/0",
            "one that cannot be read (not shown: it may hold a password)",
            "check redis.url; special characters in the password are written %XX",
        ) from None


def _ping(client: redis.Redis) -> None:
    try:
        client.ping()
    except TypeError as error:  # redis-py finds an unknown ?option only when it makes the first connection
        raise BadInputError("known options in redis.url", str(error), "check what stands after the `?`") from None


def address(client: redis.Redis) -> str:
    """Return where ``client`` connects to, without credentials."""
    place = client.connection_pool.connection_kwargs
    if "path" in place:
        return str(place["path"])
    return f"{place.get('host', 'localhost')}:{place.get('port', 6379)}"


@contextmanager
def translated(client: redis.Redis) -> Iterator[None]:
    """Turn redis-py's errors into the domain's (see ``raise_translated``)."""
    try:
        yield
    except RedisError as error:
        raise_translated(error, client)


def raise_translated(error: RedisError, client: redis.Redis) -> NoReturn:
    """Raise the domain's error for ``error``.

    Raises:
        CredentialsError: the server refuses who we are or what we may do.
        ServiceUnavailableError: the server is away, slow, or refuses for now; the same call may be repeated.
        BadInputError: anything else: the server or its data are not what the service needs.
    """
    where = f"Redis at {address(client)}"
    text = f"{getattr(error, 'status_code', None) or ''} {error}".strip()
    if isinstance(error, _REFUSES_US) or _REFUSES_US_TEXT.search(text):
        raise CredentialsError(
            f"{where} to let us in",
            f"a refusal ({text})",
            "check redis.username and password (or those in redis.url), and what that user may do (ACL)",
        ) from error
    if isinstance(error, RedisTimeoutError):
        raise ServiceUnavailableError(
            f"an answer from {where}", f"none in time ({text})", "check its load and the network"
        ) from error
    if code := _FOR_NOW_TEXT.search(text):
        todo = _WHAT_TO_DO.get(code[0], "wait, or look into Redis's log")
        raise ServiceUnavailableError(f"{where} to serve us", f"a refusal ({text})", todo) from error
    if isinstance(error, _AWAY):
        raise ServiceUnavailableError(
            f"a Redis server at {address(client)}", f"no connection ({text})", _what_to_do(text)
        ) from error
    raise BadInputError(
        f"{where}, 6.2 or newer, with keys inspection:* used by the inspector only",
        f"an error ({text})",
        "check the server's version and what else writes to it",
    ) from error


def _what_to_do(text: str) -> str:
    if "certificate verify failed" in text:
        return "check redis.ca_file, and for whom and until when the server's certificate is made out"
    if any(sign in text for sign in _ANOTHER_PROTOCOL):
        return "check its log, and whether it wants TLS (rediss:// in redis.url) or does not"
    return "start it, or correct redis.url"
