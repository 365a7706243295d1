"""The result of one inspected frame, as stored in Redis (schema ``inspection.result/1``)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from inspector.domain.defect import Defect
from inspector.domain.frame import FrameSource

RESULT_SCHEMA = "inspection.result/1"


class PredLabel(StrEnum):
    """The verdict on a frame."""

    NORMAL = "normal"
    ANOMALOUS = "anomalous"


class ScoreMode(StrEnum):
    """What a score was made from."""

    ZERO_SHOT = "zero_shot"
    BANK = "bank"
    MUTUAL = "mutual"


@dataclass(frozen=True, slots=True)
class InspectionResult:
    """One frame's verdict. ``anomaly_score`` is 0..1; coordinates are pixels of the frame as captured.

    ``weights_trained``: whether the prompt weights were trained, so that types are more than a guess; None in records
    older than the field.

    ``repaired_at``: when `inspector reconcile` scored the frame again because this record was lost. Where its alert was
    committed, label, score and weights version are the alert's, as they were judged; the rest is of the later scoring.
    """

    frame_id: str
    camera_id: str
    line_id: str
    product: str
    captured_at: datetime
    inspected_at: datetime
    anomaly_score: float
    pred_label: PredLabel
    image_threshold: float
    mode: ScoreMode
    weights_version: str
    model: str
    source: FrameSource
    timings_ms: dict[str, float]
    width_px: int
    height_px: int
    defects: tuple[Defect, ...] = ()
    part_id: str | None = None
    lot: str | None = None
    view: str | None = None
    traceparent: str | None = None
    bank_version: str | None = None
    calibration_version: str | None = None
    weights_trained: bool | None = None
    repaired_at: datetime | None = None
    schema: str = RESULT_SCHEMA


def result_key(frame_id: str) -> str:
    """Return the Redis key of a frame's result; alerts carry it so that a subscriber can look the result up."""
    return f"inspection:result:{frame_id}"
