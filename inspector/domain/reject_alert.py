"""The alert about a camera whose frames are rejected (``inspection.reject-alert/1``): it starts, and it ends."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from inspector.domain.frame import FrameSource

REJECT_ALERT_SCHEMA = "inspection.reject-alert/1"
REJECT_ALERT_TYPE = "inspection.rejects"

_NAMESPACE = uuid.UUID("b0a2c6c1-6a0e-5f3b-9d55-0d1f6f3f7e42")


class RejectEvent(StrEnum):
    """What happened to an episode of rejected frames."""

    START = "start"
    END = "end"


class RejectCause(StrEnum):
    """Which bound was passed when an episode started."""

    SHARE = "share"
    IN_A_ROW = "in_a_row"


@dataclass(frozen=True, slots=True)
class RejectAlert:
    """One event of an episode, which is named by the frame that started it.

    ``rejected`` of the camera's last ``frames`` frames were rejected. ``last_reason`` is that of the last of them, of a
    start alone. ``occurred_at`` is the timestamp of the record that decided, ``source`` its place.
    """

    alert_id: str
    episode_id: str
    event: RejectEvent
    cause: RejectCause
    camera_id: str
    rejected: int
    frames: int
    occurred_at: datetime
    source: FrameSource
    description: str
    last_reason: str | None = None
    schema: str = REJECT_ALERT_SCHEMA


def reject_alert_id(source: FrameSource, event: RejectEvent) -> str:
    """Return the id of an event, the same whenever the frame that decided it is taken again."""
    return str(uuid.uuid5(_NAMESPACE, f"{source.topic}/{source.partition}/{source.offset}/{event.value}"))
