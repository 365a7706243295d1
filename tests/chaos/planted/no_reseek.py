"""Bug: a member whose membership changed goes on where it stands, instead of where its group has come to."""

from __future__ import annotations

from typing import Any

from kafka.structs import TopicPartition
from patching import replace

from inspector.adapters.kafka.membership import MembershipGuard

_TIMEOUT_MS = 15_000


def plant() -> None:
    def stand(guard: Any, partition: TopicPartition) -> int:
        return int(guard._consumer.position(partition, timeout_ms=_TIMEOUT_MS) or 0)

    replace(MembershipGuard, "_seek", stand)
