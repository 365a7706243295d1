"""What a metric is: a value, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """A value in 0..1, or None with the reason why there is none. A missing class is never reported as chance (0.5).

    ``error_bound`` is how far ``value`` may be from the exact one: proven, not estimated; 0 where it is exact. A mean
    that has a value may still give a ``reason``: what had to be left out of it.
    """

    value: float | None
    reason: str | None = None
    error_bound: float = 0.0


def between(value: float, low: float, high: float) -> Metric:
    """Return ``value`` with the bound that makes ``value - bound .. value + bound`` hold all of ``low..high``."""
    return Metric(value, error_bound=max(high - value, value - low, 0.0))


def mean(parts: Mapping[str, Metric]) -> Metric:
    """Mean of the parts that have a value, each counted alike; the reason names those that have none, and why.

    The bound is the mean of the parts' bounds: by the triangle inequality, the mean's error cannot be larger.
    """
    known = [part for part in parts.values() if part.value is not None]
    without = [f"{name}: {part.reason}" for name, part in parts.items() if part.value is None]
    reason = "without " + "; ".join(without) if without else None
    if not known:
        return Metric(None, reason or "nothing to take the mean of")
    value = math.fsum(part.value for part in known if part.value is not None) / len(known)
    return Metric(value, reason, math.fsum(part.error_bound for part in known) / len(known))
