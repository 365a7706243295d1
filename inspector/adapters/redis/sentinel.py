"""Redis behind Sentinel: redis-py asks the sentinels for the primary; here is how it is told, and what they answered.

What a failover means for what is stored: deploy/decisions/0022-redis-sentinel.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast
from urllib.parse import unquote

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool

from inspector.adapters.redis.refusals import refuses_us, text_of
from inspector.domain.errors import BadInputError

TLS_SCHEME = "rediss+sentinel://"
SCHEMES = ("redis+sentinel://", TLS_SCHEME)
EXAMPLE = "redis+sentinel://USER:PASSWORD@HOST1:26379,HOST2:26379,HOST3:26379/SERVICE/0"
DEFAULT_PORT = 26379

_URL = re.compile(
    r"redis(?P<tls>s?)\+sentinel://(?:(?P<user>[^@/?#]*)@)?(?P<hosts>[^@/?#]*)"
    r"(?:/(?P<service>[^/?#]*))?(?:/(?P<database>[^/?#]*))?(?:\?(?P<query>[^#]*))?"
)
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:\s]+)(?::(?P<port>[0-9]{1,5}))?")

# What redis-py's Sentinel takes beside the options of a connection, and what the scheme or we say.
_OURS = frozenset({"sentinels", "min_other_sentinels", "sentinel_kwargs", "force_master_ip", "ssl", "retry"})

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """What a URL says. ``options`` are redis-py's for the Redis servers; they may hold a password."""

    sentinels: Sequence[Place]
    service: str
    tls: bool
    options: Mapping[str, Any]


def read_url(url: str) -> SentinelUrl:
    """Take a URL like ``EXAMPLE`` apart; port and database may be left out, ``?options`` are redis-py's.

    Raises:
        BadInputError: it cannot be read. The message shows nothing of it, for it may hold a password.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise _unreadable("one that cannot be read")
    database = found["database"] or "0"
    if not found["service"]:
        raise _unreadable("none of a service after the hosts")
    if not (database.isascii() and database.isdigit()):
        raise _unreadable("a database that is no number")
    sentinels = [_place(each) for each in found["hosts"].split(",")]
    try:
        # A plain URL with the rest of it, so that names, passwords and options are read as redis-py reads them.
        options = parse_url(f"redis://{found['user'] or ''}@localhost/{database}?{found['query'] or ''}")  # type: ignore[no-untyped-call]
    except ValueError:
        raise _unreadable("a name, password or ?option that cannot be read") from None
    rest = {name: value for name, value in options.items() if name not in ("host", "port")}
    if not _OURS.isdisjoint(rest):
        raise _unreadable(f"the ?option {', '.join(sorted(_OURS & rest.keys()))}, which is not for a URL")
    return SentinelUrl(sentinels, unquote(found["service"]), bool(found["tls"]), rest)


def _place(text: str) -> Place:
    found = _HOST.fullmatch(text)
    port = int(found["port"] or DEFAULT_PORT) if found else 0
    if found is None or not 0 < port < 2**16:
        raise _unreadable("a host or port of a sentinel that cannot be read")
    return unquote(found["host"].strip("[]")), port


def _unreadable(got: str) -> BadInputError:
    return BadInputError(
        f"a Redis URL such as {EXAMPLE}",
        f"{got} (not shown: it may hold a password)",
        "check redis.url; special characters in the password are written %XX",
    )


class _Sentinels(Sentinel):
    """redis-py's, for a client that several threads use and for sentinels that refuse to answer."""

    def discover_master(self, service_name: str) -> Place:
        # It swaps places in the list that it walks through: two threads at once would lose a sentinel.
        own = copy(self)
        own.sentinels = list(self.sentinels)
        try:
            place = cast(Place, super(_Sentinels, own).discover_master(service_name))  # type: ignore[no-untyped-call]
        except ResponseError as error:  # otherwise not to be told from what the primary refuses
            raise MasterNotFoundError(str(error)) from error
        self.sentinels = own.sentinels  # who knew it is asked first from now on
        return place


class _Pool(SentinelConnectionPool):
    """redis-py's, closed with what it asked: its own leaves the sentinels' sockets to the garbage collector."""

    def disconnect(self, inuse_connections: bool = True) -> None:
        super().disconnect(inuse_connections)
        for sentinel in self.sentinel_manager.sentinels:
            sentinel.connection_pool.disconnect(inuse_connections)


