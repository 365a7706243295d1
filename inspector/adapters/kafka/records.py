"""kafka-python's records to ours."""

from __future__ import annotations

from typing import Any

from inspector.domain.frame import FrameSource
from inspector.pipeline.ports import LogRecord


def to_log_record(raw: Any) -> LogRecord:
    """Return the record with a null header value as an empty one."""
    return LogRecord(
        source=FrameSource(raw.topic, raw.partition, raw.offset),
        timestamp_ms=raw.timestamp,
        key=raw.key,
        value=raw.value,
        headers=tuple((name, value or b"") for name, value in raw.headers),
    )
