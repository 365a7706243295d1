"""The offset ledger: every frame taken has one outcome before its offset is committed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from inspector.domain.frame import FrameSource
from inspector.domain.outcome import Dropped, Inspected, Outcome

PartitionKey = tuple[str, int]


class LedgerError(AssertionError):
    """The books do not balance. A bug: nothing may be committed."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Frames by outcome."""

    taken: int = 0
    inspected: int = 0
    rejected: int = 0
    dropped: int = 0


class OffsetLedger:
    """Books frames per partition: taken in order, settled in order, committed as a prefix."""

    def __init__(self) -> None:
        self._open: dict[PartitionKey, deque[int]] = {}

    def take(self, source: FrameSource) -> None:
        """Book a frame as taken.

        Raises:
            LedgerError: it does not come after the partition's last one.
        """
        offsets = self._open.setdefault((source.topic, source.partition), deque())
        if offsets and source.offset <= offsets[-1]:
            raise LedgerError(f"{source} was taken after offset {offsets[-1]}")
        offsets.append(source.offset)

    def settle(
        self, taken: Iterable[FrameSource], outcomes: Iterable[Outcome]
    ) -> tuple[Mapping[PartitionKey, int], Counts]:
        """Close the frames of one batch; return the next offset to commit per partition, and the counts.

        Raises:
            LedgerError: a frame without an outcome, with two, or out of order in its partition; nothing is booked then.
        """
        batch, outcome_list = list(taken), list(outcomes)
        if sorted(batch) != sorted(outcome.source for outcome in outcome_list):
            raise LedgerError(f"taken {len(batch)} frames, outcomes for {len(outcome_list)}, and they do not match")
        self._check_prefix(batch)
        next_offsets: dict[PartitionKey, int] = {}
        for source in batch:
            key = (source.topic, source.partition)
            self._open[key].popleft()
            next_offsets[key] = source.offset + 1
        return next_offsets, _count(outcome_list)

    def reset(self) -> None:
        """Forget all open frames: they will be taken again."""
        self._open.clear()

    def open_frames(self) -> int:
        """Return how many frames are taken and not settled."""
        return sum(len(offsets) for offsets in self._open.values())

    def _check_prefix(self, batch: list[FrameSource]) -> None:
        seen: dict[PartitionKey, int] = {}
        for source in batch:
            key = (source.topic, source.partition)
            position = seen.get(key, 0)
            offsets = self._open.get(key, deque())
            if position >= len(offsets) or offsets[position] != source.offset:
                raise LedgerError(f"{source} is settled out of order, or was never taken")
            seen[key] = position + 1


def _count(outcomes: list[Outcome]) -> Counts:
    inspected = sum(isinstance(outcome, Inspected) for outcome in outcomes)
    dropped = sum(isinstance(outcome, Dropped) for outcome in outcomes)
    return Counts(len(outcomes), inspected, len(outcomes) - inspected - dropped, dropped)
