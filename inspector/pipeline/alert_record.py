"""The alerts topic's record of a defect."""

from __future__ import annotations

from inspector.domain.alert import ALERT_SCHEMA, ALERT_TYPE, Alert, alert_id
from inspector.domain.records import from_json
from inspector.domain.result import InspectionResult, PredLabel, result_key
from inspector.pipeline import cloud_event
from inspector.pipeline.ports import OutRecord


def make_alert(result: InspectionResult) -> Alert | None:
    """Return the alert of a result, or None for a normal one.

    A frame can be anomalous as a whole without any region to report: its type is then ``anomaly``.
    """
    if result.pred_label is PredLabel.NORMAL:
        return None
    gravest = max(result.defects, key=lambda defect: defect.severity, default=None)
    return Alert(
        alert_id=alert_id(result.source),
        camera_id=result.camera_id,
        line_id=result.line_id,
        frame_id=result.frame_id,
        defect_type=gravest.defect_type if gravest else "anomaly",
        severity=gravest.severity if gravest else max(1, round(1000 * result.anomaly_score / 2)),
        anomaly_score=result.anomaly_score,
        captured_at=result.captured_at,
        result_key=result_key(result.frame_id),
        weights_version=result.weights_version,
        description=gravest.description
        if gravest
        else "the frame as a whole scores as anomalous, no region reaches its threshold and minimum area",
        defect_types=tuple(sorted({defect.defect_type for defect in result.defects})),
        product=result.product,
        source=result.source,
        part_id=result.part_id,
        lot=result.lot,
        view=result.view,
        traceparent=result.traceparent,
    )


def encode(alert: Alert, topic: str) -> OutRecord:
    """Make the record of an alert: keyed by camera, so that a camera's alerts stay in order."""
    return cloud_event.encode(
        alert,
        topic,
        event_id=alert.alert_id,
        event_type=ALERT_TYPE,
        camera_id=alert.camera_id,
        time=alert.captured_at,
        subject=alert.frame_id,
        schema=ALERT_SCHEMA,
        traceparent=alert.traceparent,
    )


def decode(value: bytes) -> Alert:
    """Read an alert back.

    Raises:
        BadInputError: the bytes are no alert.
    """
    return from_json(Alert, value)
