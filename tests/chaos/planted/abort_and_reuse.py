"""Bug: after a failed commit the transaction is aborted, and the same producer and consumer go on.

It looks right: everything uncommitted is thrown away and taken again from the committed offsets. But the offsets of the
aborted transaction stay in the client (kafka-python 3.0.12) and ride along in the next one, without their alerts. That
does harm if the next transaction is of other partitions, so those of the failed one are kept from it for a moment, as
if the brokers had answered for the others first.
"""

from __future__ import annotations

import time
from typing import Any

from kafka.structs import TopicPartition
from patching import replace

from inspector.adapters.kafka.frame_log import KafkaFrameLog
from inspector.adapters.kafka.membership import MembershipGuard
from inspector.pipeline.ports import CommitFailedError

_HELD_S = 2.0


def plant() -> None:
    commit, poll = KafkaFrameLog.commit, KafkaFrameLog.poll
    held: list[TopicPartition] = []
    held_until_s = 0.0

    def aborting(log: Any, ownership: Any, next_offsets: Any, records: Any, *notes: Any) -> None:
        nonlocal held_until_s
        try:
            commit(log, ownership, next_offsets, records, *notes)
        except CommitFailedError:
            log._producer.abort_transaction()
            held.extend(TopicPartition(*key) for key in next_offsets)
            held_until_s = time.monotonic() + _HELD_S
            raise

    def reusing(log: Any) -> None:
        log._failed = False
        log._guard = MembershipGuard(log._consumer)  # it seeks to the committed offsets

    def polling(log: Any, *rest: Any) -> Any:
        if held and time.monotonic() < held_until_s:
            log._consumer.pause(*held)
        elif held:
            log._consumer.resume(*held)
            held.clear()
        return poll(log, *rest)

    replace(KafkaFrameLog, "commit", aborting)
    replace(KafkaFrameLog, "rebuild", reusing)
    replace(KafkaFrameLog, "poll", polling)
