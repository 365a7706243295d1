"""Repairs on a real Redis and Kafka: what is there stays, fences stay, an older repair is shut out."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from local_services import Services

from inspector.adapters.kafka.connection import KafkaConnection, admin_client
from inspector.adapters.kafka.readers import read_committed
from inspector.adapters.kafka.repair_log import RepairLog
from inspector.adapters.redis import keys
from inspector.adapters.redis.connection import connect
from inspector.adapters.redis.frame_states import Lists, Question, RedisFrameStates, absent
from inspector.adapters.redis.result_store import RedisResultStore
from inspector.adapters.redis.results import RedisResults
from inspector.adapters.redis.retention import Retention
from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Evidence, Inspected
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.pipeline.ports import FencedError, OutRecord, StoreStatus
from inspector.pipeline.reconciliation import StoredState

STORED, UNNEEDED, DUPLICATE = StoreStatus.STORED, StoreStatus.UNNEEDED, StoreStatus.DUPLICATE
NOW = datetime(2026, 1, 2, tzinfo=UTC)
LIMITS = Retention(good_s=100, defect_s=1000, good_per_camera=5, defect_per_camera=3, duplicate_s=50)


@dataclass
class Subject:
    client: Any
    store: RedisResultStore
    states: RedisFrameStates
    read: RedisResults
    prefix: str

    def result(self, number: int, score: float = 0.2, *, defect: bool = False, frame: str | None = None) -> Inspected:
        source = FrameSource("frames", 0, number)
        label = PredLabel.ANOMALOUS if defect else PredLabel.NORMAL
        result = InspectionResult(
            f"{self.prefix}{frame or number}", f"{self.prefix}cam", "l", "p", NOW, NOW, score, label, 0.5,
            ScoreMode.BANK, "w", "m", source, {}, 9, 9,
        )  # fmt: skip
        return Inspected(source, result, None, Evidence(frame=b"f", overlay=b"o"))

    def state(self, inspected: Inspected, *, anomalous: bool = False, age_s: float = 1.0) -> StoredState:
        result = inspected.result
        question = Question(result.source, result.frame_id, result.camera_id, anomalous, age_s)
        return self.states.look_up([question])[0].state


@pytest.fixture
def subject(services: Services) -> Iterator[Subject]:
    client, prefix = connect(services.redis_url), f"t-{uuid.uuid4().hex[:10]}-"
    store = RedisResultStore(client, group_id=f"{prefix}group", retention=LIMITS)
    yield Subject(client, store, RedisFrameStates(client, LIMITS), RedisResults(client), prefix)
    for key in client.scan_iter(f"inspection:*{prefix}*"):
        client.delete(key)
    client.zrem(keys.CAMERAS, f"{prefix}cam")
    client.close()


@pytest.mark.services
def test_a_restored_result_is_whole_and_one_that_is_there_stays_as_it_is(subject: Subject) -> None:
    lost, there = subject.result(1, defect=True), subject.result(2)
    subject.store.store([there], 7)
    fence = keys.fence(f"{subject.prefix}group", "frames", 0)
    assert list(subject.store.restore([lost, subject.result(2, 0.4)])) == [STORED, UNNEEDED]
    assert subject.read.get(lost.result.frame_id) == lost.result
    assert subject.read.overlay(lost.result.frame_id) == b"o"
    assert subject.read.get(there.result.frame_id) == there.result
    assert [subject.state(lost, anomalous=True), subject.state(there)] == [StoredState.KEPT] * 2
    assert subject.client.get(fence) == b"7"  # a repair neither needs nor moves the fence
    assert list(subject.store.restore([subject.result(9, frame="2")])) == [DUPLICATE]


@pytest.mark.services
def test_listing_again_writes_no_result_and_brings_none_back(subject: Subject) -> None:
    there, gone = subject.result(1, defect=True), subject.result(2)
    subject.store.store([there], 1)
    for listed in (keys.defect_index, keys.defect_arrivals):
        subject.client.zrem(listed(there.result.camera_id), there.result.frame_id)
    assert subject.state(there, anomalous=True) is StoredState.NOT_INDEXED
    assert subject.read.last(there.result.camera_id, 9) == []
    bare = [replace(each, evidence=Evidence()) for each in (there, gone)]
    assert list(subject.store.reindex(bare)) == [STORED, UNNEEDED]
    assert subject.read.last(there.result.camera_id, 9) == [there.result]
    assert subject.read.overlay(there.result.frame_id) == b"o"
    assert subject.state(there, anomalous=True) is StoredState.KEPT
    assert list(subject.store.reindex([subject.result(1)])) == [UNNEEDED]  # it says normal: judged anew meanwhile


@pytest.mark.services
def test_what_was_trimmed_is_gone_and_what_was_deleted_is_lost(subject: Subject) -> None:
    frames = [subject.result(number) for number in range(9)]
    subject.store.store(frames, 1)
    assert [subject.state(each) for each in frames] == [StoredState.GONE] * 4 + [StoredState.KEPT] * 5
    deleted, forgotten, new = frames[6], frames[7], subject.result(30)
    subject.client.delete(keys.result(deleted.result.frame_id))
    for name in (keys.result, keys.seen):
        subject.client.delete(name(forgotten.result.frame_id))
    for name in (keys.good_index, keys.good_arrivals):
        subject.client.zrem(name(forgotten.result.camera_id), forgotten.result.frame_id)
    states = [subject.state(each) for each in (deleted, forgotten, new, frames[0])]
    assert states == [StoredState.LOST, StoredState.LOST, StoredState.LOST, StoredState.GONE]
    assert subject.state(deleted, age_s=101) is StoredState.GONE
    assert subject.state(subject.result(31, frame="8")) is StoredState.HELD_ELSEWHERE
    subject.client.set(keys.result(frames[8].result.frame_id), b'{"schema": "inspection.result/2"}')
    assert subject.state(frames[8]) is StoredState.UNREADABLE


# (seen, in the lists, how many are kept, the first of them, age in s) of frames/0/10, judged normal.
HERE, OTHER = "frames:0:10", "frames:0:3"
ABSENT = [
    ((HERE, False, 5, "frames:0:20", 1), StoredState.GONE),  # trimmed: the list is full
    ((HERE, False, 5, "frames:0:2", 1), StoredState.GONE),  # trimmed: a frame that was repaired later stands first
    ((HERE, False, 4, "frames:0:20", 1), StoredState.GONE),  # trimmed under a lower limit, or before others were lost
    ((HERE, False, 4, "frames:0:2", 1), StoredState.LOST),  # the list begins before it and has room
    ((HERE, True, 5, "frames:0:20", 1), StoredState.LOST),  # the lists hold it
    (("", False, 0, "", 1), StoredState.LOST),  # nothing is left of the camera
    (("", False, 5, "frames:0:2", 1), StoredState.LOST),
    (("", False, 5, "frames:0:20", 1), StoredState.GONE),  # lost, and by now it would be trimmed
    (("", False, 4, "frames:0:20", 1), StoredState.LOST),
    (("", False, 4, "frames:0:20", 60), StoredState.LOST),  # too old to be remembered, and the list has room
    (("", False, 5, "frames:0:20", 60), StoredState.GONE),
    (("", False, 5, "frames:1:20", 1), StoredState.LOST),  # another partition's offsets tell nothing
    ((OTHER, False, 1, "", 1), StoredState.HELD_ELSEWHERE),
    ((OTHER, False, 1, "", 60), StoredState.GONE),
    ((HERE, True, 1, HERE, 101), StoredState.GONE),  # its age is over
]


@pytest.mark.parametrize(("facts", "expected"), ABSENT)
def test_why_a_result_is_not_there(facts: tuple[str, bool, int, str, float], expected: StoredState) -> None:
    seen, listed, kept, first, age_s = facts
    question = Question(FrameSource("frames", 0, 10), "f", "cam", False, age_s)
    assert absent(question, seen, Lists(listed, False, kept, first), LIMITS) is expected
    assert absent(question, seen, Lists(False, listed, kept, first), LIMITS) is expected


@pytest.mark.services
def test_an_older_repair_is_shut_out_with_all_it_has_not_committed(services: Services, topic_prefix: str) -> None:
    connection, topic = KafkaConnection(services.kafka_bootstrap), f"{topic_prefix}alerts"
    with admin_client(connection) as admin:
        admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    older = RepairLog(connection, group_id=f"{topic_prefix}g", max_record_bytes=2**20)
    older.publish([OutRecord(topic, b"k", b"first")])
    newer = RepairLog(connection, group_id=f"{topic_prefix}g", max_record_bytes=2**20)
    try:
        with pytest.raises(FencedError):
            older.publish([OutRecord(topic, b"k", b"lost")])
        newer.publish([OutRecord(topic, b"k", b"second")])
        newer.publish([])
    finally:
        older.close()
        newer.close()
    assert [record.value for record in read_committed(connection, topic)] == [b"first", b"second"]
