"""How KEDA and the horizontal pod autoscaler come to a number of replicas, as far as a policy can be judged by it.

Followed here: the external metrics of ``autoscaling/v2`` with a target for each pod (tolerance 0.1, the highest of all
triggers, stabilisation windows, limits of pods in a period), KEDA's Kafka trigger (the lag counts at most the threshold
for each partition) and its fallback ``currentReplicasIfHigher`` (after some failed readings at least these replicas;
before that, nothing is scaled down).
Left out: scaling to and from zero, for which alone KEDA has ``pollingInterval`` and ``cooldownPeriod``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SYNC_S = 15  # of the pod autoscaler, its default
_TOLERANCE = 0.1


@dataclass(frozen=True, slots=True)
class Pace:
    """One direction of scaling: at most ``pods`` in ``period_s``, by what was wanted for ``window_s``.

    Upwards, the least that was wanted in the window counts; downwards, the most.
    """

    window_s: int
    pods: int
    period_s: int


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """What a ScaledObject says.

    ``lag_frames`` and ``rate_fps`` are the targets for one inspector: frames that wait, and frames inspected in a
    second. Without ``rate_fps`` the lag is the only trigger. After more than ``failure_threshold`` readings of the lag
    that failed, there are ``fallback_replicas`` at least.
    """

    lag_frames: int
    rate_fps: float | None
    min_replicas: int
    max_replicas: int
    up: Pace
    down: Pace
    fallback_replicas: int | None
    failure_threshold: int = 3


class Autoscaler:
    """The replicas wanted, asked every ``SYNC_S`` seconds; remembers what it wanted and what it did."""

    def __init__(self, policy: ScalingPolicy, partitions: int) -> None:
        self._policy = policy
        self._partitions = partitions
        self._wanted: list[tuple[float, int]] = []
        self._changes: list[tuple[float, int]] = []
        self._failures = 0

    def replicas(self, now_s: float, current: int, lag_frames: float | None, rate_fps: float) -> int:
        """Return how many there shall be; ``lag_frames`` None: Kafka does not answer KEDA."""
        wanted = self._by_metrics(current, lag_frames, rate_fps)
        if wanted is None:
            return current
        bounded = min(max(wanted, self._policy.min_replicas), self._policy.max_replicas)
        stable = self._stabilised(now_s, current, bounded)
        paced = self._paced(now_s, current, stable)
        if paced != current:
            self._changes.append((now_s, paced - current))
        return paced

    def _by_metrics(self, current: int, lag_frames: float | None, rate_fps: float) -> int | None:
        policy = self._policy
        if lag_frames is not None:
            self._failures = 0
            counted = min(lag_frames, self._partitions * policy.lag_frames)
        else:
            self._failures += 1
            if self._failures <= policy.failure_threshold or policy.fallback_replicas is None:
                # One reading that fails keeps the autoscaler from scaling down; the other trigger may scale up.
                by_rate = self._by_rate(current, rate_fps)
                return by_rate if by_rate > current else None
            counted = max(policy.fallback_replicas, current) * policy.lag_frames
        return max(_replicas_for(counted, policy.lag_frames, current), self._by_rate(current, rate_fps))

    def _by_rate(self, current: int, rate_fps: float) -> int:
        target = self._policy.rate_fps
        return 0 if target is None else _replicas_for(rate_fps, target, current)

    def _stabilised(self, now_s: float, current: int, wanted: int) -> int:
        up, down = self._policy.up, self._policy.down
        self._wanted.append((now_s, wanted))
        longest_s = max(up.window_s, down.window_s)
        self._wanted = [(at_s, count) for at_s, count in self._wanted if at_s >= now_s - longest_s]
        least = min(count for at_s, count in self._wanted if at_s >= now_s - up.window_s)
        most = max(count for at_s, count in self._wanted if at_s >= now_s - down.window_s)
        if least > current:
            return least
        return min(current, most)

    def _paced(self, now_s: float, current: int, wanted: int) -> int:
        up, down = self._policy.up, self._policy.down
        if wanted > current:
            added = sum(change for at_s, change in self._changes if change > 0 and at_s > now_s - up.period_s)
            return min(wanted, max(current, current - added + up.pods))
        if wanted < current:
            gone = -sum(change for at_s, change in self._changes if change < 0 and at_s > now_s - down.period_s)
            return max(wanted, min(current, current + gone - down.pods))
        return current


def _replicas_for(total: float, target: float, current: int) -> int:
    if current and abs(total / (target * current) - 1) <= _TOLERANCE:
        return current
    return math.ceil(total / target)
