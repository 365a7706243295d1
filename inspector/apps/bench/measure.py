"""Costs, rates and percentiles."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Cost:
    """Time a frame, in milliseconds: of all cores together (``cpu_ms``) and by the clock (``wall_ms``)."""

    cpu_ms: float
    wall_ms: float

    def __sub__(self, other: Cost) -> Cost:
        """Return what comes on top of ``other``; a difference below what can be told apart is 0."""
        return Cost(max(0.0, self.cpu_ms - other.cpu_ms), max(0.0, self.wall_ms - other.wall_ms))


def cost(work: Callable[[], object], frames: int, repeats: int) -> Cost:
    """Return the median cost a frame of ``work``, which handles ``frames`` frames, after one call to warm up."""
    work()
    return median_cost([spent(work, frames) for _ in range(repeats)])


def spent(work: Callable[[], object], frames: int) -> Cost:
    """Return the cost a frame of one call; CPU time is that of every thread of this process."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    return Cost(1e3 * cpu_s / frames, 1e3 * wall_s / frames)


def median_cost(costs: Sequence[Cost]) -> Cost:
    """Return the median of each figure."""
    return Cost(median(c.cpu_ms for c in costs), median(c.wall_ms for c in costs))


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a running inspector; ``time_s`` is monotonic, ``cpu_s`` is by name of the process."""

    time_s: float
    frames: int
    rss_bytes: int
    cpu_s: dict[str, float]


def steady(samples: Sequence[Sample], skip_frames: int) -> tuple[Sample, Sample]:
    """Return the two samples between which the rate is steady.

    The first is the one at which more than ``skip_frames`` (the first batches, which warm everything up) were done,
    the last the first one at which all were.

    Raises:
        ValueError: no such span was sampled.
    """
    last_frames = samples[-1].frames
    span = [s for s in samples if s.frames > skip_frames]
    end = next((s for s in span if s.frames == last_frames), None)
    if end is None or end.frames == span[0].frames:
        raise ValueError(f"no steady span in {len(samples)} samples of {last_frames} frames")
    return span[0], end


def rss_at(samples: Sequence[Sample], frames: int) -> int | None:
    """Return the resident memory when ``frames`` were done, None if fewer were."""
    return next((s.rss_bytes for s in samples if s.frames >= frames), None)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least ``percent`` of the values do not exceed (nearest rank).

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("a percentile of no values")
    return sorted(values)[max(0, math.ceil(percent / 100 * len(values)) - 1)]
