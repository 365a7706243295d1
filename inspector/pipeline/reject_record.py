"""The alerts topic's other record: a camera's frames are rejected (CloudEvents, binary mode, as ``alert_record``)."""

from __future__ import annotations

from inspector.domain.records import from_json, to_json
from inspector.domain.reject_alert import REJECT_ALERT_SCHEMA, REJECT_ALERT_TYPE, RejectAlert
from inspector.pipeline.ports import LogRecord, OutRecord


def encode(alert: RejectAlert, topic: str) -> OutRecord:
    """Make the record of an event: keyed by camera, as the defect events of its frames are."""
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": alert.alert_id,
        "ce_type": REJECT_ALERT_TYPE,
        "ce_source": f"/cameras/{alert.camera_id}",
        "ce_time": alert.occurred_at.isoformat(),
        "ce_subject": alert.episode_id,
        "ce_dataschema": f"urn:{REJECT_ALERT_SCHEMA}",
        "content-type": "application/json",
    }
    headers = tuple((name, value.encode()) for name, value in attributes.items())
    return OutRecord(topic, alert.camera_id.encode(), to_json(alert), headers)


def is_reject_alert(record: LogRecord) -> bool:
    """Tell this record from a defect event on the same topic."""
    return dict(record.headers).get("ce_type") == REJECT_ALERT_TYPE.encode()


def decode(value: bytes) -> RejectAlert:
    """Read an event back.

    Raises:
        BadInputError: the bytes are no such event.
    """
    return from_json(RejectAlert, value)
