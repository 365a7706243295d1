"""Readers of committed records: alerts and dead letters, as a subscriber sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from inspector.adapters.kafka import clients, partitions, records
from inspector.adapters.kafka.connection import KafkaConnection, translated_errors
from inspector.adapters.kafka.reading import reading
from inspector.pipeline.ports import LogRecord

_POLL_MS = 200
_CLOSE_TIMEOUT_S = 2.0


def read_committed(
    connection: KafkaConnection,
    topic: str,
    *,
    since: datetime | None = None,
    follow: bool = False,
    stop: Callable[[], bool] = lambda: False,
    max_value_bytes: int = 1024 * 1024,
) -> Iterator[LogRecord]:
    """Yield the committed records of all partitions, in order within each.

    Starts at the oldest record kept, or at the first stamped ``since`` (timezone-aware) or later. Ends at the offsets
    that were the ends when it started; with ``follow`` only when ``stop()`` says so, which is asked about five times a
    second. ``max_value_bytes`` is the largest value expected.

    Raises:
        ServiceUnavailableError: the brokers cannot be reached, or a record cannot be read; the message says which.
        CredentialsError: they refuse us.
        BadInputError: there is no such topic.
    """
    with translated_errors(connection, topic):
        consumer = clients.lone_consumer(connection, max_record_bytes=max_value_bytes)
    try:
        with translated_errors(connection, topic):
            assigned = partitions.assign_all(consumer, topic, connection)
            if since is None:
                partitions.seek_to_beginning(consumer, assigned)
            else:
                partitions.seek_to_time(consumer, assigned, int(since.timestamp() * 1000))
            ends = partitions.end_offsets(consumer, assigned)
        while not stop():
            with reading(consumer, connection, topic):
                if not follow and partitions.reached(consumer, ends):
                    return
                batches = consumer.poll(timeout_ms=_POLL_MS)
            for partition, batch in batches.items():
                for raw in batch:
                    if follow or raw.offset < ends[partition]:
                        yield records.to_log_record(raw)
    finally:
        clients.close_consumer(consumer, _CLOSE_TIMEOUT_S)
