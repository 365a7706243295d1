"""One short sentence about a defect, for an operator."""

from __future__ import annotations

from inspector.domain.defect import Box

_ROWS = ("upper", "middle", "lower")
_COLUMNS = ("left", "centre", "right")


def describe(defect_type: str, box: Box, width_px: int, height_px: int, mm_per_px: float | None) -> str:
    """Return for example ``scratch, upper left, 12.4 x 0.8 mm`` (pixels where the size of a pixel is unknown)."""
    size = f"{box.w} x {box.h} px" if mm_per_px is None else f"{box.w * mm_per_px:.1f} x {box.h * mm_per_px:.1f} mm"
    return f"{defect_type}, {where(box, width_px, height_px)}, {size}"


def where(box: Box, width_px: int, height_px: int) -> str:
    """Name the ninth of the frame in which the box has its centre: ``upper left``, ``centre``, ``middle right``."""
    row = _ROWS[min(2, (2 * box.y + box.h) * 3 // (2 * height_px))]
    column = _COLUMNS[min(2, (2 * box.x + box.w) * 3 // (2 * width_px))]
    return "centre" if (row, column) == ("middle", "centre") else f"{row} {column}"
