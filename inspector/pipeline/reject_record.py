"""The alerts topic's other record: a camera's frames are rejected."""

from __future__ import annotations

from inspector.domain.records import from_json
from inspector.domain.reject_alert import REJECT_ALERT_SCHEMA, REJECT_ALERT_TYPE, RejectAlert
from inspector.pipeline import cloud_event
from inspector.pipeline.ports import LogRecord, OutRecord


def encode(alert: RejectAlert, topic: str) -> OutRecord:
    """Make the record of an event: keyed by camera, as the defect events of its frames are."""
    return cloud_event.encode(
        alert,
        topic,
        event_id=alert.alert_id,
        event_type=REJECT_ALERT_TYPE,
        camera_id=alert.camera_id,
        time=alert.occurred_at,
        subject=alert.episode_id,
        schema=REJECT_ALERT_SCHEMA,
    )


def is_reject_alert(record: LogRecord) -> bool:
    """Tell this record from a defect event on the same topic."""
    return dict(record.headers).get("ce_type") == REJECT_ALERT_TYPE.encode()


def decode(value: bytes) -> RejectAlert:
    """Read an event back.

    Raises:
        BadInputError: the bytes are no such event.
    """
    return from_json(RejectAlert, value)
