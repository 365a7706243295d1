"""Reading all partitions of a topic without a group."""

from __future__ import annotations

from typing import Any

from kafka.structs import TopicPartition

from inspector.adapters.kafka.connection import KafkaConnection, unknown_topic

_TIMEOUT_MS = 10_000


def assign_all(consumer: Any, topic: str, connection: KafkaConnection) -> tuple[TopicPartition, ...]:
    """Assign every partition of ``topic`` to ``consumer`` and return them.

    Raises:
        BadInputError: there is no such topic.
    """
    partitions = tuple(TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic)))
    if not partitions:
        raise unknown_topic(topic, connection)
    consumer.assign(list(partitions))
    return partitions


def seek_to_beginning(consumer: Any, partitions: tuple[TopicPartition, ...]) -> None:
    """Seek to the oldest records that are kept."""
    starts = consumer.beginning_offsets(list(partitions), timeout_ms=_TIMEOUT_MS)
    for partition, offset in starts.items():
        consumer.seek(partition, offset)


def seek_to_time(consumer: Any, partitions: tuple[TopicPartition, ...], since_ms: int) -> None:
    """Seek to the first records stamped ``since_ms`` (epoch milliseconds) or later; to the end where there is none."""
    found = consumer.offsets_for_times(dict.fromkeys(partitions, max(0, since_ms)), timeout_ms=_TIMEOUT_MS)
    ends = end_offsets(consumer, partitions)
    for partition in partitions:
        hit = found.get(partition)
        consumer.seek(partition, ends[partition] if hit is None else hit.offset)


def end_offsets(consumer: Any, partitions: tuple[TopicPartition, ...]) -> dict[TopicPartition, int]:
    """Return each partition's end: what a reader of committed records can reach now."""
    ends: dict[TopicPartition, int] = consumer.end_offsets(list(partitions), timeout_ms=_TIMEOUT_MS)
    return ends


def reached(consumer: Any, ends: dict[TopicPartition, int]) -> bool:
    """Tell whether every partition's position is at or past its end in ``ends``."""
    return all((consumer.position(partition, timeout_ms=_TIMEOUT_MS) or 0) >= end for partition, end in ends.items())
