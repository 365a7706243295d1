"""Bug: the consumer commits by itself what it has polled, whatever has become of it."""

from __future__ import annotations

from typing import Any

from kafka import KafkaConsumer
from patching import replace

from inspector.adapters.kafka import clients

_AUTO = {"enable_auto_commit": True, "auto_commit_interval_ms": 50}


def plant() -> None:
    def consumer(**options: Any) -> Any:
        return KafkaConsumer(**{**options, **(_AUTO if options.get("group_id") else {})})

    replace(clients, "KafkaConsumer", consumer)
