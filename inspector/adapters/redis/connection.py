"""Connecting to Redis, and saying in a person's words what it refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, SentinelConnectionPool

from inspector.adapters.redis import sentinel
from inspector.adapters.redis.refusals import refuses_us, text_of
from inspector.adapters.tls_files import check_tls_files
from inspector.domain.errors import BadInputError, CredentialsError, InspectorError, ServiceUnavailableError

DEFAULT_TIMEOUT_S = 5.0

_AWAY = (RedisConnectionError, RedisTimeoutError)
_FOR_NOW_TEXT = re.compile(
    r"\b(OOM|MISCONF|READONLY|LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|NOSCRIPT)\b"
)
# Said by a server that is no primary any more, or is cut off from its replicas: behind Sentinel there may be another.
_MAY_BE_REPLACED = ("READONLY", "NOREPLICAS")
# What a client meets that speaks plainly to a TLS port, or TLS to a plain one.
_ANOTHER_PROTOCOL = ("WRONG_VERSION_NUMBER", "wrong version number", "record layer failure", "reset by peer")
_WHAT_TO_DO = {
    "OOM": "give Redis more memory (maxmemory) or shorten `retention`",
    "MISCONF": "make room on Redis's disk; it refuses writes it cannot save",
    "READONLY": "point redis.url at the primary, this is a replica",
    "LOADING": "wait until Redis has read its data from disk",
    "NOREPLICAS": "start its replicas, without which it takes nothing (min-replicas-to-write)",
}


@dataclass(frozen=True, slots=True)
class RedisAccess:
    """Who we are and whom we trust, named as in the settings (PEM files); what stands in the URL wins.

    ``sentinel_username`` and ``sentinel_password`` are who we are for the sentinels, which have users of their own.

    Raises:
        BadInputError: a TLS file cannot be used.
    """

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_tls_files("redis", self.ca_file, self.cert_file, self.key_file)

    @property
    def uses_tls(self) -> bool:
        """Whether it holds anything that only a TLS connection looks at."""
        return (self.ca_file or self.cert_file) is not None

    def client_options(self) -> dict[str, Any]:
        """Return the keyword arguments that redis-py's client takes from here."""
        return _given(
            username=self.username,
            password=self.password,
            ssl_ca_certs=self.ca_file,
            ssl_certfile=self.cert_file,
            ssl_keyfile=self.key_file,
        )

    def sentinel_options(self) -> dict[str, Any]:
        """Return those by which the sentinels know us."""
        return _given(username=self.sentinel_username, password=self.sentinel_password)


def _given(**options: str | None) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


_NO_ACCESS = RedisAccess()


def connect(url: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, access: RedisAccess = _NO_ACCESS) -> redis.Redis:
    """Return a client that has reached the server at ``url``: ``redis://``, ``rediss://``, ``unix://``, or Sentinel's.

    ``redis+sentinel://`` (``rediss+sentinel://`` with TLS, to the sentinels too) names sentinels and a service; the
    client is then one of whichever server is the primary, and finds the next one by itself: calls fail meanwhile.
    ``timeout_s`` bounds connecting and every read and write. With TLS the servers' certificates and names are
    verified, with the system's authorities or ``access.ca_file``. The client may be used from several threads.

    Raises:
        BadInputError: ``url`` is no Redis URL, ``access`` asks for TLS or sentinels and it does not, or no sentinel
            knows the service.
        ServiceUnavailableError: the server is away or not ready, or the sentinels know no primary for now.
        CredentialsError: they refuse the name or password.
    """
    _check_used(url, access)
    client = _client(url, timeout_s, access)
    try:
        with translated(client):
            _ping(client)
    except BaseException:
        client.close()
        raise
    return client


def _check_used(url: str, access: RedisAccess) -> None:
    """Refuse to leave out what the settings give. The URL is not shown: it may hold a password."""
    if access.uses_tls and not url.startswith(("rediss://", sentinel.TLS_SCHEME)):
        raise BadInputError(
            f"redis.url to begin with rediss:// or {sentinel.TLS_SCHEME}, as redis.ca_file or cert_file asks for TLS",
            "another beginning",
            "correct redis.url, or leave the files out",
        )
    if access.sentinel_options() and not url.startswith(sentinel.SCHEMES):
        raise BadInputError(
            f"redis.url to begin with {' or '.join(sentinel.SCHEMES)}, as redis.sentinel_username or _password is set",
            "another beginning",
            "correct redis.url, or leave them out",
        )


def _client(url: str, timeout_s: float, access: RedisAccess) -> redis.Redis:
    if url.startswith(sentinel.SCHEMES):
        return sentinel.primary_client(url, timeout_s, access.client_options(), access.sentinel_options())
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
            f"a Redis URL such as redis://USER:PASSWORD@HOST:6379/0 or {sentinel.EXAMPLE}",
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
    if (pool := sentinel.pool_of(client)) is not None:
        return sentinel.address_of(pool)
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
    text = text_of(error)
    pool = sentinel.pool_of(client)
    if pool is not None and isinstance(error, MasterNotFoundError):
        raise _no_primary(pool) from None  # its text is redis-py's own, and older ones show passwords
    if refuses_us(error):
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
        if pool is not None and code[0] in _MAY_BE_REPLACED:
            pool.disconnect(inuse_connections=False)
            todo = f"try again: the sentinels are asked anew; or {todo}"
        raise ServiceUnavailableError(f"{where} to serve us", f"a refusal ({text})", todo) from error
    if isinstance(error, _AWAY):
        raise ServiceUnavailableError(
            f"a Redis server at {address(client)}", f"no connection ({text})", _what_to_do(text, pool)
        ) from error
    raise BadInputError(
        f"{where}, 7.0 or newer, with keys inspection:* used by the inspector only",
        f"an error ({text})",
        "check the server's version and what else writes to it",
    ) from error


def _no_primary(pool: SentinelConnectionPool) -> InspectorError:
    """Ask the sentinels why, and return what to raise: as long as one of them may know better, it is worth waiting."""
    answers = sentinel.ask_each(pool)
    words = {answer.word for answer in answers}
    expected, got = f"sentinels that name the primary of {pool.service_name}", "; ".join(map(str, answers))
    if words & {sentinel.Word.UP, sentinel.Word.DOWN}:
        return ServiceUnavailableError(expected, got, "wait for the failover, or look into the sentinels' logs")
    if sentinel.Word.AWAY in words:
        return ServiceUnavailableError(expected, got, _what_to_do(got))
    if sentinel.Word.REFUSES in words:
        todo = "check redis.sentinel_username and sentinel_password_file: sentinels have users of their own"
        return CredentialsError(expected, got, todo)
    return BadInputError(expected, got, "correct the hosts or the service's name in redis.url")


def _what_to_do(text: str, pool: SentinelConnectionPool | None = None) -> str:
    if "certificate verify failed" in text:
        return "check redis.ca_file, and for whom and until when the server's certificate is made out"
    if any(sign in text for sign in _ANOTHER_PROTOCOL):
        return "check its log, and whether it wants TLS (rediss://, rediss+sentinel:// in redis.url) or does not"
    return "start it, or correct redis.url" if pool is None else "wait for the failover, or start it"
