"""What cameras send in a day: shifts, breaks, bursts, a line that stands still."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DAY_S = 24 * 3600
_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Span:
    """From ``start_s`` to ``end_s`` (seconds of the day) cameras send ``share`` of their full rate."""

    start_s: float
    end_s: float
    share: float


@dataclass(frozen=True, slots=True)
class Outage:
    """From ``start_s`` to ``end_s`` nothing reaches Kafka; what was spooled follows within ``drain_s``."""

    start_s: float
    end_s: float
    drain_s: float


def _hours(start: float, end: float, share: float) -> Span:
    return Span(start * _HOUR_S, end * _HOUR_S, share)


# Three shifts; where spans overlap the later one in this list holds.
WORKING_DAY: Sequence[Span] = (
    _hours(0, 24, 0.25),  # the night shift runs a quarter of the lines
    _hours(6, 14, 1.0),
    _hours(14, 22, 0.7),
    _hours(6, 6 + 1 / 6, 0.05),  # handovers
    _hours(14, 14 + 1 / 6, 0.05),
    _hours(22, 22 + 1 / 6, 0.05),
    _hours(9, 9.25, 0.1),  # breaks
    _hours(18, 18.5, 0.1),
    _hours(11.5, 12.75, 0.0),  # everything stands still
    _hours(12.75, 13.25, 1.3),  # and catches up
    _hours(16, 16.25, 1.4),  # a burst
)
# The network between plant and brokers is away for five minutes in the busiest hour; the spools drain within one.
MORNING_OUTAGE = Outage(8.5 * _HOUR_S, 8.5 * _HOUR_S + 300, 60)


def partition_weights(cameras: int, partitions: int) -> NDArray[np.float64]:
    """Return the share of all frames on each partition, ``[partitions]``: cameras are keys, hashed, never even."""
    keys = (hashlib.sha256(f"camera-{number}".encode()).digest() for number in range(cameras))
    counts = np.bincount([int.from_bytes(key[:8]) % partitions for key in keys], minlength=partitions)
    return np.asarray(counts / cameras, np.float64)


def arrivals(
    full_fps: float,
    weights: NDArray[np.float64],
    step_s: float,
    spans: Sequence[Span] = WORKING_DAY,
    outage: Outage | None = MORNING_OUTAGE,
) -> NDArray[np.float64]:
    """Return the frames that reach Kafka in each step of the day on each partition, ``[steps, partitions]``."""
    at_s = np.arange(0, DAY_S, step_s)
    share = np.zeros(len(at_s))
    for span in spans:
        share[(at_s >= span.start_s) & (at_s < span.end_s)] = span.share
    frames = share * full_fps * step_s
    if outage is not None:
        away = (at_s >= outage.start_s) & (at_s < outage.end_s)
        back = (at_s >= outage.end_s) & (at_s < outage.end_s + outage.drain_s)
        frames[back] += frames[away].sum() / back.sum()
        frames[away] = 0
    return frames[:, None] * weights[None, :]
