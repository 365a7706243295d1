"""Which records of trainer runs there are, the last one first; the records themselves are artefacts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import redis

from inspector.adapters.redis import keys
from inspector.adapters.redis.connection import translated

MOST_RUNS = 200


class RedisTrainerRuns:
    """The versions of run records. Every method raises ``ServiceUnavailableError`` while Redis is away."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def add(self, version: str) -> Sequence[str]:
        """Put a run's record first, once however often it is added; return the versions that it pushed out."""
        with translated(self._client), self._client.pipeline(transaction=True) as pipeline:
            pipeline.lrem(keys.TRAINER_RUNS, 0, version)
            pipeline.lpush(keys.TRAINER_RUNS, version)
            pipeline.lrange(keys.TRAINER_RUNS, MOST_RUNS, -1)
            pipeline.ltrim(keys.TRAINER_RUNS, 0, MOST_RUNS - 1)
            pushed_out = pipeline.execute()[2]
        return [old.decode() for old in pushed_out]

    def last(self, n: int) -> Sequence[str]:
        """Return the versions of the last ``n`` runs, the latest first."""
        with translated(self._client):
            found = cast(list[bytes], self._client.lrange(keys.TRAINER_RUNS, 0, n - 1))
        return [version.decode() for version in found]
