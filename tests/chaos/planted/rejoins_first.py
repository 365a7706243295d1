"""No bug, a circumstance: a worker that was stopped joins its group again before any frame reaches it.

The order of the two is a matter of chance. Frames that come first are caught by the fences in Redis, which know a newer
owner of their partition; only what comes after the new membership shows whether the positions are still the old ones.
"""

from __future__ import annotations

import time
from typing import Any

from kafka import KafkaConsumer
from kafka.structs import MemberState
from patching import replace

# Longer than any poll, and than a session.
_STOPPED_S = 6.0


def plant() -> None:
    poll = KafkaConsumer.poll
    polled_s = time.monotonic()
    left: int | None = None  # the generation in which the worker was stopped

    def polling(consumer: Any, *rest: Any, **more: Any) -> Any:
        nonlocal polled_s, left
        if consumer.config["group_id"] is None:
            return poll(consumer, *rest, **more)
        before, now = polled_s, consumer.group_metadata()
        if left is not None and now.state == MemberState.STABLE and now.generation_id > left:
            left = None
            consumer.resume(*consumer.assignment())
        elif left is not None:
            consumer.pause(*consumer.assignment())
        records = poll(consumer, *rest, **more)
        polled_s = time.monotonic()
        if polled_s - before <= _STOPPED_S or now.generation_id < 0:
            return records
        left = now.generation_id
        for partition, batch in records.items():  # it was stopped in this poll or before it
            consumer.seek(partition, batch[0].offset)
        return {}

    replace(KafkaConsumer, "poll", polling)
