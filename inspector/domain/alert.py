"""The alert for one frame judged anomalous (``inspection.alert/1``); CloudEvents attributes travel in headers."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from inspector.domain.frame import FrameSource

ALERT_SCHEMA = "inspection.alert/1"
ALERT_TYPE = "inspection.defect"

_ALERT_NAMESPACE = uuid.UUID("6f0d7a2e-52a5-5d0e-8a9e-3f4a1c1b9d11")


def alert_id(source: FrameSource) -> str:
    """Return the alert's id, the same for a frame whenever and by whichever weights it is judged.

    A reader that sees it twice can therefore deduplicate.
    """
    return str(uuid.uuid5(_ALERT_NAMESPACE, f"{source.topic}/{source.partition}/{source.offset}"))


@dataclass(frozen=True, slots=True)
class Alert:
    """One defect event. ``defect_type`` and ``severity`` are those of the frame's gravest defect.

    ``repaired_at``: when `inspector reconcile` sent it because it was missing: late, and out of its camera's order.
    """

    alert_id: str
    camera_id: str
    line_id: str
    frame_id: str
    defect_type: str
    severity: int
    anomaly_score: float
    captured_at: datetime
    result_key: str
    weights_version: str
    description: str
    defect_types: tuple[str, ...]
    product: str
    source: FrameSource
    part_id: str | None = None
    lot: str | None = None
    view: str | None = None
    traceparent: str | None = None
    repaired_at: datetime | None = None
    schema: str = ALERT_SCHEMA
