"""Guards against records of a membership that is gone.

A member that was away longer than its session (stopped, swapped out, cut off) rejoins with the positions it had before,
although another member may have owned and committed its partitions in between; kafka-python keeps the state of
partitions that are in the old and in the new assignment. No error is raised anywhere. So every change of membership
throws polled records away and seeks to the committed offsets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kafka.structs import MemberState, TopicPartition

from inspector.pipeline.ports import Ownership

# Longer than a transaction lives: committed offsets are not told while one that changes them is pending.
_COMMITTED_TIMEOUT_MS = 15_000


@dataclass(frozen=True, slots=True)
class Standing:
    """Our place in the group after a poll; where it changed, the next offsets and the notes committed beside them."""

    ownership: Ownership
    changed: bool
    positions: dict[tuple[str, int], int] = field(default_factory=dict)
    notes: dict[tuple[str, int], str] = field(default_factory=dict)


class MembershipGuard:
    """Compares (member, generation, assignment) after every poll with those before it."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._settled: object = None
        self._notes: dict[tuple[str, int], str] = {}

    def check(self) -> Standing | None:
        """Look at the membership after a poll; seek if it changed. None: not a settled member, nothing may be used.

        Raises:
            KafkaError: the committed offsets could not be learned; the next call tries again.
        """
        metadata = self._consumer.group_metadata()
        if metadata.state != MemberState.STABLE or metadata.generation_id < 0:
            self._settled = None
            return None
        assignment = frozenset(self._consumer.assignment())
        current = (metadata.member_id, metadata.generation_id, assignment)
        ownership = Ownership(metadata.member_id, metadata.generation_id, metadata)
        if current == self._settled:
            return Standing(ownership, changed=False)
        # Not settled until every partition stands where it should, so that an error below leads to another attempt.
        self._settled = None
        self._notes = {}
        positions = {(tp.topic, tp.partition): self._seek(tp) for tp in sorted(assignment)}
        self._settled = current
        return Standing(ownership, changed=True, positions=positions, notes=self._notes)

    def _seek(self, partition: TopicPartition) -> int:
        committed = self._consumer.committed(partition, metadata=True, timeout_ms=_COMMITTED_TIMEOUT_MS)
        if committed is None:
            offset = self._consumer.beginning_offsets([partition], timeout_ms=_COMMITTED_TIMEOUT_MS)[partition]
        else:
            offset = committed.offset
            self._notes[partition.topic, partition.partition] = committed.metadata or ""
        self._consumer.seek(partition, offset)
        return int(offset)
