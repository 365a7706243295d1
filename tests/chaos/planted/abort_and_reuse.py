"""Bug: after a failed commit the transaction is aborted, and the same producer and consumer go on.

It looks right: everything uncommitted is thrown away and taken again from the committed offsets. But the offsets of the
aborted transaction stay in the client (kafka-python 3.0.12) and ride along in the next one, without their alerts. That
does harm if the next transaction is of other partitions, so those of the failed one are left out of it, as if the
brokers had answered for the others first.
"""

from __future__ import annotations

from typing import Any

from kafka.structs import TopicPartition
from patching import replace

from inspector.adapters.kafka.frame_log import KafkaFrameLog
from inspector.adapters.kafka.membership import MembershipGuard
from inspector.pipeline.ports import CommitFailedError


def plant() -> None:
    commit, poll = KafkaFrameLog.commit, KafkaFrameLog.poll
    held: list[TopicPartition] = []

    def aborting(log: Any, ownership: Any, next_offsets: Any, records: Any, *notes: Any) -> None:
        try:
            commit(log, ownership, next_offsets, records, *notes)
        except CommitFailedError:
            log._producer.abort_transaction()
            held.extend(TopicPartition(*key) for key in next_offsets)
            raise
        log._consumer.resume(*held)
        held.clear()

    def reusing(log: Any) -> None:
        log._failed = False
        log._guard = MembershipGuard(log._consumer)  # it seeks to the committed offsets

    def polling(log: Any, *rest: Any) -> Any:
        log._consumer.pause(*held)
        return poll(log, *rest)

    replace(KafkaFrameLog, "commit", aborting)
    replace(KafkaFrameLog, "rebuild", reusing)
    replace(KafkaFrameLog, "poll", polling)
