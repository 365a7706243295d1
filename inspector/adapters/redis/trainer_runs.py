"""Which records of trainer runs there are, the last one first, and when a trainer last looked for something to do.

The records themselves are artefacts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

import redis

from inspector.adapters.redis import keys
from inspector.adapters.redis.connection import translated
from inspector.domain.errors import BadInputError

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

    def looked(self) -> None:
        """Note that a trainer has now, by the clock of Redis, looked and done what there was to do."""
        with translated(self._client):
            seconds, microseconds = self._client.time()
            now = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)
            self._client.set(keys.TRAINER_LOOKED, now.isoformat())

    def last_look(self) -> datetime | None:
        """Return when that was last noted; None: never.

        Raises:
            BadInputError: what is noted there is no moment.
        """
        with translated(self._client):
            found = cast(bytes | None, self._client.get(keys.TRAINER_LOOKED))
        if found is None:
            return None
        try:
            return datetime.fromisoformat(found.decode())
        except ValueError as error:
            raise BadInputError(
                f"a moment at {keys.TRAINER_LOOKED}", repr(found[:40]), "delete that key: the next look writes it"
            ) from error