def primary_client(
    url: str, timeout_s: float, options: Mapping[str, Any], sentinel_options: Mapping[str, Any]
) -> redis.Redis:
    """Return a client of whichever server is the primary; nothing is connected yet.

    ``options`` are redis-py's for the Redis servers, TLS files among them, which hold for the sentinels too;
    ``sentinel_options`` a name and a password for those. Asking all of them takes as long as connecting may.

    Raises:
        BadInputError: ``url`` cannot be read.
    """
    wanted = read_url(url)
    connection = {**options, **wanted.options}
    ssl = {"ssl": True, **{name: connection[name] for name in connection if name.startswith("ssl_")}}
    each_s = timeout_s / len(wanted.sentinels)
    made = _Sentinels(  # type: ignore[no-untyped-call]
        wanted.sentinels,
        sentinel_kwargs={
            **sentinel_options,
            **(ssl if wanted.tls else {}),
            "socket_timeout": each_s,
            "socket_connect_timeout": each_s,
            # The next one is asked instead; the whole question is put again where that did not help.
            "retry": Retry(NoBackoff(), 0),
        },
        **{"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s, **connection},
        ssl=wanted.tls,
        retry=Retry(NoBackoff(), 1),  # as for a server of its own
    )
    return cast(redis.Redis, made.master_for(wanted.service, connection_pool_class=_Pool))  # type: ignore[no-untyped-call]


def pool_of(client: redis.Redis) -> SentinelConnectionPool | None:
    """Return the connections of a client behind Sentinel, None of any other."""
    pool = client.connection_pool
    return pool if isinstance(pool, SentinelConnectionPool) else None


def every_server(client: redis.Redis) -> list[redis.Redis]:
    """Return ``client`` and, behind Sentinel, one of each replica, also of those that are away.

    For what is each server's own, as its users are: any of them may be the primary one day. ``client`` has found the
    primary before.
    """
    pool = pool_of(client)
    if pool is None:
        return [client]
    asked = pool.sentinel_manager
    replicas = cast(
        list[dict[str, Any]], asked.sentinels[0].sentinel_slaves(pool.service_name)
    )  # who named the primary
    return [client, *(redis.Redis(each["ip"], each["port"], **asked.connection_kwargs) for each in replicas)]


def address_of(pool: SentinelConnectionPool) -> str:
    """Return the service, the primary that was last told of, and the sentinels; without credentials."""
    primary = "not known yet" if pool.master_address is None else named(*pool.master_address)
    return f"service {pool.service_name} (primary {primary}; sentinels {', '.join(sentinels_of(pool))})"


def sentinels_of(pool: SentinelConnectionPool) -> list[str]:
    """Return the addresses of the sentinels, always in the same order."""
    return sorted(_address(sentinel) for sentinel in pool.sentinel_manager.sentinels)


def named(host: str, port: int) -> str:
    """Return an address as people write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _address(sentinel: redis.Redis) -> str:
    place = sentinel.connection_pool.connection_kwargs
    return named(place["host"], place["port"])


class Word(StrEnum):
    """What a sentinel says when it is asked for a service."""

    UP = "names a primary"
    DOWN = "knows it, its primary is down or being replaced"
    UNKNOWN = "does not know it"
    REFUSES = "refuses to tell"
    AWAY = "does not answer"
    OTHER = "is no sentinel"


@dataclass(frozen=True, slots=True)
class Answer:
    """One sentinel's. ``more``: the services it knows instead, or its refusal, or why there was no connection."""

    sentinel: str
    word: Word
    more: str = ""

    def __str__(self) -> str:
        return f"{self.sentinel} {self.word.value}{f' ({self.more})' if self.more else ''}"


def ask_each(pool: SentinelConnectionPool) -> list[Answer]:
    """Ask every sentinel for the service, for an error or a person: redis-py does not tell why it found no primary."""
    sentinels = sorted(pool.sentinel_manager.sentinels, key=_address)
    return [Answer(_address(sentinel), *_answer(sentinel, pool)) for sentinel in sentinels]


def _answer(sentinel: redis.Redis, pool: SentinelConnectionPool) -> tuple[Word, str]:
    try:
        services = cast(dict[str, Any], sentinel.sentinel_masters())
    except RedisError as error:
        return _refusal(error), text_of(error)
    if pool.service_name not in services:
        return Word.UNKNOWN, f"it knows {', '.join(sorted(services)) or 'none'}"
    up = pool.sentinel_manager.check_master_state(services[pool.service_name], pool.service_name)
    return (Word.UP if up else Word.DOWN), ""


def _refusal(error: RedisError) -> Word:
    if refuses_us(error):
        return Word.REFUSES
    return Word.AWAY if isinstance(error, (RedisConnectionError, RedisTimeoutError)) else Word.OTHER
