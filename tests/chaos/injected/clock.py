"""The wall clock steps: it is ahead of the true one by the seconds in RUN/clock-offset, read five times a second.

No privilege is needed for it: the process's own ``time.time`` (with which Kafka's client stamps records) and the clock
of the pipeline are shifted. The monotonic clock is left alone, as it is by a real step.
"""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from injected_names import CLOCK_OFFSET
from patching import replace

from inspector.pipeline import scoring

_FILE = Path(os.environ["CHAOS_DIR"]) / CLOCK_OFFSET
_LOOK_EVERY_S = 0.2


class _Offset:
    def __init__(self) -> None:
        self._seconds, self._looked_s = 0.0, float("-inf")

    def seconds(self) -> float:
        now_s = time.monotonic()
        if now_s - self._looked_s > _LOOK_EVERY_S:
            self._looked_s = now_s
            self._seconds = float(_FILE.read_text() or 0) if _FILE.exists() else 0.0
        return self._seconds


_offset = _Offset()


class SteppingDatetime(datetime):
    """``datetime`` whose ``now`` is the shifted clock's."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + timedelta(seconds=_offset.seconds())


def plant() -> None:
    real = time.time
    replace(time, "time", lambda: real() + _offset.seconds())
    replace(scoring, "datetime", SteppingDatetime)
