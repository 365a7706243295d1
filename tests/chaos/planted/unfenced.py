"""Bug: results are stored whoever owns their partition by now, as if by its newest owner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from patching import replace

from inspector.adapters.redis import keys
from inspector.adapters.redis.result_store import RedisResultStore
from inspector.domain.outcome import Inspected


def plant() -> None:
    store = RedisResultStore.store

    def unguarded(own: Any, results: Sequence[Inspected], fencing_token: int) -> Any:
        fences = {keys.fence(own._group_id, each.source.topic, each.source.partition) for each in results}
        newest = [int(own._client.get(fence) or 0) for fence in fences]
        return store(own, results, max([fencing_token, *newest]))

    replace(RedisResultStore, "store", unguarded)
