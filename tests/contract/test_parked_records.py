"""What a consumer holds of paused partitions comes out when they are resumed, however many they are."""

from __future__ import annotations

import time
from typing import Any

import pytest
from kafka.structs import TopicPartition
from local_services import Services
from log_worlds import KafkaWorld

from inspector.adapters.kafka import clients

pytestmark = [pytest.mark.services, pytest.mark.timeout(120)]


def _read(consumer: Any, seen: list[tuple[int, bytes]], count: int, at_most: int, timeout_s: float = 20.0) -> None:
    """Poll until ``count`` records were seen, or for so long."""
    deadline_s = time.monotonic() + timeout_s
    while len(seen) < count and time.monotonic() < deadline_s:
        for partition, batch in consumer.poll(timeout_ms=100, max_records=at_most).items():
            seen.extend((partition.partition, raw.value) for raw in batch)


def test_two_partitions_paused_one_after_the_other_are_both_read_to_the_end(services: Services) -> None:
    world = KafkaWorld(services.kafka_bootstrap)
    try:
        for number in range(6):
            for partition in (0, 1):
                world.publish_to(partition, b"%d" % number)
        partitions = [TopicPartition(world.frames, number) for number in (0, 1)]
        consumer = clients.lone_consumer(world.connection, max_record_bytes=1024)
        consumer.assign(partitions)
        seen: list[tuple[int, bytes]] = []
        _read(consumer, seen, 1, at_most=1)
        first = TopicPartition(world.frames, seen[0][0])
        consumer.pause(first)
        _read(consumer, seen, 2, at_most=1)
        consumer.pause(*partitions)
        consumer.poll(timeout_ms=100, max_records=1)
        consumer.resume(*partitions)
        _read(consumer, seen, 12, at_most=4)
        clients.close_consumer(consumer, 2.0)
        assert sorted(seen) == [(partition, b"%d" % number) for partition in (0, 1) for number in range(6)]
    finally:
        world.close()
