"""Records that no codec here can read: they stop nobody, and what cannot be read is told where it is."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from kafka import KafkaProducer
from log_worlds import KafkaWorld, commit, take
from lz4_producer import lz4_producer

from inspector.adapters.kafka import unreadable
from inspector.adapters.kafka.config_feed import KafkaConfigFeed, announce
from inspector.adapters.kafka.readers import read_committed
from inspector.adapters.kafka.topics import TopicPlan, check_topics, create_topics
from inspector.domain.artefact import Announcement, ArtefactKind
from inspector.domain.errors import FrameRejectedError
from inspector.domain.product import CameraSettings
from inspector.pipeline.frame_record import parse

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


def test_a_batch_nobody_can_read_is_handed_out_once_and_the_frames_behind_it_too(world: KafkaWorld) -> None:
    with lz4_producer(world.connection.bootstrap_servers) as producer:
        for number in range(3):
            producer.send(world.frames, value=b"packed %d" % number, partition=0)
        producer.flush(10)
    last = world.publish_to(0, b"plain")
    log = world.open("1")
    records, ownership = take(log, 1)
    while records[-1].source.offset < last:
        records += log.poll(0.1, 100).records
    *unreadable, plain = records
    assert plain.value == b"plain"
    for record in unreadable:
        headers = dict(record.headers)
        assert headers["schema"] == b"unreadable-record-batch"
        assert b"lz4" in headers["unreadable"]
        assert b"packed" in (record.value or b"")
        with pytest.raises(FrameRejectedError, match="unreadable-record-batch"):
            parse(record, lambda _: CameraSettings(), 2**20)
    assert unreadable[-1].source.offset == last - 1
    commit(world, log, records, ownership)
    log.close()
    assert world.open("1").poll(0.5, 10).records == ()


def test_an_unreadable_batch_does_not_keep_an_announcement_from_the_inspectors(world: KafkaWorld) -> None:
    told: list[str] = []
    feed = KafkaConfigFeed(world.connection, world.alerts, lambda _, error: told.append(str(error)))
    assert list(feed.poll()) == []
    with lz4_producer(world.connection.bootstrap_servers) as producer:
        producer.send(world.alerts, value=b"packed").get(10)
    announcement = Announcement(ArtefactKind.BANK, "cam1", "a" * 64, datetime(2026, 3, 1, tzinfo=UTC))
    announce(world.connection, world.alerts, announcement)
    found: list[Announcement] = []
    while not (found and told):
        found += feed.poll()
    feed.close()
    assert found == [announcement]
    assert len(told) == 1


def test_a_small_batch_does_not_unpack_into_gigabytes(world: KafkaWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unreadable, "_MAX_UNPACKED_BYTES", 1_000_000)
    with KafkaProducer(
        bootstrap_servers=world.connection.bootstrap_servers, compression_type="gzip", max_request_size=2**23
    ) as producer:
        producer.send(world.frames, value=bytes(5_000_000)).get(10)
        producer.send(world.frames, value=bytes(500_000)).get(10)
    found = sorted(read_committed(world.connection, world.frames), key=lambda record: len(record.value or b""))
    assert b"more than 1000000 bytes" in dict(found[0].headers)["unreadable"]
    assert found[1].value == bytes(500_000)
