"""From a verdict to an outcome: the result, and the alert if it is anomalous."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from inspector.domain.errors import FrameRejectedError
from inspector.domain.frame import Frame
from inspector.domain.outcome import Dropped, DropReason, Inspected, Outcome, Rejected, RejectReason
from inspector.domain.result import InspectionResult
from inspector.pipeline.alert_record import make_alert
from inspector.pipeline.engine_ports import DecodedFrame, Verdict
from inspector.pipeline.frame_record import peek_ids
from inspector.pipeline.ports import LogRecord, StoreStatus


def inspected(
    decoded: DecodedFrame,
    verdict: Verdict,
    *,
    weights_version: str,
    model: str,
    inspected_at: datetime,
    queue_ms: float,
) -> Inspected:
    """Make the outcome of a scored frame."""
    meta = decoded.frame.meta
    timings_ms = {"queue": queue_ms, "decode": decoded.decode_ms, **verdict.timings_ms}
    result = InspectionResult(
        frame_id=meta.frame_id,
        camera_id=meta.camera_id,
        line_id=meta.line_id,
        product=meta.product,
        captured_at=meta.captured_at,
        inspected_at=inspected_at,
        anomaly_score=verdict.anomaly_score,
        pred_label=verdict.pred_label,
        image_threshold=verdict.image_threshold,
        mode=verdict.mode,
        weights_version=weights_version,
        model=model,
        source=decoded.frame.source,
        timings_ms={name: round(value, 3) for name, value in timings_ms.items()},
        width_px=decoded.width_px,
        height_px=decoded.height_px,
        defects=verdict.defects,
        part_id=meta.part_id,
        lot=meta.lot,
        view=meta.view,
        traceparent=meta.traceparent,
        bank_version=verdict.bank_version,
        calibration_version=verdict.calibration_version,
        weights_trained=verdict.weights_trained,
    )
    return Inspected(result.source, result, make_alert(result), verdict.evidence)


def rejected(record: LogRecord, error: FrameRejectedError) -> Rejected:
    """Make the outcome of a record that could not be parsed or decoded."""
    frame_id, camera_id = peek_ids(record)
    return Rejected(
        source=record.source,
        reason=error.reason,
        detail=error.detail,
        raw=record.value or b"",
        key=record.key,
        headers=record.headers,
        frame_id=frame_id,
        camera_id=camera_id,
    )


def dropped(record: LogRecord, frame: Frame, reason: DropReason, detail: str) -> Dropped:
    """Make the outcome of a frame that the line leaves out."""
    return Dropped(
        source=record.source,
        reason=reason,
        detail=detail,
        frame_id=frame.meta.frame_id,
        camera_id=frame.meta.camera_id,
        captured_at=frame.meta.captured_at,
        key=record.key,
        size_bytes=len(frame.image),
        sha256=hashlib.sha256(frame.image).hexdigest(),
    )


def after_store(
    outcomes: Sequence[Outcome], statuses: Sequence[StoreStatus], records: Sequence[LogRecord]
) -> list[Outcome]:
    """Turn results the store refused as duplicates into rejections.

    ``statuses`` has one entry for each ``Inspected``, in order; ``records`` are the batch's, in the order of
    ``outcomes``.
    """
    remaining = iter(statuses)
    settled: list[Outcome] = []
    for outcome, record in zip(outcomes, records, strict=True):
        if isinstance(outcome, Inspected) and next(remaining) is StoreStatus.DUPLICATE:
            settled.append(_duplicate(outcome, record))
        else:
            settled.append(outcome)
    return settled


def _duplicate(outcome: Inspected, record: LogRecord) -> Rejected:
    result = outcome.result
    raw = record.value or b""
    detail = (
        f"frame {result.frame_id} was already inspected at another offset; sha256 {hashlib.sha256(raw).hexdigest()}"
    )
    return Rejected(
        source=outcome.source,
        reason=RejectReason.DUPLICATE,
        detail=detail,
        raw=raw,
        key=record.key,
        headers=record.headers,
        frame_id=result.frame_id,
        camera_id=result.camera_id,
    )
