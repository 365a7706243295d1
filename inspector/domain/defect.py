"""A defect instance: what it is, how sure, how bad, and where on the frame as captured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

_CLOSE = 0.8  # of the type's own probability


class Box(NamedTuple):
    """Axis-aligned box in pixels of the frame as captured: left, top, width, height."""

    x: int
    y: int
    w: int
    h: int


class Point(NamedTuple):
    """A vertex in pixels of the frame as captured."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Defect:
    """One connected region judged defective.

    ``score`` is 0..1, ``severity`` 1..1000 (667 and above: act now), ``area_fraction`` is of the whole frame,
    ``area_mm2`` is known only where the product says how large a pixel is. ``type_probability`` (0..1) is that of the
    type given that the region is a defect, over the product's vocabulary; ``runner_up`` is the second in line, with its
    own; None where nothing told the types apart, or the record is older than these fields.
    """

    defect_type: str
    score: float
    severity: int
    area_px: int
    area_fraction: float
    box: Box
    polygon: tuple[Point, ...]
    description: str
    area_mm2: float | None = None
    type_probability: float | None = None
    runner_up: str | None = None
    runner_up_probability: float | None = None

    @property
    def type_is_close(self) -> bool:
        """Whether the runner-up is so near that the type is hardly told apart from it."""
        if self.type_probability is None or self.runner_up_probability is None:
            return False
        return self.runner_up_probability > _CLOSE * self.type_probability

    @property
    def type_text(self) -> str:
        """The type as a person reads it in a table or a picture: with a question mark where it is close."""
        return f"{self.defect_type}?" if self.type_is_close else self.defect_type
