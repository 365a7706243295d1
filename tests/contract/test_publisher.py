"""The publisher on real Kafka: acknowledged frames, outages, a full spool, another start."""

from __future__ import annotations

import gc
import socket
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kafka import errors
from kafka.future import Future

from inspector.adapters.kafka import clients
from inspector.adapters.kafka.connection import KafkaConnection, admin_client
from inspector.adapters.kafka.lag import group_lag
from inspector.adapters.kafka.publisher import FramePublisher
from inspector.adapters.kafka.readers import read_committed
from inspector.adapters.kafka.send_window import SendWindow
from inspector.adapters.kafka.spool import Spool, SpooledFrame
from inspector.domain.errors import BadInputError, CredentialsError, ServiceUnavailableError
from inspector.domain.frame import FrameMeta

# kafka-python leaves the socket of a refused connection to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:.*<socket:pytest.PytestUnraisableExceptionWarning")

CAPTURED = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def refused_sockets_are_collected_here() -> Iterator[None]:
    yield
    gc.collect()


def meta(number: int) -> FrameMeta:
    return FrameMeta(f"{number:06d}", f"cam{number % 3}", "line-1", "plate", CAPTURED, "image/jpeg")


def away() -> KafkaConnection:
    """An address that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return KafkaConnection(f"127.0.0.1:{probe.getsockname()[1]}")


@pytest.fixture
def connection(request: pytest.FixtureRequest) -> KafkaConnection:
    return KafkaConnection(request.getfixturevalue("services").kafka_bootstrap)


@pytest.fixture
def topic(connection: KafkaConnection) -> str:
    name = f"t-{uuid.uuid4().hex[:10]}"
    with admin_client(connection) as admin:
        admin.create_topics({name: {"num_partitions": 2, "replication_factor": 1}}, wait_for_metadata=True)
    return name


def ids(connection: KafkaConnection, topic: str) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for record in read_committed(connection, topic):
        found.setdefault(record.source.partition, []).append(dict(record.headers)["frame_id"].decode())
    return found


@pytest.mark.services
def test_frames_are_acknowledged_where_they_are(connection: KafkaConnection, topic: str, tmp_path: Path) -> None:
    acked: dict[str, tuple[int, int]] = {}
    publisher = FramePublisher(
        connection, topic, tmp_path, 1_000_000, on_ack=lambda frame, *place: acked.update({frame: place})
    )
    for number in range(40):
        publisher.publish(b"image %d" % number, meta(number))
    assert publisher.flush(30)
    publisher.close()
    records = list(read_committed(connection, topic))
    assert {
        dict(record.headers)["frame_id"].decode(): (record.source.partition, record.source.offset) for record in records
    } == acked
    assert len({(record.key, record.source.partition) for record in records}) == 3
    assert all(found == sorted(found) for found in ids(connection, topic).values())
    assert publisher.counts.acked == 40
    assert sum(group_lag(connection, "nobody", topic).values()) == 40


@pytest.mark.services
def test_what_an_outage_left_goes_out_first_at_the_next_start(
    connection: KafkaConnection, topic: str, tmp_path: Path
) -> None:
    cut_off = FramePublisher(away(), topic, tmp_path, 1_000_000)
    for number in range(20):
        cut_off.publish(b"image", meta(number))
    assert not cut_off.flush(0.1)
    cut_off.close(0)
    assert cut_off.counts.acked == 0
    assert cut_off.counts.refused == 0
    publisher = FramePublisher(connection, topic, tmp_path, 1_000_000)
    for number in range(20, 30):
        publisher.publish(b"image", meta(number))
    assert publisher.flush(30)
    publisher.close()
    found = ids(connection, topic)
    assert all(numbers == sorted(numbers) for numbers in found.values())
    assert sorted(number for numbers in found.values() for number in numbers) == [
        f"{number:06d}" for number in range(30)
    ]


@pytest.mark.services
def test_an_unknown_topic_is_said_so(connection: KafkaConnection, tmp_path: Path) -> None:
    publisher = FramePublisher(connection, "no-such-topic", tmp_path, 1_000_000)
    publisher.publish(b"image", meta(1))
    with pytest.raises(BadInputError, match="inspector topics create"):
        publisher.flush(30)
    publisher.close(0)
    kept = Spool(tmp_path, 1_000_000)
    assert [frame.frame_id for _, frame in kept.peek(0, 10)] == ["000001"]
    kept.close()


def test_a_full_spool_holds_the_camera_up_and_then_says_so(tmp_path: Path) -> None:
    publisher = FramePublisher(away(), "frames", tmp_path, 1_000, full_wait_s=0.05, window_bytes=100)
    taken: list[int] = []

    def publish_without_end() -> None:
        for number in range(50):
            publisher.publish(b"x" * 100, meta(number))
            taken.append(number)

    with pytest.raises(ServiceUnavailableError, match="room in the spool"):
        publish_without_end()
    counts = publisher.counts
    assert counts.refused == 1
    assert counts.waiting + counts.spooled == len(taken)
    publisher.close(0)


def test_a_frame_over_the_limit_is_not_taken(tmp_path: Path) -> None:
    publisher = FramePublisher(away(), "frames", tmp_path, 1_000, max_record_bytes=10)
    with pytest.raises(BadInputError, match="at most 10 bytes"):
        publisher.publish(b"x" * 11, meta(1))
    assert publisher.counts.refused == 1
    publisher.close(0)


@pytest.fixture
def break_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Makes the disk of every open spool take nothing, or take things again."""
    made: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def connect_and_note(*args: Any, **rest: Any) -> sqlite3.Connection:
        made.append(connect(*args, **rest))
        return made[-1]

    def set_broken(broken: bool) -> None:
        for database in made:
            with suppress(sqlite3.ProgrammingError):  # closed
                database.execute(f"PRAGMA query_only = {int(broken)}")

    monkeypatch.setattr(sqlite3, "connect", connect_and_note)
    return set_broken


