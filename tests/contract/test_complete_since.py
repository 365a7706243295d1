"""Since when a topic holds everything, on a real Kafka: how far back one that let records go is to be believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from kafka import KafkaProducer
from kafka.structs import TopicPartition
from local_services import Services

from inspector.adapters.kafka.committed import complete_since
from inspector.adapters.kafka.connection import KafkaConnection, admin_client

DAY = timedelta(days=1)
THIRTY_DAYS = {"retention.ms": str(30 * 86_400_000)}
BY_BROKERS = {**THIRTY_DAYS, "message.timestamp.type": "LogAppendTime"}
BY_SENDERS = {**THIRTY_DAYS, "message.timestamp.type": "CreateTime"}

pytestmark = pytest.mark.services


@pytest.mark.parametrize(
    ("settings", "is_emptied", "days"),
    [
        (BY_BROKERS, None, None),  # nothing was let go
        (BY_BROKERS, True, 27),  # a partition without any record left: as most of the dead letters', where all is well
        (BY_BROKERS, False, 27),
        ({**BY_BROKERS, "retention.ms": str(2**63 - 1)}, True, 365),
        ({**BY_BROKERS, "retention.bytes": str(2**30)}, True, 27),
        ({**BY_BROKERS, "retention.bytes": str(2**30)}, False, 0),  # by size: the first record kept
        (BY_SENDERS, False, 1),  # the first record kept, by the sender's clock
        (BY_SENDERS, True, 0),
    ],
)
def test_what_a_topic_that_let_records_go_still_holds_whole(
    services: Services, topic_prefix: str, settings: dict[str, str], is_emptied: bool | None, days: int | None
) -> None:
    connection, topic, now = KafkaConnection(services.kafka_bootstrap), f"{topic_prefix}letters", datetime.now(UTC)
    spec = {"num_partitions": 2, "replication_factor": 1, "configs": settings}
    with admin_client(connection) as admin:
        admin.create_topics({topic: spec}, wait_for_metadata=True)
        producer = KafkaProducer(bootstrap_servers=services.kafka_bootstrap)
        for _ in range(4):
            sent_ms = int((now - DAY).timestamp() * 1000)
            producer.send(topic, b"letter", partition=1, timestamp_ms=sent_ms).get(30)
        producer.close()
        if is_emptied is not None:
            admin.delete_records({TopicPartition(topic, 1): 4 if is_emptied else 2})
    since = complete_since(connection, topic, now)
    if days is None:
        assert since is None
    else:
        assert since is not None
        assert now - since > (days * DAY - DAY / 24)
        assert days >= 365 or now - since < (days * DAY + DAY / 24)
