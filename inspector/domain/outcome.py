"""Every frame taken from the log ends as exactly one outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from inspector.domain.alert import Alert
from inspector.domain.frame import FrameSource
from inspector.domain.result import InspectionResult


class RejectReason(StrEnum):
    """Why a frame could not be inspected; the value stands in the dead letter's ``reason`` header."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    TOO_MANY_PIXELS = "too_many_pixels"
    CONTENT_TYPE = "content_type"
    UNDECODABLE = "undecodable"
    TRUNCATED = "truncated"
    NO_CAMERA_ID = "no_camera_id"
    CAMERA_ID_CONFLICT = "camera_id_conflict"
    UNKNOWN_CAMERA = "unknown_camera"
    MALFORMED_HEADER = "malformed_header"
    UNKNOWN_SCHEMA = "unknown_schema"
    DUPLICATE = "duplicate"
    DECODER_CRASH = "decoder_crash"
    ENGINE_FAILURE = "engine_failure"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is kept beside a result, where kept: the encoded frame, the overlay (JPEG), the mask (PNG).

    There is no mask of a frame that is anomalous as a whole, without a region.

    ``regions``: what the listed defects look like to words (safetensors, see ``vision.region_embeddings``).
    """

    frame: bytes | None = None
    overlay: bytes | None = None
    mask: bytes | None = None
    regions: bytes | None = None


@dataclass(frozen=True, slots=True)
class Inspected:
    """The frame was scored and judged; ``alert`` is there exactly when it was judged anomalous."""

    source: FrameSource
    result: InspectionResult
    alert: Alert | None
    evidence: Evidence = field(default_factory=Evidence, repr=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    """The frame could not be inspected and becomes one dead letter.

    ``raw`` is the record's value as it came; ``headers`` are its headers as they came (untrusted bytes).
    """

    source: FrameSource
    reason: RejectReason
    detail: str
    raw: bytes = field(repr=False)
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    frame_id: str | None = None
    camera_id: str | None = None
    attempts: int = 1


class DropReason(StrEnum):
    """Which bound of the drop policy a frame was beyond."""

    LAG = "lag"
    AGE = "age"


@dataclass(frozen=True, slots=True)
class Dropped:
    """The frame was left out under a drop policy the line asked for, and becomes one dead letter without its bytes."""

    source: FrameSource
    reason: DropReason
    detail: str = ""
    frame_id: str | None = None
    camera_id: str | None = None
    captured_at: datetime | None = None
    key: bytes | None = None
    size_bytes: int = 0
    sha256: str = ""


Outcome = Inspected | Rejected | Dropped
