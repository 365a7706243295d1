"""How the size of a box is written, the same wherever a person reads it."""

from __future__ import annotations

from typing import Literal

# Below this many millimetres one decimal leaves nothing of a size: fine optics have pixels of a few micrometres.
_SMALL_MM = 0.1


def size_text(width: float, height: float, unit: Literal["px", "mm"]) -> str:
    """Return for example ``12.4 x 0.8 mm``: millimetres with one decimal, three below 0.1 mm; pixels whole."""
    return f"{_side(width, unit)} x {_side(height, unit)} {unit}"


def _side(side: float, unit: Literal["px", "mm"]) -> str:
    if unit == "px":
        return f"{side:.0f}"
    return f"{side:.{3 if side < _SMALL_MM else 1}f}"
