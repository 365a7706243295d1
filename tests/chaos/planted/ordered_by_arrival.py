"""Bug: a batch's alerts go out as their scoring happened to end, here the last frame's first."""

from __future__ import annotations

from typing import Any

from patching import replace

from inspector.adapters.kafka.frame_log import KafkaFrameLog


def plant() -> None:
    commit = KafkaFrameLog.commit

    def committing(log: Any, ownership: Any, next_offsets: Any, records: Any, *notes: Any) -> None:
        commit(log, ownership, next_offsets, list(reversed(records)), *notes)

    replace(KafkaFrameLog, "commit", committing)
