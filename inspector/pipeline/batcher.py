"""Batches by size and by wait: a full batch goes at once, a partial one when its oldest frame has waited enough."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


# Items that weigh nothing do not fill a batch, but so many items of any weight are one.
_MAX_ITEMS_A_WEIGHT = 4


class Batcher(Generic[Item]):
    """First in, first out. Time is passed in (monotonic seconds)."""

    def __init__(self, max_size: int, max_wait_s: float) -> None:
        if max_size < 1 or max_wait_s < 0:
            raise ValueError(f"expected max_size >= 1 and max_wait_s >= 0, got {max_size} and {max_wait_s}")
        self._max_size = max_size
        self._max_items = _MAX_ITEMS_A_WEIGHT * max_size
        self._max_wait_s = max_wait_s
        self._waiting: deque[tuple[float, Item, int]] = deque()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: Item, now_s: float, weight: int = 1) -> None:
        """Put one item at the end; ``weight`` 0: it needs no place in its batch."""
        self._waiting.append((now_s, item, weight))
        self._weight += weight

    def due_in_s(self, now_s: float) -> float | None:
        """Return the seconds until a batch is ready: 0 now, None while nothing waits."""
        if not self._waiting:
            return None
        if self._weight >= self._max_size or len(self._waiting) >= self._max_items:
            return 0.0
        return max(0.0, self._waiting[0][0] + self._max_wait_s - now_s)

    def take(self, now_s: float) -> list[Item]:
        """Return the next batch, oldest first, or an empty list if none is ready."""
        if self.due_in_s(now_s) != 0.0:
            return []
        items: list[Item] = []
        room = self._max_size
        while self._waiting and len(items) < self._max_items and self._waiting[0][2] <= room:
            _, item, weight = self._waiting.popleft()
            items.append(item)
            room -= weight
        self._weight -= self._max_size - room
        return items

    def clear(self) -> list[Item]:
        """Throw everything away and return it."""
        items = [item for _, item, _ in self._waiting]
        self._waiting.clear()
        self._weight = 0
        return items
