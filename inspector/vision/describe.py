"""One short sentence about a defect, for an operator."""

from __future__ import annotations

from inspector.domain.defect import Box
from inspector.pipeline.places import ninth
from inspector.pipeline.sizes import size_text


def describe(defect_type: str, box: Box, width_px: int, height_px: int, mm_per_px: float | None) -> str:
    """Return for example ``scratch, upper left, 12.4 x 0.8 mm`` (pixels where the size of a pixel is unknown)."""
    place = ninth(box, Box(0, 0, width_px, height_px))
    if mm_per_px is None:
        return f"{defect_type}, {place}, {size_text(box.w, box.h, 'px')}"
    return f"{defect_type}, {place}, {size_text(box.w * mm_per_px, box.h * mm_per_px, 'mm')}"
