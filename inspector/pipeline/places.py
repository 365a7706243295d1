"""Where on a part something lies, in words: its ninth, and whether it is near the edge."""

from __future__ import annotations

import math
from collections.abc import Sequence

from inspector.domain.defect import Box
from inspector.domain.product import Polygon

ROWS = ("upper", "middle", "lower")
COLUMNS = ("left", "centre", "right")
# Share of the shorter side within which a gap to the border counts as near it.
EDGE_SHARE = 0.05


def inspected_box(region_of_interest: Sequence[Polygon], width_px: int, height_px: int) -> Box:
    """Return the bounding box of the region of interest in pixels of the frame; the whole frame where there is none."""
    points = [point for polygon in region_of_interest for point in polygon]
    if not points:
        return Box(0, 0, width_px, height_px)
    left, top = (math.floor(min(axis)) for axis in _scaled(points, width_px, height_px))
    right, bottom = (math.ceil(max(axis)) for axis in _scaled(points, width_px, height_px))
    return Box(left, top, max(1, right - left), max(1, bottom - top))


def ninth(box: Box, whole: Box) -> str:
    """Name the ninth of ``whole`` in which ``box`` has its centre: ``upper left``, ``centre``, ``middle right``."""
    row = ROWS[_third(2 * (box.y - whole.y) + box.h, whole.h)]
    column = COLUMNS[_third(2 * (box.x - whole.x) + box.w, whole.w)]
    return "centre" if (row, column) == ("middle", "centre") else f"{row} {column}"


def near_edge(box: Box, whole: Box) -> bool:
    """Say whether the gap between ``box`` and the nearest border of ``whole`` is within 5 % of the shorter side."""
    gap_px = min(
        box.x - whole.x,
        box.y - whole.y,
        whole.x + whole.w - box.x - box.w,
        whole.y + whole.h - box.y - box.h,
    )
    return gap_px <= EDGE_SHARE * min(whole.w, whole.h)


def _third(doubled_centre: int, side: int) -> int:
    return min(2, max(0, doubled_centre * 3 // (2 * side)))


def _scaled(points: Sequence[tuple[float, float]], width_px: int, height_px: int) -> tuple[list[float], list[float]]:
    return [x * width_px for x, _ in points], [y * height_px for _, y in points]
