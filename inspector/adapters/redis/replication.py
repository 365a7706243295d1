"""Writes that must outlive the primary they were made on; the others are repaired, or made again."""

from __future__ import annotations

from typing import Any

import redis
from redis.client import Pipeline

from inspector.adapters.redis import sentinel
from inspector.adapters.redis.connection import address
from inspector.domain.errors import ServiceUnavailableError


def execute_replicated(client: redis.Redis, pipeline: Pipeline) -> list[Any]:
    """Run ``pipeline``, which writes; behind Sentinel return only once a replica has its writes, too.

    Sentinel promotes the replica that has most. A server that stands alone has what it says yes to on its disk.

    Raises:
        ServiceUnavailableError: no replica took them in half the time that an answer may take; they may be lost with
            the primary, or be on one that is no primary any more. The same call may be repeated.
    """
    pool = sentinel.pool_of(client)
    if pool is None:
        return pipeline.execute()
    pipeline.wait(1, round(pool.connection_kwargs["socket_timeout"] * 1000 / 2))
    *replies, replicas = pipeline.execute()
    if replicas < 1:
        raise ServiceUnavailableError(
            f"a replica of Redis at {address(client)} to take what its primary took",
            "none that did in time",
            "start its replicas, and look at their lag (INFO replication); then try again",
        )
    return replies
