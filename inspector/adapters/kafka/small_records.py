"""Topics of small records that people and commands write one at a time: how one is written, and what a bad one is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from inspector.adapters.kafka import clients
from inspector.adapters.kafka.connection import KafkaConnection, translated_errors
from inspector.domain.errors import BadInputError
from inspector.pipeline.ports import LogRecord

_log = logging.getLogger(__name__)

_ACK_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 2.0

BadRecord = Callable[[LogRecord, BadInputError], None]


def log_bad_record(record: LogRecord, error: BadInputError) -> None:
    """Report a record that is none of its topic's; anybody may have written it, and a reader skips it."""
    _log.warning("skipped %s: %s", record.source, error)


def publish(connection: KafkaConnection, topic: str, key: str, value: bytes, *, max_record_bytes: int) -> None:
    """Publish a record and wait until the brokers have it. Raises as ``publish_all``."""
    publish_all(connection, topic, [(key, value)], max_record_bytes=max_record_bytes)


def publish_all(
    connection: KafkaConnection, topic: str, records: Iterable[tuple[str, bytes]], *, max_record_bytes: int
) -> None:
    """Publish records (key, value) in their order and wait until the brokers have them all.

    Raises:
        ServiceUnavailableError: they did not confirm one within 10 s; it may be there nevertheless.
        CredentialsError: they refuse us.
        BadInputError: there is no such topic.
    """
    with translated_errors(connection, topic):
        producer = clients.idempotent_producer(
            connection,
            max_record_bytes=max_record_bytes,
            delivery_timeout_ms=int(_ACK_TIMEOUT_S * 1000),
            max_block_ms=int(_ACK_TIMEOUT_S * 1000),
        )
        try:
            clients.require_writable(producer, topic, connection)
            sent = [producer.send(topic, key=key.encode(), value=value) for key, value in records]
            for future in sent:
                future.get(timeout=_ACK_TIMEOUT_S)
        finally:
            clients.close_producer(producer, _CLOSE_TIMEOUT_S)
