"""How long a line stood still, told by the times of what it committed."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from inspector.pipeline.ports import LogRecord


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. ``longest_pause_s``: between two committed records of one partition, faults included.

    ``recovery_s``: from the end of a fault until every partition that had something to say has committed again; the
    worst of all faults. None where there was nothing to measure.
    """

    longest_pause_s: float | None
    recovery_s: float | None


def timing(alerts: Iterable[LogRecord], healed_at_s: Sequence[float]) -> Timing:
    """Measure pauses and recoveries.

    A record's time is when its committed transaction sent it. About one frame in four makes an alert, so both figures
    come out a little too long, by what a partition takes to see its next anomalous frame.
    """
    moments: dict[tuple[str, int], list[float]] = defaultdict(list)
    for record in alerts:
        moments[record.source.topic, record.source.partition].append(record.timestamp_ms / 1000)
    series = [sorted(times) for times in moments.values()]
    pauses = [later - earlier for times in series for earlier, later in pairwise(times)]
    waits = [times[place] - healed for healed in healed_at_s for times in series if (place := _after(times, healed))]
    return Timing(max(pauses, default=None), max(waits, default=None))


def _after(times: Sequence[float], moment: float) -> int:
    """Return the place of the first time after a moment; 0 where the series begins or ends there."""
    place = bisect.bisect_right(times, moment)
    return place if place < len(times) else 0
