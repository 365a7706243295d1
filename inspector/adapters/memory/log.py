"""The frame log and the feeds of compacted topics on a broker in memory: twins of those on Kafka."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from inspector.adapters.announcements import Keyed, decode_announcement, decode_weights_record, live_records
from inspector.adapters.memory.broker import CommitFault, MemoryBroker, PartitionKey
from inspector.domain.artefact import Announcement
from inspector.domain.errors import BadInputError
from inspector.domain.records import to_json
from inspector.domain.release import Rollout, WeightsRelease
from inspector.pipeline.ports import NO_NOTES, LogRecord, OutRecord, Ownership, Polled

__all__ = ["CommitFault", "MemoryBroker", "MemoryConfigFeed", "MemoryFrameLog", "MemoryWeightsFeed", "announce"]

T = TypeVar("T", bound=Keyed)


class MemoryFrameLog:
    """Behaves as the log on Kafka does, re-seek on every change of membership included.

    Raises:
        BadInputError: there is no topic ``frames_topic``.
        ServiceUnavailableError: the broker is down.
    """

    def __init__(self, broker: MemoryBroker, *, group_id: str, replica: str, frames_topic: str) -> None:
        self.transactional_id = f"{group_id}-{replica}"
        self._broker = broker
        self._group_id = group_id
        self._topic = frames_topic
        self._epoch: int | None = None
        self._member_id: str | None = None
        self._settled: Ownership | None = None
        self._positions: dict[PartitionKey, int] = {}
        self._paused = False
        self._failed = False
        self._never = threading.Event()
        self._join()

    @property
    def member_id(self) -> str | None:
        """Our id in the group, for planning faults."""
        return self._member_id

    def poll(self, timeout_s: float, max_records: int) -> Polled:
        """See ``ports.FrameLog``."""
        self._require_sound()
        if self._epoch is None:
            self._join()
        standing = self._broker.membership(self._group_id, self._member_id or "")
        if standing is None:
            self._member_id = self._broker.join(self._group_id, self._topic)
            return Polled((), None)
        ownership, assigned = standing
        if ownership != self._settled:
            committed = self._broker.committed_offsets(self._group_id)
            self._positions = {key: committed.get(key, 0) for key in assigned}
            self._settled = ownership
            notes = self._broker.committed_notes(self._group_id)
            return Polled((), ownership, reset=True, notes={key: notes.get(key, "") for key in assigned})
        records = () if self._paused else self._fetch(max_records)
        if not records:
            # A caller that polls in a loop must not spin; nothing ever sets the event.
            self._never.wait(min(timeout_s, 0.01))
        return Polled(records, ownership)

    def pause(self) -> None:
        """See ``ports.FrameLog``."""
        self._paused = True

    def resume(self) -> None:
        """See ``ports.FrameLog``."""
        self._paused = False

    def commit(
        self,
        ownership: Ownership,
        next_offsets: Mapping[tuple[str, int], int],
        records: Sequence[OutRecord],
        notes: Mapping[tuple[str, int], str] = NO_NOTES,
    ) -> None:
        """See ``ports.FrameLog``."""
        self._require_sound()
        self._failed = True
        epoch = -1 if self._epoch is None else self._epoch
        self._broker.commit(self.transactional_id, epoch, self._group_id, ownership, next_offsets, records, notes)
        self._failed = False

    def rebuild(self) -> None:
        """See ``ports.FrameLog``."""
        self.close()
        self._failed = False

    def lag(self) -> Mapping[tuple[str, int], int]:
        """See ``ports.FrameLog``."""
        return {key: self._broker.end_offset(key) - position for key, position in self._positions.items()}

    def ends(self) -> Mapping[tuple[str, int], int]:
        """See ``ports.FrameLog``."""
        return {place: self._broker.end_offset(place) for place in self._positions}

    def close(self) -> None:
        """See ``ports.FrameLog``."""
        if self._member_id is not None:
            self._broker.leave(self._group_id, self._member_id)
        self._epoch = self._member_id = self._settled = None
        self._positions = {}

    def _join(self) -> None:
        self._epoch = self._broker.register_producer(self.transactional_id)
        self._member_id = self._broker.join(self._group_id, self._topic)

    def _fetch(self, max_records: int) -> tuple[LogRecord, ...]:
        taken: list[LogRecord] = []
        for key, position in self._positions.items():
            batch = self._broker.fetch(key, position, max_records - len(taken))
            self._positions[key] = position + len(batch)
            taken.extend(batch)
        return tuple(taken)

    def _require_sound(self) -> None:
        if self._failed:
            raise RuntimeError("a commit failed: rebuild() must come before anything else")


class MemoryFeed(Generic[T]):
    """A compacted topic in memory, as ``CompactedFeed`` reads one from Kafka."""

    def __init__(
        self,
        broker: MemoryBroker,
        topic: str,
        decode: Callable[[LogRecord], T],
        on_bad_record: Callable[[LogRecord, BadInputError], None] = lambda record, error: None,
    ) -> None:
        self._broker = broker
        self._topic = topic
        self._decode = decode
        self._on_bad_record = on_bad_record
        self._read: dict[int, int] = {}
        self._caught_up = False
        broker.committed_records(topic)  # raises where there is none

    def poll(self) -> Sequence[T]:
        """Return what arrived since the last call; the first call the last record of each key."""
        arrived = self._arrived()
        if self._caught_up:
            return arrived
        self._caught_up = True
        return live_records(arrived)

    def close(self) -> None:
        """Close nothing."""

    def _arrived(self) -> list[T]:
        arrived: list[T] = []
        for record in self._broker.committed_records(self._topic):
            source = record.source
            if source.offset < self._read.get(source.partition, 0):
                continue
            self._read[source.partition] = source.offset + 1
            try:
                arrived.append(self._decode(record))
            except BadInputError as error:
                self._on_bad_record(record, error)
        return arrived


class MemoryConfigFeed(MemoryFeed[Announcement]):
    """Announcements from a topic in memory, as ``KafkaConfigFeed`` reads them from Kafka."""

    def __init__(
        self,
        broker: MemoryBroker,
        topic: str,
        on_bad_record: Callable[[LogRecord, BadInputError], None] = lambda record, error: None,
    ) -> None:
        super().__init__(broker, topic, decode_announcement, on_bad_record)


class MemoryWeightsFeed(MemoryFeed[WeightsRelease | Rollout]):
    """Releases and the rollout from a topic in memory, as ``KafkaWeightsFeed`` reads them from Kafka."""

    def __init__(
        self,
        broker: MemoryBroker,
        topic: str,
        on_bad_record: Callable[[LogRecord, BadInputError], None] = lambda record, error: None,
    ) -> None:
        super().__init__(broker, topic, decode_weights_record, on_bad_record)


def announce(broker: MemoryBroker, topic: str, record: Announcement | WeightsRelease | Rollout) -> None:
    """Publish a record of a compacted topic."""
    broker.append(OutRecord(topic, record.key.encode(), to_json(record)))
