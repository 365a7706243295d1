"""Where a label goes: beside its box, inside the picture, on no other label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Rect(NamedTuple):
    """Left, top, width, height in pixels."""

    x: int
    y: int
    w: int
    h: int

    def overlaps(self, other: Rect) -> bool:
        """Whether the two share a pixel."""
        across = self.x < other.x + other.w and other.x < self.x + self.w
        return across and self.y < other.y + other.h and other.y < self.y + self.h


def place_label(
    size: tuple[int, int], box: Rect, picture: tuple[int, int], taken: Sequence[Rect], gap: int
) -> Rect | None:
    """Return the first free place for a label of ``size`` near ``box``, None if there is none.

    Tried in order: above, below, right, left, then inside at the top; sideways places are pushed into the picture.
    """
    width, height = size
    if width > picture[0] or height > picture[1]:
        return None
    for x, y in _candidates(size, box, gap):
        spot = Rect(min(max(x, 0), picture[0] - width), y, width, height)
        on_picture = spot.y >= 0 and spot.y + height <= picture[1]
        if on_picture and not any(spot.overlaps(other) for other in taken):
            return spot
    return None


def _candidates(size: tuple[int, int], box: Rect, gap: int) -> Iterator[tuple[int, int]]:
    width, height = size
    for step in range(3):  # further away each time, where labels crowd
        away = gap + step * (height + gap)
        yield box.x, box.y - height - away
        yield box.x, box.y + box.h + away
        yield box.x + box.w + away, box.y + (box.h - height) // 2
        yield box.x - width - away, box.y + (box.h - height) // 2
    yield box.x + gap, box.y + gap
