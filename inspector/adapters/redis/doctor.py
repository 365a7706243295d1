"""What `inspector doctor` says about Redis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import redis
from redis.exceptions import ResponseError

from inspector.adapters.redis.connection import DEFAULT_TIMEOUT_S, RedisAccess, connect, translated


@dataclass(frozen=True, slots=True)
class RedisCheck:
    """A reachable server: its version, and what is not as it should be, one sentence each (none: all is well)."""

    version: str
    findings: tuple[str, ...]


def check(url: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, access: RedisAccess | None = None) -> RedisCheck:
    """Look at the server at ``url``; reads only.

    Raises: as ``connect``.
    """
    client = connect(url, timeout_s=timeout_s, access=access or RedisAccess())
    try:
        with translated(client):
            info = client.info()
            appendfsync = _configured(client, "appendfsync")
    finally:
        client.close()
    return RedisCheck(str(info["redis_version"]), tuple(_findings(info, appendfsync)))


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
