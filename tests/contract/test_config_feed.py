"""One suite for every config feed: first the live versions, then what arrives; bad records are told and skipped."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from kafka import KafkaProducer

from inspector.adapters.kafka.config_feed import KafkaConfigFeed
from inspector.adapters.kafka.config_feed import announce as announce_on_kafka
from inspector.adapters.kafka.connection import KafkaConnection
from inspector.adapters.kafka.topics import TopicPlan, create_topics
from inspector.adapters.memory.broker import MemoryBroker
from inspector.adapters.memory.log import MemoryConfigFeed, announce
from inspector.domain.artefact import Announcement, ArtefactKind
from inspector.domain.errors import BadInputError
from inspector.domain.records import to_json
from inspector.pipeline.ports import ConfigFeed, OutRecord


@dataclass
class Subject:
    open: Callable[..., ConfigFeed]
    announce: Callable[[Announcement], None]
    write: Callable[[bytes, bytes], None]


def version(text: str, subject: str = "cam1", kind: ArtefactKind = ArtefactKind.BANK) -> Announcement:
    return Announcement(kind, subject, text * 64, datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.services)])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    if request.param == "memory":
        broker = MemoryBroker()
        broker.create_topic("config")
        yield Subject(
            lambda topic="config", **rest: MemoryConfigFeed(broker, topic, **rest),
            lambda announcement: announce(broker, "config", announcement),
            lambda key, value: (broker.append(OutRecord("config", key, value)), None)[1],
        )
        return
    connection = KafkaConnection(request.getfixturevalue("services").kafka_bootstrap)
    prefix = f"t-{uuid.uuid4().hex[:10]}-"
    plan = TopicPlan(*(prefix + name for name in ("frames", "alerts", "dead", "config")), partitions=1)
    create_topics(connection, plan)
    producer = KafkaProducer(bootstrap_servers=connection.bootstrap_servers)
    opened: list[KafkaConfigFeed] = []

    def open_feed(topic: str = plan.config, **rest: Any) -> ConfigFeed:
        opened.append(KafkaConfigFeed(connection, topic, **rest))
        return opened[-1]

    yield Subject(
        open_feed,
        lambda announcement: announce_on_kafka(connection, plan.config, announcement),
        lambda key, value: (producer.send(plan.config, key=key, value=value).get(10), None)[1],
    )
    for feed in opened:
        feed.close()
    producer.close()


def arrivals(feed: ConfigFeed, count: int) -> list[Announcement]:
    found: list[Announcement] = []
    for _ in range(100_000):
        found.extend(feed.poll())
        if len(found) >= count:
            return found
    raise AssertionError(f"{len(found)} of {count} announcements arrived")


def test_the_first_call_returns_the_live_version_of_everything(subject: Subject) -> None:
    for announcement in (version("a"), version("b", "cam2"), version("c"), version("d", "p", ArtefactKind.PRODUCT)):
        subject.announce(announcement)
    assert list(subject.open().poll()) == [
        version("b", "cam2"),
        version("c"),
        version("d", "p", ArtefactKind.PRODUCT),
    ]


def test_an_empty_topic_has_nothing_to_say(subject: Subject) -> None:
    feed = subject.open()
    assert list(feed.poll()) == []
    assert list(feed.poll()) == []


def test_later_calls_return_what_arrived_in_order_and_once(subject: Subject) -> None:
    feed = subject.open()
    assert list(feed.poll()) == []
    sent = [version("a"), version("b"), version("c", "cam2")]
    for announcement in sent:
        subject.announce(announcement)
    assert arrivals(feed, 3) == sent
    assert list(feed.poll()) == []


def test_two_feeds_both_see_everything(subject: Subject) -> None:
    feeds = [subject.open(), subject.open()]
    assert [list(feed.poll()) for feed in feeds] == [[], []]
    subject.announce(version("a"))
    assert [arrivals(feed, 1) for feed in feeds] == [[version("a")]] * 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"bank/cam1", b"no json"),
        (b"bank/cam1", b""),
        (b"bank/cam2", to_json(version("a"))),
        (b"bank/cam1", to_json(replace(version("a"), schema="inspection.config/9"))),
    ],
)
def test_a_record_that_is_no_announcement_is_told_and_skipped(subject: Subject, key: bytes, value: bytes) -> None:
    told: list[str] = []
    subject.write(key, value)
    subject.announce(version("b"))
    feed = subject.open(on_bad_record=lambda record, error: told.append(f"{record.source.offset}: {error.expected}"))
    assert list(feed.poll()) == [version("b")]
    assert len(told) == 1


def test_an_unknown_topic_is_said_so(subject: Subject) -> None:
    with pytest.raises(BadInputError, match="inspector topics create"):
        subject.open("no-such-topic")
