"""Batches by size and by wait: a full batch goes at once, a partial one when its oldest frame has waited enough."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Batcher(Generic[Item]):
    """First in, first out. Time is passed in (monotonic seconds)."""

    def __init__(self, max_size: int, max_wait_s: float) -> None:
        if max_size < 1 or max_wait_s < 0:
            raise ValueError(f"expected max_size >= 1 and max_wait_s >= 0, got {max_size} and {max_wait_s}")
        self._max_size = max_size
        self._max_wait_s = max_wait_s
        self._waiting: deque[tuple[float, Item]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: Item, now_s: float) -> None:
        """Put one item at the end."""
        self._waiting.append((now_s, item))

    def due_in_s(self, now_s: float) -> float | None:
        """Return the seconds until a batch is ready: 0 now, None while nothing waits."""
        if not self._waiting:
            return None
        if len(self._waiting) >= self._max_size:
            return 0.0
        return max(0.0, self._waiting[0][0] + self._max_wait_s - now_s)

    def take(self, now_s: float) -> list[Item]:
        """Return the next batch, oldest first, or an empty list if none is ready."""
        if self.due_in_s(now_s) != 0.0:
            return []
        return [self._waiting.popleft()[1] for _ in range(min(self._max_size, len(self._waiting)))]

    def clear(self) -> list[Item]:
        """Throw everything away and return it."""
        items = [item for _, item in self._waiting]
        self._waiting.clear()
        return items
