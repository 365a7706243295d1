"""No bug, a circumstance: a stopped worker joins its group with its old positions, before any frame reaches it.

Both are what was measured of the client, and both are a matter of chance. Frames that come before the new membership
are caught by the fences in Redis, which know a newer owner of their partition; and the client keeps a partition's
position only where no step of its rejoining takes the partition away in between.
"""

from __future__ import annotations

import time
from typing import Any

from kafka import KafkaConsumer
from kafka.structs import MemberState, TopicPartition
from patching import replace

# Longer than any poll, and than a session.
_STOPPED_S = 6.0


def plant() -> None:
    poll = KafkaConsumer.poll
    polled_s = time.monotonic()
    generation = -1  # the last one of which the worker was a settled member
    stood: dict[TopicPartition, int] = {}
    away = False

    def polling(consumer: Any, *rest: Any, **more: Any) -> Any:
        nonlocal polled_s, generation, away
        if consumer.config["group_id"] is None:
            return poll(consumer, *rest, **more)
        away = away or (generation >= 0 and time.monotonic() - polled_s > _STOPPED_S)
        if away:
            consumer.pause(*consumer.assignment())
        records = poll(consumer, *rest, **more)
        away = away or (generation >= 0 and time.monotonic() - polled_s > _STOPPED_S)
        polled_s = time.monotonic()
        now = consumer.group_metadata()
        settled = now.state == MemberState.STABLE and now.generation_id >= 0
        if away and settled and now.generation_id > generation:
            # In the very poll that joined: what the worker does about its positions comes after this.
            away = False
            for partition in stood.keys() & consumer.assignment():
                consumer.seek(partition, stood[partition])
            consumer.resume(*consumer.assignment())
            records = {}
        if away:
            return {}
        if settled:
            generation = now.generation_id
            stood.clear()
            stood.update((partition, consumer.position(partition)) for partition in consumer.assignment())
        return records

    replace(KafkaConsumer, "poll", polling)