def until(done: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(1_000):
        if done():
            return
        waiting.wait(0.02)
    raise AssertionError("it did not happen")


def test_a_disk_that_takes_nothing_loses_nothing_that_was_taken(
    tmp_path: Path, break_disk: Callable[[bool], None]
) -> None:
    publisher = FramePublisher(away(), "frames", tmp_path, 10**9, full_wait_s=0.05, window_bytes=5)
    for number in range(5):
        publisher.publish(b"x", meta(number))
    break_disk(True)

    def refused_for_the_disk() -> bool:
        with pytest.raises(ServiceUnavailableError) as refusal:
            publisher.publish(b"x", meta(99))
        return "readonly" in str(refusal.value)

    until(refused_for_the_disk)
    assert publisher.counts.waiting == 5
    break_disk(False)
    publisher.publish(b"x", meta(5))
    publisher.close(0)
    kept = Spool(tmp_path, 10**9)
    assert [frame.frame_id for _, frame in kept.peek(0, 99)] == [f"{number:06d}" for number in range(6)]
    kept.close()


@pytest.mark.services
def test_a_disk_that_takes_nothing_when_kafka_comes_back_delays_nothing(
    connection: KafkaConnection, topic: str, tmp_path: Path, break_disk: Callable[[bool], None]
) -> None:
    cut_off = FramePublisher(away(), topic, tmp_path, 10**9)
    for number in range(5):
        cut_off.publish(b"x", meta(number))
    cut_off.close(0)
    publisher = FramePublisher(connection, topic, tmp_path, 10**9)
    break_disk(True)
    assert publisher.flush(30)
    publisher.publish(b"x", meta(5))
    assert publisher.flush(30)
    publisher.close(0)
    found = ids(connection, topic)
    assert sorted(number for numbers in found.values() for number in numbers) == [
        f"{number:06d}" for number in range(6)
    ]


def test_frames_neither_kafka_nor_the_disk_took_are_told_at_the_end(
    tmp_path: Path, break_disk: Callable[[bool], None], caplog: pytest.LogCaptureFixture
) -> None:
    publisher = FramePublisher(away(), "frames", tmp_path, 10**9, window_bytes=1)
    break_disk(True)
    publisher.publish(b"x", meta(1))
    publisher.close(0)
    assert publisher.counts.waiting == 1
    assert "1 frames are lost" in caplog.text


class _Refusing:
    """A client that may look at the topic and not write to it."""

    def partitions_for(self, topic: str) -> set[int]:
        return {0}

    def send(self, topic: str, **_: object) -> Future:
        return Future().failure(errors.TopicAuthorizationFailedError(topic))

    def close(self, timeout: float) -> None:
        pass


class _Silent(_Refusing):
    """A client that never gets anything through."""

    def send(self, topic: str, **_: object) -> Future:
        return Future().failure(errors.KafkaConnectionError("cut off"))


def test_a_producer_without_the_right_to_write_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "idempotent_producer", lambda *_, **__: _Refusing())
    publisher = FramePublisher(away(), "frames", tmp_path, 10**9)
    publisher.publish(b"image", meta(1))
    with pytest.raises(CredentialsError, match="rights"):
        publisher.flush(30)
    with pytest.raises(CredentialsError):
        publisher.publish(b"image", meta(2))
    publisher.close(0)
    kept = Spool(tmp_path, 10**9)
    assert len(kept) == 1
    kept.close()


def test_a_connection_that_gets_nothing_through_is_made_ever_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "idempotent_producer", lambda *_, **__: _Silent())
    window = SendWindow(away(), "frames", 1000, 1000, 10.0, lambda: None)
    waits: list[float] = []
    for _ in range(4):
        window.connect()
        window.send(frame(1), None)
        assert window.trouble() is not None
        waits.append(window.wait_before_connecting_s())
        window.disconnect()
        window.take_back()
    assert waits == pytest.approx([0.5, 1, 2, 4], abs=0.4)


def frame(number: int, size: int = 10) -> SpooledFrame:
    return SpooledFrame(str(number), b"cam", (("h", bytes(range(256))),), b"x" * size)


def test_a_spool_keeps_order_bound_and_bytes_over_a_restart(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 45)
    accepted: Callable[[int], bool] = lambda number: spool.append([frame(number)])  # noqa: E731  one word below
    assert [accepted(number) for number in range(5)] == [True, True, True, True, False]
    assert spool.append([frame(9)], force=True)
    first = spool.peek(0, 1)[0][0]
    spool.remove(first)
    spool.remove(first)
    spool.close()
    again = Spool(tmp_path, 45)
    assert (len(again), again.used_bytes) == (4, 40)
    assert [kept for _, kept in again.peek(0, 10)] == [frame(1), frame(2), frame(3), frame(9)]
    again.close()


def test_a_spool_has_one_owner(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 45)
    with pytest.raises(BadInputError, match="of this producer's own"):
        Spool(tmp_path, 45)
    spool.close()
