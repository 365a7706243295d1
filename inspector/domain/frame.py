"""A frame: one encoded image a camera published, and where it stands in the log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

FRAME_SCHEMA = "inspection.frame/1"


@dataclass(frozen=True, slots=True, order=True)
class FrameSource:
    """Position of a frame in the log. This, not ``frame_id``, is the frame's identity."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class FrameMeta:
    """What is known of a frame besides its pixels; carried through every record made from it.

    ``captured_at`` is timezone-aware UTC. ``part_id``, ``lot`` and ``view`` are what a factory needs to find
    the part again; ``traceparent`` is the W3C trace context, passed on untouched.
    """

    frame_id: str
    camera_id: str
    line_id: str
    product: str
    captured_at: datetime
    content_type: str
    part_id: str | None = None
    lot: str | None = None
    view: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One encoded frame (JPEG, PNG...) taken from the log."""

    meta: FrameMeta
    source: FrameSource
    image: bytes
