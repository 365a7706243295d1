"""What `inspector doctor` says about Redis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import redis
from redis.exceptions import RedisError, ResponseError
from redis.sentinel import SentinelConnectionPool

from inspector.adapters.redis import sentinel
from inspector.adapters.redis.connection import DEFAULT_TIMEOUT_S, RedisAccess, connect, translated


@dataclass(frozen=True, slots=True)
class RedisCheck:
    """A reachable server: its version, and what is not as it should be, one sentence each (none: all is well).

    ``place``: behind Sentinel the service, the primary that was reached, and the sentinels; otherwise empty.
    """

    version: str
    findings: tuple[str, ...]
    place: str = ""


def check(url: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, access: RedisAccess | None = None) -> RedisCheck:
    """Look at the server at ``url``; reads only.

    Raises: as ``connect``.
    """
    client = connect(url, timeout_s=timeout_s, access=access or RedisAccess())
    try:
        with translated(client):
            info = client.info()
            findings = _findings(info, _configured(client, "appendfsync"))
            pool = sentinel.pool_of(client)
            if pool is not None:
                findings += _failover_findings(pool, info, _configured(client, "min-replicas-to-write"))
    finally:
        client.close()
    return RedisCheck(str(info["redis_version"]), tuple(findings), sentinel.address_of(pool) if pool else "")


def _configured(client: redis.Redis, name: str) -> str | None:
    """Return a configuration value, or None where the server does not tell (managed services forbid CONFIG)."""
    try:
        values = cast(dict[str, str], client.config_get(name))
    except ResponseError:
        return None
    return values.get(name)


def _findings(info: dict[str, Any], appendfsync: str | None) -> list[str]:
    findings = []
    if info.get("role") != "master":
        findings.append("expected the primary, got a replica: point redis.url at the primary")
    if not info.get("aof_enabled"):
        findings.append("expected appendonly yes, got no: results would be lost with a restart; set it")
    elif appendfsync is None:
        findings.append("expected appendfsync always, the server does not tell: ask who runs it")
    elif appendfsync != "always":
        findings.append(f"expected appendfsync always, got {appendfsync}: the last second could be lost; set it")
    policy = info.get("maxmemory_policy")
    if policy != "noeviction":
        findings.append(f"expected maxmemory-policy noeviction, got {policy}: results would vanish silently; set it")
    return findings


def _failover_findings(pool: SentinelConnectionPool, info: dict[str, Any], min_replicas: str | None) -> list[str]:
    """Return what would keep a failover from happening, or make it lose more than it must."""
    findings = [
        f"expected every sentinel to name the primary, got one that does not ({answer}): look into its log"
        for answer in sentinel.ask_each(pool)
        if answer.word is not sentinel.Word.UP
    ]
    findings += [
        f"expected enough sentinels for a failover, got {each}: start them" for each in _short_of_sentinels(pool)
    ]
    replicas = int(info.get("connected_slaves", 0))
    if replicas == 0:
        findings.append("expected a replica that can take over, got none: start one")
    if replicas > 1 and min_replicas == "0":
        todo = "one that is cut off goes on taking results that are lost; set it on every server"
        findings.append(f"expected min-replicas-to-write 1 on the primary, got 0: {todo}")
    return findings


def _short_of_sentinels(pool: SentinelConnectionPool) -> list[str]:
    """Ask one that answers; none or one sentence."""
    for each in pool.sentinel_manager.sentinels:
        try:
            each.sentinel_ckquorum(pool.service_name)
        except ResponseError as error:
            return [str(error).replace(": ", ", ")] if "NOQUORUM" in str(error) else []
        except RedisError:  # told of elsewhere
            continue
        return []
    return []
