"""The envelope of what stands on the alerts topic: CloudEvents 1.0, binary mode (attributes in ``ce_`` headers)."""

from __future__ import annotations

from datetime import datetime

from inspector.domain.records import to_json
from inspector.pipeline.ports import OutRecord


def encode(
    event: object,
    topic: str,
    *,
    event_id: str,
    event_type: str,
    camera_id: str,
    time: datetime,
    subject: str,
    schema: str,
    traceparent: str | None = None,
) -> OutRecord:
    """Make the record of ``event``, JSON as value: keyed by camera, so that a camera's events stay in order."""
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_type": event_type,
        "ce_source": f"/cameras/{camera_id}",
        "ce_time": time.isoformat(),
        "ce_subject": subject,
        "ce_dataschema": f"urn:{schema}",
        "content-type": "application/json",
        "traceparent": traceparent or "",
    }
    headers = tuple((name, value.encode()) for name, value in attributes.items() if value)
    return OutRecord(topic, camera_id.encode(), to_json(event), headers)
