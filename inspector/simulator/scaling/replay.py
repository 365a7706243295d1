"""A day of frames against a scaling policy: who inspects what, what waits, how long, and how many pods that took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector.simulator.scaling.autoscaler import SYNC_S, Autoscaler, ScalingPolicy

STEP_S = 5
# The rate as Prometheus tells it: over two minutes, half a minute old.
_RATE_STEPS = 120 // STEP_S
_SCRAPE_STEPS = 30 // STEP_S


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is known of an inspector: frames/s at full work, seconds until a new one serves, seconds that everybody
    stands still when one joins or leaves, and seconds from capture to commit of a frame that need not wait."""

    frames_per_s: float
    start_s: float = 45.0
    rebalance_s: float = 4.0
    unhurried_s: float = 0.3


@dataclass(frozen=True, slots=True)
class Replay:
    """What became of a day.

    Arrays are ``[steps]``, a step is ``STEP_S`` seconds: ``arriving_fps``, ``lag_frames`` (all partitions) and
    ``replicas`` (pods that are paid for). ``latency_s`` are the given percentiles over all frames.
    """

    arriving_fps: NDArray[np.float64]
    lag_frames: NDArray[np.float64]
    replicas: NDArray[np.int64]
    latency_p50_s: float
    latency_p99_s: float
    latency_max_s: float
    left_frames: float

    @property
    def pod_hours(self) -> float:
        """Hours of pods that were paid for."""
        return float(self.replicas.sum() * STEP_S / 3600)

    @property
    def changes(self) -> int:
        """How often the number of replicas changed, each a rebalance of the group."""
        return int(np.count_nonzero(np.diff(self.replicas)))

    @property
    def reversals(self) -> int:
        """How often scaling turned round within ten minutes: up and down again, or down and up."""
        steps = np.diff(self.replicas)
        at = np.flatnonzero(steps)
        turned = np.sign(steps[at][1:]) != np.sign(steps[at][:-1])
        return int(np.count_nonzero(turned & (np.diff(at) * STEP_S <= 600)))


def replay(
    arriving: NDArray[np.float64],
    policy: ScalingPolicy,
    fleet: Fleet,
    metrics_away: Sequence[tuple[float, float]] = (),
) -> Replay:
    """Play frames ``[steps, partitions]`` against the policy.

    ``metrics_away``: spans of seconds in which KEDA cannot read the lag.
    """
    steps, partitions = arriving.shape
    autoscaler = Autoscaler(policy, partitions)
    pods = _Pods(fleet, partitions, policy.min_replicas)
    waiting = np.zeros(partitions)
    served = np.zeros_like(arriving)
    lag, replicas = np.zeros(steps), np.zeros(steps, np.int64)
    for step in range(steps):
        now_s = step * STEP_S
        if now_s % SYNC_S == 0:
            told = None if any(start <= now_s < end for start, end in metrics_away) else float(waiting.sum())
            pods.scale(now_s, autoscaler.replicas(now_s, pods.count, told, _told_rate(served, step)))
        waiting += arriving[step]
        served[step] = pods.serve(now_s, waiting)
        waiting -= served[step]
        lag[step], replicas[step] = waiting.sum(), pods.count
    p50_s, p99_s, max_s = _latencies(arriving, served, fleet.unhurried_s)
    return Replay(arriving.sum(1) / STEP_S, lag, replicas, p50_s, p99_s, max_s, float(waiting.sum()))


class _Pods:
    """Pods that are there, those that serve, and who of them has which partition."""

    def __init__(self, fleet: Fleet, partitions: int, count: int) -> None:
        self._fleet = fleet
        self._partitions = partitions
        self.count = count
        self._serving = count
        self._serves_from_s = [0.0] * count
        self._stands_until_s = 0.0

    def scale(self, now_s: float, count: int) -> None:
        """The highest ordinals come last and go first, as in a StatefulSet."""
        self._serves_from_s = self._serves_from_s[:count]
        self._serves_from_s += [now_s + self._fleet.start_s] * (count - len(self._serves_from_s))
        self.count = count

    def serve(self, now_s: float, waiting: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the frames of each partition that are inspected in the step from ``now_s``."""
        serving = sum(from_s <= now_s for from_s in self._serves_from_s)
        if serving != self._serving:
            self._serving = serving
            self._stands_until_s = now_s + self._fleet.rebalance_s
        working_s = min(max(now_s + STEP_S - self._stands_until_s, 0.0), STEP_S)
        members = min(serving, self._partitions)
        owners = np.arange(self._partitions) % members
        wanted = np.bincount(owners, waiting, members)
        share = np.minimum(1.0, self._fleet.frames_per_s * working_s / np.maximum(wanted, 1e-9))
        return np.asarray(waiting * share[owners], np.float64)


def _told_rate(served: NDArray[np.float64], step: int) -> float:
    end = max(step - _SCRAPE_STEPS, 0)
    start = max(end - _RATE_STEPS, 0)
    return float(served[start:end].sum() / (_RATE_STEPS * STEP_S))


def _latencies(
    arriving: NDArray[np.float64], served: NDArray[np.float64], unhurried_s: float
) -> tuple[float, float, float]:
    """Return p50, p99 and maximum over frames, seconds; partitions are served in order of arrival."""
    waits, weights = [], []
    for partition in range(arriving.shape[1]):
        came = np.cumsum(arriving[:, partition])
        went = np.cumsum(served[:, partition])
        half = came - arriving[:, partition] / 2  # the middle frame of each step
        at = np.minimum(np.searchsorted(went, half - 1e-9), len(went) - 1)
        waits.append((at - np.arange(len(came))) * float(STEP_S))
        weights.append(arriving[:, partition])
    wait, weight = np.concatenate(waits), np.concatenate(weights)
    order = np.argsort(wait)
    share = np.cumsum(weight[order]) / weight.sum()
    p50, p99 = (float(wait[order][np.searchsorted(share, part)]) for part in (0.5, 0.99))
    return p50 + unhurried_s, p99 + unhurried_s, float(wait[weight > 0].max()) + unhurried_s
