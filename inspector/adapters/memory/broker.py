"""A broker in memory: topics, groups with generations, transactions. It plays every fault on demand."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from inspector.domain.errors import BadInputError, ServiceUnavailableError
from inspector.domain.frame import FrameSource
from inspector.pipeline.ports import NO_NOTES, CommitFailedError, FencedError, LogRecord, OutRecord, Ownership

PartitionKey = tuple[str, int]


class CommitFault(StrEnum):
    """What goes wrong in a planned commit."""

    BEFORE = "before"  # nothing of it becomes visible
    AFTER = "after"  # all of it is visible, but the answer is lost


@dataclass
class _Group:
    generation: int = 0
    members: dict[str, str] = field(default_factory=dict)  # member id -> topic
    assignment: dict[PartitionKey, str] = field(default_factory=dict)
    committed: dict[PartitionKey, int] = field(default_factory=dict)
    notes: dict[PartitionKey, str] = field(default_factory=dict)


class MemoryBroker:
    """Topics with partitions; a commit is one step, so a transaction is visible as a whole or not at all."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._topics: dict[str, list[list[LogRecord]]] = {}
        self._groups: dict[str, _Group] = {}
        self._epochs: dict[str, int] = {}
        self._joins = 0
        self._clock_ms = 0
        self._faults: list[CommitFault] = []
        self.down = False

    def create_topic(self, topic: str, partitions: int = 1) -> None:
        """Create a topic; one that exists is left as it is."""
        with self._lock:
            self._topics.setdefault(topic, [[] for _ in range(partitions)])

    def append(self, record: OutRecord) -> FrameSource:
        """Append a record as a producer would: records of one key are on one partition, in order.

        Raises:
            BadInputError: there is no such topic.
            ServiceUnavailableError: the broker is down.
        """
        with self._lock:
            partitions = self._partitions(record.topic)
            # Not murmur2, but a function of the key alone, as that is.
            number = zlib.crc32(record.key or b"") % len(partitions)
            self._clock_ms += 1
            source = FrameSource(record.topic, number, len(partitions[number]))
            partitions[number].append(LogRecord(source, self._clock_ms, record.key, record.value, record.headers))
            return source

    def committed_records(self, topic: str) -> list[LogRecord]:
        """Return what a reader of committed records sees, partition by partition."""
        with self._lock:
            return [record for partition in self._partitions(topic) for record in partition]

    def committed_offsets(self, group_id: str) -> dict[PartitionKey, int]:
        """Return the next offset committed for each partition that has one."""
        with self._lock:
            return dict(self._group(group_id).committed)

    def committed_notes(self, group_id: str) -> dict[PartitionKey, str]:
        """Return what was committed beside each of those offsets."""
        with self._lock:
            return dict(self._group(group_id).notes)

    def plan_commit_fault(self, fault: CommitFault) -> None:
        """Let the next commit that has no plan yet fail like this."""
        with self._lock:
            self._faults.append(fault)

    def rebalance(self, group_id: str) -> None:
        """Start a new generation with the same members."""
        with self._lock:
            self._assign(self._group(group_id))

    def expire(self, group_id: str, member_id: str) -> None:
        """Take a member for dead, as after a session without heartbeats; it does not learn of it by itself."""
        with self._lock:
            group = self._group(group_id)
            if group.members.pop(member_id, None) is not None:
                self._assign(group)

    def register_producer(self, transactional_id: str) -> int:
        """Make the caller the owner of ``transactional_id`` and return its epoch; earlier owners are fenced."""
        with self._lock:
            self._require_up()
            self._epochs[transactional_id] = self._epochs.get(transactional_id, -1) + 1
            return self._epochs[transactional_id]

    def join(self, group_id: str, topic: str) -> str:
        """Add a member to a group and return its id; a new generation starts.

        Raises:
            BadInputError: there is no such topic.
            ServiceUnavailableError: the broker is down.
        """
        with self._lock:
            self._partitions(topic)
            self._joins += 1
            member_id = f"member-{self._joins}"
            group = self._group(group_id)
            group.members[member_id] = topic
            self._assign(group)
            return member_id

    def membership(self, group_id: str, member_id: str) -> tuple[Ownership, tuple[PartitionKey, ...]] | None:
        """Return a member's standing and partitions; None: it is no member (any more)."""
        with self._lock:
            self._require_up()
            group = self._group(group_id)
            if member_id not in group.members:
                return None
            owned = sorted(key for key, owner in group.assignment.items() if owner == member_id)
            return Ownership(member_id, group.generation), tuple(owned)

    def fetch(self, key: PartitionKey, offset: int, limit: int) -> Sequence[LogRecord]:
        """Return up to ``limit`` records of a partition from ``offset`` on."""
        with self._lock:
            return self._partitions(key[0])[key[1]][offset : offset + limit]

    def end_offset(self, key: PartitionKey) -> int:
        """Return the offset that the next record of a partition will have."""
        with self._lock:
            return len(self._partitions(key[0])[key[1]])

    def commit(
        self,
        transactional_id: str,
        epoch: int,
        group_id: str,
        ownership: Ownership,
        next_offsets: Mapping[PartitionKey, int],
        records: Sequence[OutRecord],
        notes: Mapping[PartitionKey, str] = NO_NOTES,
    ) -> None:
        """Append records and commit offsets in one step, with a note beside each.

        Raises:
            FencedError: a newer owner of ``transactional_id`` exists.
            CommitFailedError: the membership is not the current one, the broker is down, or a fault was planned.
        """
        with self._lock:
            fault = self._faults.pop(0) if self._faults else None
            if self.down or fault is CommitFault.BEFORE:
                raise CommitFailedError("nothing was committed")
            if self._epochs.get(transactional_id) != epoch:
                raise FencedError(f"another inspector runs as {transactional_id}")
            group = self._group(group_id)
            if ownership.generation != group.generation or ownership.member_id not in group.members:
                raise CommitFailedError(f"{ownership.member_id} is not in generation {group.generation}")
            for record in records:
                self.append(record)
            group.committed.update(next_offsets)
            group.notes.update({key: notes.get(key, "") for key in next_offsets})
            if fault is CommitFault.AFTER:
                raise CommitFailedError("committed, but the answer was lost")

    def leave(self, group_id: str, member_id: str) -> None:
        """Take a member out of its group."""
        self.expire(group_id, member_id)

    def _group(self, group_id: str) -> _Group:
        return self._groups.setdefault(group_id, _Group())

    def _assign(self, group: _Group) -> None:
        group.generation += 1
        members = sorted(group.members)
        keys = sorted({(topic, n) for topic in group.members.values() for n in range(len(self._topics[topic]))})
        group.assignment = {key: members[index % len(members)] for index, key in enumerate(keys)}

    def _partitions(self, topic: str) -> list[list[LogRecord]]:
        self._require_up()
        if topic not in self._topics:
            raise BadInputError(f"topic {topic}", "no such topic", "run `inspector topics create`")
        return self._topics[topic]

    def _require_up(self) -> None:
        if self.down:
            raise ServiceUnavailableError("a broker in memory", "it is down", "bring it up")
