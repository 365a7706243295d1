"""Which frames a line leaves out when it cannot keep up and prefers that to waiting; by default none.

A rule looks at one partition at a time: what waits there is told by offsets. The cameras of a partition share what may
wait on it, so that a quiet one may lose frames to a busy one. Nothing is left out for its age where few frames wait: as
long as its partition keeps up, a camera whose clock is wrong is inspected like any other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from inspector.domain.frame import Frame
from inspector.domain.outcome import DropReason

PartitionKey = tuple[str, int]


class DropPolicy(StrEnum):
    """Which frames go where too many wait: those that waited longest, those that came last, or none."""

    NONE = "none"
    OLDEST = "oldest"
    NEWEST = "newest"


@dataclass(frozen=True, slots=True)
class DropLimits:
    """When frames are left out: ``lag_frames``: more wait on a partition; ``older_s``: it was captured longer ago.

    ``older_s`` is for ``OLDEST`` alone, and counts only where at least ``few_frames`` newer ones wait on the partition.
    """

    policy: DropPolicy = DropPolicy.NONE
    lag_frames: int | None = None
    older_s: float | None = None
    few_frames: int = 16


@dataclass(slots=True)
class _Queue:
    """What is decided of a partition under ``NEWEST``: [first, end) ranges to drop, and up to where it is decided."""

    decided: int = 0
    dropped: deque[tuple[int, int]] = field(default_factory=deque)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class DropRule:
    """Owned by the loop's thread."""

    def __init__(self, limits: DropLimits, now: Callable[[], datetime] = _utc_now) -> None:
        self._limits = limits
        self._now = now
        self._ends: Mapping[PartitionKey, int] = {}
        self._queues: dict[PartitionKey, _Queue] = {}
        self._stored: Mapping[PartitionKey, int] = {}

    @property
    def is_on(self) -> bool:
        """Whether any frame may be dropped."""
        return self._limits.policy is not DropPolicy.NONE

    def see(self, ends: Mapping[PartitionKey, int]) -> None:
        """Learn where the partitions end: the offset that the next frame will have."""
        self._ends = ends

    def forget(self) -> None:
        """Decide anew what was decided of frames that are not taken yet."""
        self._queues.clear()

    def spare(self, stored_up_to: Mapping[PartitionKey, int]) -> None:
        """Learn up to which offset results are stored: such a frame, taken again, was judged, and is told of."""
        self._stored = stored_up_to

    def decide(self, frame: Frame) -> tuple[DropReason, str] | None:
        """Return why a frame is left out, as a reason and in words; None if it is inspected. Frames come in order."""
        if self._limits.policy is DropPolicy.NONE:
            return None
        place = (frame.source.topic, frame.source.partition)
        offset, end = frame.source.offset, self._ends.get(place, 0)
        if self._limits.policy is DropPolicy.NEWEST:
            why = self._newest(place, offset, end)
        else:
            why = self._oldest(frame, max(0, end - offset - 1))
        return None if offset <= self._stored.get(place, -1) else why

    def _oldest(self, frame: Frame, newer: int) -> tuple[DropReason, str] | None:
        lag_frames, older_s = self._limits.lag_frames, self._limits.older_s
        if lag_frames is not None and newer >= lag_frames:
            return DropReason.LAG, f"{newer} newer frames waited on its partition, {lag_frames} may wait in all"
        age_s = (self._now() - frame.meta.captured_at).total_seconds()
        if older_s is not None and newer >= self._limits.few_frames and age_s > older_s:
            return DropReason.AGE, f"it was captured {age_s:.1f} s ago, at most {older_s:g} s may pass"
        return None

    def _newest(self, place: PartitionKey, offset: int, end: int) -> tuple[DropReason, str] | None:
        queue = self._queues.setdefault(place, _Queue())
        while queue.dropped and queue.dropped[0][1] <= offset:
            queue.dropped.popleft()
        self._admit(queue, offset, end)
        if queue.dropped and queue.dropped[0][0] <= offset:
            return DropReason.LAG, f"{self._limits.lag_frames} frames waited on its partition when it came"
        return None

    def _admit(self, queue: _Queue, offset: int, end: int) -> None:
        """Let frames that have come since queue up, as far as there is room; the others are dropped in their turn."""
        first = max(queue.decided, offset)
        if end <= first:
            return
        waiting = first - offset - sum(last - max(begin, offset) for begin, last in queue.dropped)
        kept = first + max(0, (self._limits.lag_frames or 0) - waiting)
        if kept < end:
            queue.dropped.append((kept, end))
        queue.decided = end
