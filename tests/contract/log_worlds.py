"""The two worlds in which the frame log's contract is played: a broker in memory, and real Kafka."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Protocol

from kafka import KafkaProducer, errors

from inspector.adapters.kafka.connection import KafkaConnection, admin_client
from inspector.adapters.kafka.frame_log import KafkaFrameLog
from inspector.adapters.kafka.readers import read_committed
from inspector.adapters.memory.broker import CommitFault, MemoryBroker
from inspector.adapters.memory.log import MemoryFrameLog
from inspector.pipeline.ports import FrameLog, LogRecord, OutRecord, Ownership

PARTITIONS = 3
MAX_RECORD_BYTES = 2 * 1024 * 1024
# The shortest that a broker accepts by default (group.min.session.timeout.ms).
SESSION_TIMEOUT_MS = 6_000


class World(Protocol):
    """What a test may do besides using the log itself."""

    frames: str
    alerts: str

    def open(self, replica: str, frames: str | None = None) -> FrameLog: ...
    def publish(self, camera: str, value: bytes) -> None: ...
    def seen(self, topic: str) -> list[LogRecord]: ...
    def stale(self, ownership: Ownership) -> Ownership: ...
    def fail_next_commit(self, log: Any, fault: CommitFault) -> None: ...
    def stop_past_session(self, log: Any) -> Callable[[], None]: ...
    def unreachable(self, call: Callable[[], object]) -> None: ...
    def close(self) -> None: ...


class MemoryWorld:
    def __init__(self) -> None:
        self.frames, self.alerts = "frames", "alerts"
        self.broker = MemoryBroker()
        self.broker.create_topic(self.frames, PARTITIONS)
        self.broker.create_topic(self.alerts, PARTITIONS)

    def open(self, replica: str, frames: str | None = None) -> FrameLog:
        return MemoryFrameLog(self.broker, group_id="g", replica=replica, frames_topic=frames or self.frames)

    def publish(self, camera: str, value: bytes) -> None:
        self.broker.append(OutRecord(self.frames, camera.encode(), value))

    def seen(self, topic: str) -> list[LogRecord]:
        return self.broker.committed_records(topic)

    def stale(self, ownership: Ownership) -> Ownership:
        return replace(ownership, generation=ownership.generation - 1)

    def fail_next_commit(self, log: Any, fault: CommitFault) -> None:
        self.broker.plan_commit_fault(fault)

    def stop_past_session(self, log: Any) -> Callable[[], None]:
        self.broker.expire("g", log.member_id)
        return lambda: None

    def unreachable(self, call: Callable[[], object]) -> None:
        self.broker.down = True
        try:
            call()
        finally:
            self.broker.down = False

    def close(self) -> None:
        pass


class KafkaWorld:
    def __init__(self, bootstrap: str) -> None:
        prefix = f"t-{uuid.uuid4().hex[:10]}"
        self.frames, self.alerts, self.group = f"{prefix}-frames", f"{prefix}-alerts", f"{prefix}-group"
        self.connection = KafkaConnection(bootstrap)
        wanted = {"num_partitions": PARTITIONS, "replication_factor": 1}
        with admin_client(self.connection) as admin:
            admin.create_topics({self.frames: wanted, self.alerts: wanted}, wait_for_metadata=True)
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, max_request_size=2 * MAX_RECORD_BYTES)
        self._open = ExitStack()

    def open(self, replica: str, frames: str | None = None, **rest: Any) -> FrameLog:
        return self._log(self.connection, replica, frames or self.frames, **rest)

    def _log(self, connection: KafkaConnection, replica: str, frames: str, **rest: Any) -> KafkaFrameLog:
        log = KafkaFrameLog(
            connection,
            group_id=self.group,
            replica=replica,
            frames_topic=frames,
            max_record_bytes=MAX_RECORD_BYTES,
            output_topics=(self.alerts,),
            session_timeout_ms=SESSION_TIMEOUT_MS,
            **rest,
        )
        self._open.callback(log.close)
        return log

    def publish(self, camera: str, value: bytes) -> None:
        self._producer.send(self.frames, key=camera.encode(), value=value).get(10)

    def publish_to(self, partition: int, value: bytes) -> int:
        """Return the record's offset."""
        return int(self._producer.send(self.frames, value=value, partition=partition).get(10).offset)

    def seen(self, topic: str) -> list[LogRecord]:
        return list(read_committed(self.connection, topic))

    def stale(self, ownership: Ownership) -> Ownership:
        return replace(ownership, handle=ownership.handle._replace(member_id="somebody-else"))

    def fail_next_commit(self, log: Any, fault: CommitFault) -> None:
        producer = log._producer
        commit = producer.commit_transaction

        def failing() -> None:
            if fault is CommitFault.AFTER:
                commit()
            raise errors.KafkaConnectionError("cut off")

        producer.commit_transaction = failing

    def stop_past_session(self, log: Any) -> Callable[[], None]:
        """Stop the client's network thread as SIGSTOP would: no heartbeats, no fetches, and what it holds stays."""
        resume = threading.Event()
        stopped = threading.Event()

        def stand_still() -> None:
            stopped.set()
            resume.wait()

        log._consumer._net.call_soon_threadsafe(stand_still)
        assert stopped.wait(10)
        self._open.callback(resume.set)
        return resume.set

    def unreachable(self, call: Callable[[], object]) -> None:
        self._log(KafkaConnection("127.0.0.1:9"), "1", self.frames)

    def close(self) -> None:
        self._open.close()
        self._producer.close()


def take(log: FrameLog, count: int = 1, max_records: int = 100) -> tuple[list[LogRecord], Ownership]:
    """Poll until ``count`` records came under one membership, starting over at a reset."""
    records: list[LogRecord] = []
    for _ in range(300):
        polled = log.poll(0.1, max_records)
        if polled.reset:
            records = []
        records.extend(polled.records)
        if polled.ownership is not None and len(records) >= count:
            return records, polled.ownership
    raise AssertionError(f"{len(records)} of {count} records came")


def commit(world: World, log: FrameLog, records: Sequence[LogRecord], ownership: Ownership) -> None:
    """Commit the records with an alert each that names its frame."""
    log.commit(ownership, next_offsets(records), [alert(world, record) for record in records])


def alert(world: World, record: LogRecord) -> OutRecord:
    return OutRecord(world.alerts, record.key, record.value or b"")


def next_offsets(records: Sequence[LogRecord]) -> Mapping[tuple[str, int], int]:
    return {(record.source.topic, record.source.partition): record.source.offset + 1 for record in records}


def serve(world: World, log: FrameLog, max_records: int = 100) -> bool:
    """One round of a worker that keeps nothing between two polls; tells whether it is a settled member."""
    polled = log.poll(0.1, max_records)
    if polled.records and polled.ownership is not None:
        commit(world, log, polled.records, polled.ownership)
    return polled.ownership is not None and not polled.reset
