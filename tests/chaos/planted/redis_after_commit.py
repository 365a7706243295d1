"""Bug: results are stored when their batch has been committed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from patching import replace

from inspector.adapters.kafka.frame_log import KafkaFrameLog
from inspector.apps import wiring
from inspector.domain.outcome import Inspected
from inspector.pipeline.ports import ResultStore, StoreStatus
from inspector.settings import Settings


class _LaterStore:
    def __init__(self, inner: ResultStore) -> None:
        self._inner = inner
        self._waiting: list[tuple[Sequence[Inspected], int]] = []

    def store(self, results: Sequence[Inspected], fencing_token: int) -> Sequence[StoreStatus]:
        self._waiting.append((results, fencing_token))
        return [StoreStatus.STORED] * len(results)

    def stored_up_to(
        self, partitions: Collection[tuple[str, int]], fencing_token: int
    ) -> Mapping[tuple[str, int], int]:
        return self._inner.stored_up_to(partitions, fencing_token)

    def store_now(self) -> None:
        for results, fencing_token in self._waiting:
            self._inner.store(results, fencing_token)
        self._waiting.clear()


def plant() -> None:
    real_store, commit = wiring.result_store, KafkaFrameLog.commit
    made: list[_LaterStore] = []

    def later_store(settings: Settings) -> _LaterStore:
        made.append(_LaterStore(real_store(settings)))
        return made[-1]

    def committing(log: Any, *rest: Any) -> None:
        commit(log, *rest)
        made[-1].store_now()

    replace(wiring, "result_store", later_store)
    replace(KafkaFrameLog, "commit", committing)
