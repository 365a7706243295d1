"""kafka-python's clients with the settings that matter, each with its reason, and a way to close them for good."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, errors
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

from inspector.adapters.kafka.build import build
from inspector.adapters.kafka.connection import KafkaConnection, admin_client, unknown_topic
from inspector.adapters.kafka.header_names import accept_any_header_name
from inspector.adapters.kafka.join_keeper import keep_finished_joins
from inspector.adapters.kafka.parked_records import hand_out_parked_records
from inspector.adapters.kafka.unreadable import hand_out_unreadable_batches

_log = logging.getLogger(__name__)

accept_any_header_name()
hand_out_unreadable_batches()
hand_out_parked_records()

# Kafka returns the first record of a fetch however large it is, so these bound memory and what a slow link has to
# carry before `request_timeout_ms`, not the size of a frame.
_FETCH_MAX_BYTES = 4 * 1024 * 1024
_PARTITION_FETCH_MAX_BYTES = 1024 * 1024
_RECEIVE_HEADROOM_BYTES = 16 * 1024 * 1024
_RECEIVE_DEFAULT_BYTES = 100_000_000
# Room for key, headers and framing beside a value of the largest size allowed.
RECORD_OVERHEAD_BYTES = 64 * 1024
# While the previous transaction is still being completed at the broker, the next one's first request is turned away
# and repeated after this time: the default of 100 ms would be most of a commit.
_TRANSACTION_RETRY_BACKOFF_MS = 10
_BOOTSTRAP_TIMEOUT_MS = 5_000
_REQUEST_TIMEOUT_MS = 30_000  # and below the delivery timeout, as the client demands
_FORCED_CLOSE_TIMEOUT_S = 5.0


def group_consumer(
    connection: KafkaConnection,
    *,
    group_id: str,
    max_record_bytes: int,
    session_timeout_ms: int,
    max_poll_interval_ms: int,
) -> Any:
    """Return a consumer that is a group member, not subscribed yet."""
    consumer = build(
        KafkaConsumer,
        **_reader_options(connection, max_record_bytes),
        group_id=group_id,
        auto_offset_reset="earliest",
        partition_assignment_strategy=(CooperativeStickyAssignor,),
        session_timeout_ms=session_timeout_ms,
        heartbeat_interval_ms=min(3_000, session_timeout_ms // 3),
        max_poll_interval_ms=max_poll_interval_ms,
    )
    keep_finished_joins(consumer)
    return consumer


def lone_consumer(connection: KafkaConnection, *, max_record_bytes: int) -> Any:
    """Return a consumer without a group: it reads what it is told to and leaves no trace at the broker."""
    return build(KafkaConsumer, **_reader_options(connection, max_record_bytes), auto_offset_reset="earliest")


def _reader_options(connection: KafkaConnection, max_record_bytes: int) -> dict[str, Any]:
    return {
        **connection.client_options(),
        "isolation_level": "read_committed",
        "enable_auto_commit": False,
        "allow_auto_create_topics": False,
        "fetch_max_bytes": _FETCH_MAX_BYTES,
        "max_partition_fetch_bytes": _PARTITION_FETCH_MAX_BYTES,
        "receive_message_max_bytes": max(_RECEIVE_DEFAULT_BYTES, max_record_bytes + _RECEIVE_HEADROOM_BYTES),
        "bootstrap_timeout_ms": _BOOTSTRAP_TIMEOUT_MS,
        "metrics_enabled": False,
    }


def transactional_producer(
    connection: KafkaConnection,
    *,
    transactional_id: str,
    max_record_bytes: int,
    transaction_timeout_ms: int,
    delivery_timeout_ms: int,
) -> Any:
    """Return a producer of this identity, before ``init_transactions``."""
    return build(
        KafkaProducer,
        **_writer_options(connection, max_record_bytes),
        transactional_id=transactional_id,
        transaction_timeout_ms=transaction_timeout_ms,
        delivery_timeout_ms=delivery_timeout_ms,
        request_timeout_ms=min(_REQUEST_TIMEOUT_MS, delivery_timeout_ms - 1_000),
        max_block_ms=transaction_timeout_ms,
        retry_backoff_ms=_TRANSACTION_RETRY_BACKOFF_MS,
    )


def idempotent_producer(
    connection: KafkaConnection, *, max_record_bytes: int, delivery_timeout_ms: int, max_block_ms: int
) -> Any:
    """Return a producer whose own retries neither repeat nor reorder records of a partition."""
    return build(
        KafkaProducer,
        **_writer_options(connection, max_record_bytes),
        enable_idempotence=True,
        delivery_timeout_ms=delivery_timeout_ms,
        request_timeout_ms=min(_REQUEST_TIMEOUT_MS, delivery_timeout_ms - 1_000),
        max_block_ms=max_block_ms,
    )


def _writer_options(connection: KafkaConnection, max_record_bytes: int) -> dict[str, Any]:
    return {
        **connection.client_options(),
        "acks": "all",
        "allow_auto_create_topics": False,
        "max_request_size": max_record_bytes + RECORD_OVERHEAD_BYTES,
        "bootstrap_timeout_ms": _BOOTSTRAP_TIMEOUT_MS,
        "metrics_enabled": False,
    }


def require_topics(consumer: Any, topics: Sequence[str], connection: KafkaConnection) -> None:
    """Check that every topic exists.

    Raises:
        BadInputError: one does not.
    """
    known = consumer.topics()
    for topic in topics:
        if topic not in known:
            raise unknown_topic(topic, connection)


def require_writable(producer: Any, topic: str, connection: KafkaConnection) -> None:
    """Check that a topic exists, before a record for it makes the producer wait.

    Raises:
        BadInputError: it does not.
        KafkaError: the brokers cannot be asked.
    """
    try:
        producer.partitions_for(topic)
    except errors.KafkaTimeoutError as error:
        # The client waits in vain for a topic that is not there, and for brokers that are away: ask once more to tell.
        with admin_client(connection) as admin:
            if topic not in admin.list_topics():
                raise unknown_topic(topic, connection) from error
        raise


def close_consumer(consumer: Any, timeout_s: float) -> None:
    """Leave the group and close; a failure to say goodbye is logged, the broker finds out by itself."""
    try:
        consumer.close(autocommit=False, timeout_ms=int(timeout_s * 1000))
    except errors.KafkaError as error:
        _log.warning("consumer closed without leaving its group: %s", error)


def close_producer(producer: Any, timeout_s: float) -> None:
    """Close a producer for good, its thread included; what it could not send in time is given up."""
    try:
        producer.close(timeout=timeout_s)
    except errors.KafkaError:
        # close() flushes first, and where that times out it leaves the sender thread running and sending for ever.
        # There is no public way to stop it.
        producer._sender.force_close()
        producer._sender.join(_FORCED_CLOSE_TIMEOUT_S)
        producer.close(timeout=_FORCED_CLOSE_TIMEOUT_S)
