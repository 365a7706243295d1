"""Records that no codec here can read: they stop nobody, and what cannot be read is told where it is."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from threading import Event
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.record.default_records import DefaultRecordBatch
from log_worlds import KafkaWorld, commit, take
from lz4_producer import lz4_producer

from inspector.adapters.kafka import unreadable
from inspector.adapters.kafka.config_feed import KafkaConfigFeed, announce
from inspector.adapters.kafka.readers import read_committed
from inspector.adapters.kafka.topics import TopicPlan, check_topics, create_topics
from inspector.domain.artefact import Announcement, ArtefactKind
from inspector.domain.errors import FrameRejectedError, ServiceUnavailableError
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


@pytest.fixture
def torn_at(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Offsets at which every batch fails its checksum, as long as they are in here."""
    torn: set[int] = set()
    intact = DefaultRecordBatch.validate_crc
    monkeypatch.setattr(
        DefaultRecordBatch, "validate_crc", lambda batch: batch.base_offset not in torn and intact(batch)
    )
    return torn


def test_a_torn_record_is_named_and_blocks_nothing_but_what_is_behind_it(world: KafkaWorld, torn_at: set[int]) -> None:
    for value in (b"0", b"1", b"2", b"3"):
        world.publish_to(0, value)
    torn_at.add(2)
    log = world.open("1")
    records, ownership = take(log, 2)
    for _ in range(3):
        with pytest.raises(ServiceUnavailableError, match=f"{world.frames}/0 at offset 2"):
            log.poll(0, 10)
    commit(world, log, records, ownership)
    torn_at.clear()
    found: list[bytes | None] = []
    while len(found) < 2:
        with suppress(ServiceUnavailableError):
            found += [record.value for record in log.poll(0.1, 10).records]
    assert found == [b"2", b"3"]


def test_a_torn_announcement_is_named_and_read_when_it_is_whole(world: KafkaWorld, torn_at: set[int]) -> None:
    announcement = Announcement(ArtefactKind.BANK, "cam1", "a" * 64, datetime(2026, 3, 1, tzinfo=UTC))
    announce(world.connection, world.alerts, announcement)
    torn_at.add(0)
    feed = KafkaConfigFeed(world.connection, world.alerts)
    for _ in range(3):
        with pytest.raises(ServiceUnavailableError, match="at offset 0"):
            feed.poll()
    torn_at.clear()
    found: list[Announcement] = []
    while not found:
        with suppress(ServiceUnavailableError):
            found += feed.poll()
    feed.close()
    assert found == [announcement]


def test_a_poll_that_never_comes_back_ends_the_process(world: KafkaWorld) -> None:
    ended = Event()
    log: Any = world.open("1", poll_limit_s=0.1, on_watchdog=ended.set)
    log._consumer.poll = lambda **_: {} if ended.wait(30) else pytest.fail("it did not end")
    log.poll(0, 1)
