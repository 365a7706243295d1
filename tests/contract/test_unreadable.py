"""Records that no codec here can read: they stop nobody, and what cannot be read is told where it is."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from log_worlds import KafkaWorld, commit, take
from lz4_producer import lz4_producer

from inspector.adapters.kafka.config_feed import KafkaConfigFeed, announce
from inspector.adapters.kafka.connection import KafkaConnection
from inspector.adapters.kafka.readers import read_committed
from inspector.adapters.kafka.topics import TopicPlan, check_topics, create_topics

pytestmark = [pytest.mark.services, pytest.mark.timeout(60)]


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[KafkaWorld]:
    made = KafkaWorld(request.getfixturevalue("services").kafka_bootstrap)
    yield made
    made.close()


@pytest.fixture
def plan(world: KafkaWorld) -> TopicPlan:
    prefix = f"t-{uuid.uuid4().hex[:10]}-"
    plan = TopicPlan(*(prefix + name for name in ("frames", "alerts", "dead", "config")), partitions=1)
    create_topics(world.connection, plan)
    return plan


@pytest.mark.parametrize("name", ["frames", "config"])
def test_our_topics_store_a_compressed_record_plain(world: KafkaWorld, plan: TopicPlan, name: str) -> None:
    topic = getattr(plan, name)
    with lz4_producer(world.connection.bootstrap_servers) as producer:
        producer.send(topic, key=b"cam1", value=b"an image").get(10)
    assert [record.value for record in read_committed(world.connection, topic)] == [b"an image"]
    assert check_topics(world.connection, plan) == []
