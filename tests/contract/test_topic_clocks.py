"""Clocks of cameras and inspectors may be wrong by years: what Kafka keeps, and for how long, must not hang on them."""

from __future__ import annotations

import time
from contextlib import closing

import pytest
from kafka import KafkaProducer
from local_services import Services

from inspector.adapters.kafka.connection import KafkaConnection
from inspector.adapters.kafka.readers import read_committed
from inspector.adapters.kafka.topics import TopicPlan, create_topics

pytestmark = pytest.mark.services

HOUR_MS = 3_600_000
LONG_AGO_MS = 365 * 24 * HOUR_MS  # 1971: a gateway that lost its battery


@pytest.mark.parametrize("topic", ["frames", "alerts", "dead_letter"])
def test_a_record_from_a_wrong_clock_is_taken_and_dated_by_the_brokers(
    services: Services, topic_prefix: str, topic: str
) -> None:
    names = {name: f"{topic_prefix}{name}" for name in ("frames", "alerts", "dead_letter", "config")}
    connection = KafkaConnection(services.kafka_bootstrap)
    create_topics(connection, TopicPlan(**names, partitions=1))
    now_ms = 1000 * time.time()
    with closing(KafkaProducer(bootstrap_servers=services.kafka_bootstrap, acks="all")) as producer:
        for sent_ms in (LONG_AGO_MS, now_ms + 30 * HOUR_MS):
            # Retention would take the first within minutes; the second would be refused, again and again.
            producer.send(names[topic], b"a record", timestamp_ms=int(sent_ms)).get(10)
    kept = list(read_committed(connection, names[topic]))
    assert len(kept) == 2
    assert all(abs(record.timestamp_ms - now_ms) < HOUR_MS for record in kept)
