"""What a group has committed of a topic, and the records of it; and topics read to what was written by now."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.structs import TopicPartition

from inspector.adapters.kafka import clients, partitions, records
from inspector.adapters.kafka.connection import KafkaConnection, admin_client, translated_errors, unknown_topic
from inspector.adapters.kafka.group_offsets import group_offsets
from inspector.adapters.kafka.reading import reading
from inspector.domain.errors import CredentialsError, ServiceUnavailableError
from inspector.pipeline.ports import LogRecord

_POLL_MS = 200
_POSITION_TIMEOUT_MS = 10_000
_CLOSE_TIMEOUT_S = 2.0
# A transaction orphaned by a kill holds readers of committed records until it times out: 10 s, and as much again until
# the broker looks.
_STALLED_S = 60.0
_RETENTION_SETTINGS = ("retention.ms", "retention.bytes", "message.timestamp.type")
# Of the time that a topic keeps records: what our clock differs from the brokers', and reading takes, is in the rest.
_SURELY_KEPT = 0.9


@dataclass(frozen=True, slots=True)
class CommittedRange:
    """Offsets of one partition: the oldest kept, where to begin, and the group's committed (the first not taken)."""

    partition: int
    oldest: int
    first: int
    end: int

    def __len__(self) -> int:
        return max(0, self.end - self.first)


def committed_ranges(
    connection: KafkaConnection,
    group_id: str,
    topic: str,
    since: datetime | None = None,
    after: Mapping[int, int] | None = None,
) -> list[CommittedRange]:
    """Return what the group has committed of each partition, from the oldest kept or the first stamped ``since``.

    ``after``: by partition, what it had committed at an earlier moment: what came on top of that is in, too, however
    old; of a partition that is not among these, all. Partitions of which nothing was ever committed are left out.

    Raises:
        ServiceUnavailableError: the brokers cannot be reached.
        CredentialsError: they refuse us.
        BadInputError: there is no such topic.
    """
    with translated_errors(connection, topic), admin_client(connection) as admin:
        known = _partitions(admin, topic, connection)
        committed = group_offsets(admin, group_id, known)
        oldest = admin.list_partition_offsets(dict.fromkeys(known, OffsetSpec.EARLIEST))
        newest = admin.list_partition_offsets(dict.fromkeys(known, OffsetSpec.LATEST))
    first = {partition: oldest[partition].offset for partition in known}
    if since is not None:
        first = {partition: max(first[partition], start) for partition, start in _at(connection, topic, since).items()}
    if after is not None:
        first = {tp: min(first[tp], max(oldest[tp].offset, after.get(tp.partition, 0))) for tp in known}
    return [
        # A topic made anew under an old group's offsets ends before them.
        CommittedRange(tp.partition, oldest[tp].offset, first[tp], min(committed[tp].offset, newest[tp].offset))
        for tp in known
        if committed[tp].offset > 0
    ]


def read_range(
    connection: KafkaConnection, topic: str, ranges: Sequence[CommittedRange], max_value_bytes: int
) -> Iterator[tuple[CommittedRange, list[LogRecord], int]]:
    """Yield the records of the ranges, a partition at a time and in order: (range, records, offsets left behind).

    A few MiB at a time, or one record. What retention takes meanwhile is skipped.

    Raises:
        ServiceUnavailableError: the brokers cannot be reached, or a record cannot be read; the message says which.
        CredentialsError: they refuse us.
        BadInputError: there is no such topic.
    """
    with _lone_consumer(connection, topic, max_value_bytes) as consumer:
        for wanted in ranges:
            if not len(wanted):
                continue
            tp = TopicPartition(topic, wanted.partition)
            consumer.assign([tp])
            consumer.seek(tp, wanted.first)
            last = wanted.first
            for batch in _polled(consumer, connection, {tp: wanted.end}):
                taken = [records.to_log_record(raw) for raw in batch.get(tp, ()) if raw.offset < wanted.end]
                position = min(wanted.end, taken[-1].source.offset + 1) if taken else last
                yield wanted, taken, position - last
                last = position
            yield wanted, [], wanted.end - last


def read_written(
    connection: KafkaConnection, topic: str, since: datetime | None, max_value_bytes: int
) -> Iterator[LogRecord]:
    """Yield the committed records among all that had been written when this began, waiting for open transactions.

    ``readers.read_committed`` ends where a subscriber stands now; this goes on until the fate of everything is known.
    An offset can be seen as committed a moment before the alert of the same transaction can be read.

    Raises: as ``read_range``; ``ServiceUnavailableError`` also where a transaction stays open for a minute.
    """
    with translated_errors(connection, topic), admin_client(connection) as admin:
        known = _partitions(admin, topic, connection)
        written = admin.list_partition_offsets(dict.fromkeys(known, OffsetSpec.LATEST))
    ends = {tp: written[tp].offset for tp in known}
    with _lone_consumer(connection, topic, max_value_bytes) as consumer:
        with translated_errors(connection, topic):
            consumer.assign(known)
            if since is None:
                partitions.seek_to_beginning(consumer, tuple(known))
            else:
                partitions.seek_to_time(consumer, tuple(known), int(since.timestamp() * 1000))
        for batches in _polled(consumer, connection, ends):
            for tp, batch in batches.items():
                yield from (records.to_log_record(raw) for raw in batch if raw.offset < ends[tp])


