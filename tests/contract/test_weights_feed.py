"""Releases and the rollout on Kafka and in memory; and that two people who change it at once lose neither word."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from inspector.adapters.kafka import compacted_feed, small_records
from inspector.adapters.kafka.connection import KafkaConnection
from inspector.adapters.kafka.topics import TopicPlan, create_topics
from inspector.adapters.kafka.weights_feed import (
    KafkaWeightsFeed,
    PublishedWeights,
    announce_release,
    announce_rollout,
    change_rollout,
    read_weights,
)
from inspector.adapters.memory.broker import MemoryBroker
from inspector.adapters.memory.log import MemoryWeightsFeed, announce
from inspector.domain.artefact import ArtefactKind
from inspector.domain.errors import BadInputError
from inspector.domain.records import to_json
from inspector.domain.release import Companion, Rollout, WeightsRelease
from inspector.pipeline.ports import OutRecord
from inspector.pipeline.rollout import Decision, first_rollout, offered, pinned_to
from inspector.pipeline.rollout_ports import WeightsFeed

NOW = datetime(2026, 5, 1, 12, 30, 0, 123456, tzinfo=UTC)
WHY = Decision("someone", "a reason", NOW)
RELEASE = WeightsRelease(
    "v1", "a" * 64, "inspector-s", NOW, None, "b" * 64, (Companion(ArtefactKind.BANK, "cam1", "c" * 64),)
)


@dataclass
class Subject:
    open: Callable[..., WeightsFeed]
    announce: Callable[[WeightsRelease | Rollout], None]
    write: Callable[[bytes, bytes], object]


def _topic(connection: KafkaConnection) -> str:
    prefix = f"t-{uuid.uuid4().hex[:10]}-"
    plan = TopicPlan(
        frames=prefix + "frames",
        alerts=prefix + "alerts",
        dead_letter=prefix + "dead",
        config=prefix + "config",
        feedback=prefix + "feedback",
        weights=prefix + "weights",
        partitions=1,
    )
    create_topics(connection, plan)
    return plan.weights


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.services)])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    if request.param == "memory":
        broker = MemoryBroker()
        broker.create_topic("weights")
        yield Subject(
            lambda **rest: MemoryWeightsFeed(broker, "weights", **rest),
            lambda record: announce(broker, "weights", record),
            lambda key, value: broker.append(OutRecord("weights", key, value)),
        )
        return
    connection = KafkaConnection(request.getfixturevalue("services").kafka_bootstrap)
    topic = _topic(connection)
    opened: list[KafkaWeightsFeed] = []

    def open_feed(**rest: object) -> WeightsFeed:
        opened.append(KafkaWeightsFeed(connection, topic, **rest))  # type: ignore[arg-type]
        return opened[-1]

    yield Subject(
        open_feed,
        lambda record: (announce_release if isinstance(record, WeightsRelease) else announce_rollout)(
            connection,
            topic,
            record,  # type: ignore[arg-type]
        ),
        lambda key, value: small_records.publish(
            connection, topic, key.decode(), value, max_record_bytes=compacted_feed.MAX_RECORD_BYTES
        ),
    )
    for feed in opened:
        feed.close()


def test_the_first_look_shows_every_release_and_the_last_rollout(subject: Subject) -> None:
    first = first_rollout("v1", WHY)
    second = offered(first, "v2", WHY)
    for record in (RELEASE, first, replace(RELEASE, weights_version="v2"), second):
        subject.announce(record)
    feed = subject.open()
    assert list(feed.poll()) == [RELEASE, replace(RELEASE, weights_version="v2"), second]
    assert list(feed.poll()) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"rollout", b"no json"),
        (b"rollout", to_json(RELEASE)),
        (b"version/v2", to_json(RELEASE)),
        (b"version/v1", to_json(first_rollout("v1", WHY))),
        (b"rollout", to_json(replace(first_rollout("v1", WHY), schema="inspection.rollout/9"))),
        (b"rollout", to_json(first_rollout("v1", WHY)).replace(b'"stage":"full"', b'"stage":"canary"')),
        (b"rollout", to_json(first_rollout("v1", WHY)).replace(b'"revision":1', b'"revision":1' + 400 * b"0")),
        (b"rollout", to_json(first_rollout("v1", WHY)).replace(b'123456Z"', b'123456"')),
        (b"version/v1", to_json(RELEASE).replace(b'123456Z"', b'123456"')),
        (b"version/v1", to_json(RELEASE).replace(b'"2026-05-01T12', b'"0001-01-01T12')),
    ],
)
def test_a_record_that_is_none_is_told_and_skipped(subject: Subject, key: bytes, value: bytes) -> None:
    told: list[str] = []
    subject.announce(RELEASE)
    subject.write(key, value)
    feed = subject.open(on_bad_record=lambda _, error: told.append(error.expected))
    assert list(feed.poll()) == [RELEASE]
    assert len(told) == 1


@pytest.mark.services
def test_a_word_written_between_look_and_write_is_taken_first_and_neither_is_lost(
    request: pytest.FixtureRequest,
) -> None:
    connection = KafkaConnection(request.getfixturevalue("services").kafka_bootstrap)
    topic = _topic(connection)
    first = first_rollout("v1", WHY)
    announce_rollout(connection, topic, first)
    others = [offered(first, "v2", Decision("the trainer", "better", NOW))]

    def pin(found: PublishedWeights) -> Rollout:
        assert found.rollout is not None
        if others:
            announce_rollout(connection, topic, others.pop())
        return pinned_to(found.rollout, "v1", WHY)

    mine = change_rollout(connection, topic, pin)
    assert read_weights(connection, topic).rollout == mine
    assert (mine.pinned, mine.candidate_version, mine.revision) == (True, None, 3)


@pytest.mark.services
def test_who_is_refused_because_of_a_word_in_between_leaves_that_word_standing(
    request: pytest.FixtureRequest,
) -> None:
    connection = KafkaConnection(request.getfixturevalue("services").kafka_bootstrap)
    topic = _topic(connection)
    first = first_rollout("v1", WHY)
    announce_rollout(connection, topic, first)
    others = [pinned_to(first, "v1", Decision("a person", "audit", NOW))]

    def offer(found: PublishedWeights) -> Rollout:
        assert found.rollout is not None
        if others:
            announce_rollout(connection, topic, others.pop())
        return offered(found.rollout, "v2", WHY)

    with pytest.raises(BadInputError, match="unpin"):
        change_rollout(connection, topic, offer)
    standing = read_weights(connection, topic).rollout
    assert standing is not None
    assert (standing.pinned, standing.decided_by, standing.stable_version) == (True, "a person", "v1")
