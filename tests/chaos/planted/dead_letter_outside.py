"""Bug: dead letters go out by a producer of their own, before the transaction of their batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kafka import KafkaProducer
from patching import replace

from inspector.adapters.kafka.frame_log import KafkaFrameLog
from inspector.pipeline.ports import OutRecord


def plant() -> None:
    commit = KafkaFrameLog.commit
    producers: list[Any] = []

    def committing(log: Any, ownership: Any, next_offsets: Any, records: Sequence[OutRecord], *notes: Any) -> None:
        if not producers:
            producers.append(KafkaProducer(**log._connection.client_options(), acks="all"))
        letters = [record for record in records if record.topic.endswith("dead-letter")]
        for each in letters:
            sent = producers[0].send(each.topic, value=each.value, key=each.key, headers=list(each.headers))
            sent.get(10)
        commit(log, ownership, next_offsets, [record for record in records if record not in letters], *notes)

    replace(KafkaFrameLog, "commit", committing)