def complete_since(connection: KafkaConnection, topic: str, now: datetime) -> datetime | None:
    """Return since when a topic holds everything that was written to it; None: since ever.

    Where the brokers date records and let them go by age alone, ``retention.ms`` says it: the oldest record kept may be
    much younger, or there may be none, where little is written. Else the oldest record kept of each partition does.
    What a person deletes from a topic cannot be seen here.

    Raises: as ``committed_ranges``, ``CredentialsError`` also where we may not read the topic's settings.
    """
    with translated_errors(connection, topic), admin_client(connection) as admin:
        known = _partitions(admin, topic, connection)
        settings = _settings(admin, topic)
        oldest = admin.list_partition_offsets(dict.fromkeys(known, OffsetSpec.EARLIEST))
        newest = admin.list_partition_offsets(dict.fromkeys(known, OffsetSpec.LATEST))
    cut = [tp for tp in known if oldest[tp].offset > 0]
    if not cut:
        return None
    kept_s, is_bounded = int(settings["retention.ms"]) / 1000, int(settings["retention.bytes"]) >= 0
    is_dated = settings["message.timestamp.type"] == "LogAppendTime" and kept_s >= 0
    by_age = datetime.fromtimestamp(max(0.0, now.timestamp() - _SURELY_KEPT * kept_s), UTC) if is_dated else now
    if is_dated and not is_bounded:
        return by_age
    with _lone_consumer(connection, topic, clients.RECORD_OVERHEAD_BYTES) as consumer:
        return max(_first_moment(consumer, connection, tp, newest[tp].offset) or by_age for tp in cut)


def _first_moment(consumer: Any, connection: KafkaConnection, tp: TopicPartition, end: int) -> datetime | None:
    """Return the date of the first record kept; None where none is left."""
    with translated_errors(connection, tp.topic):
        consumer.assign([tp])
        partitions.seek_to_beginning(consumer, (tp,))
    for batches in _polled(consumer, connection, {tp: end}):
        for raw in batches.get(tp, ()):
            return datetime.fromtimestamp(raw.timestamp / 1000, UTC)
    return None


def _settings(admin: Any, topic: str) -> dict[str, str]:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, dict.fromkeys(_RETENTION_SETTINGS))
    described = admin.describe_configs([resource], config_filter="all")["topic"].get(topic, {})
    if not described.keys() >= set(_RETENTION_SETTINGS):  # the client drops the refusal
        raise CredentialsError(
            f"the settings of topic {topic}", "none that we may read", "give us DESCRIBE_CONFIGS there (ACL)"
        )
    return {name: str(described[name]["value"]) for name in _RETENTION_SETTINGS}


def _partitions(admin: Any, topic: str, connection: KafkaConnection) -> list[TopicPartition]:
    described = admin.describe_topics([topic])[0]
    found = [TopicPartition(topic, partition["partition_index"]) for partition in described["partitions"]]
    if not found:
        raise unknown_topic(topic, connection)
    return sorted(found)


def _at(connection: KafkaConnection, topic: str, since: datetime) -> dict[TopicPartition, int]:
    with _lone_consumer(connection, topic, clients.RECORD_OVERHEAD_BYTES) as consumer:
        assigned = partitions.assign_all(consumer, topic, connection)
        partitions.seek_to_time(consumer, assigned, int(since.timestamp() * 1000))
        at = {tp: consumer.position(tp, timeout_ms=_POSITION_TIMEOUT_MS) for tp in assigned}
        return {tp: int(offset or 0) for tp, offset in at.items()}


def _polled(
    consumer: Any, connection: KafkaConnection, ends: dict[TopicPartition, int]
) -> Iterator[dict[TopicPartition, list[Any]]]:
    """Yield what polls bring until every partition's position has come to its end."""
    moved_s = time.monotonic()
    before: dict[TopicPartition, int] = {}
    while True:
        topic = next(iter(ends)).topic
        with reading(consumer, connection, topic):
            positions = {tp: consumer.position(tp, timeout_ms=_POSITION_TIMEOUT_MS) or 0 for tp in ends}
            if all(positions[tp] >= end for tp, end in ends.items()):
                return
            batches = consumer.poll(timeout_ms=_POLL_MS)
        if batches or positions != before:
            moved_s, before = time.monotonic(), positions
        elif time.monotonic() - moved_s > _STALLED_S:
            raise ServiceUnavailableError(
                f"to read {topic} to what was written",
                f"nothing more for {_STALLED_S:.0f} s",
                "a transaction may be open, or a broker busy: try again",
            )
        yield batches


@contextmanager
def _lone_consumer(connection: KafkaConnection, topic: str, max_value_bytes: int) -> Iterator[Any]:
    with translated_errors(connection, topic):
        consumer = clients.lone_consumer(connection, max_record_bytes=max_value_bytes)
    try:
        yield consumer
    finally:
        clients.close_consumer(consumer, _CLOSE_TIMEOUT_S)
