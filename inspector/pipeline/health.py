"""Whether an inspector is well: what probes are told. Pure: times are seconds of one monotonic clock, passed in.

A restart helps against a loop that stands still, and not against a broker or a store that is away. So waiting for them
is life, and frames in hand that are not committed while nothing says why are death. Frames that are not fetched are
none of its business: the lag tells of them, and a new process would fetch no better.
"""

from __future__ import annotations

from dataclasses import dataclass

from inspector.pipeline.loop_parts import LoopState

_FRESH_S = 15.0
WAITED_OUT = frozenset({"kafka is away", "redis is away"})
"""Troubles in which a loop does well to wait."""


@dataclass(frozen=True, slots=True)
class Health:
    """``started``: the model is verified and warm. ``why``: what speaks against ``ready`` or ``live``, in words."""

    started: bool
    ready: bool
    live: bool
    why: str = ""


class LineHealth:
    """Told by the loop's thread, asked by another one; ``stuck_after_s`` without a commit is too long."""

    def __init__(self, stuck_after_s: float) -> None:
        self._stuck_after_s = stuck_after_s
        self._warm = False
        self._told: tuple[float, LoopState] | None = None
        self._busy_since_s: float | None = None

    def warmed(self) -> None:
        """Learn that the model is verified and warm."""
        self._warm = True

    def state(self, state: LoopState, now_s: float) -> None:
        """Learn where the loop stands."""
        if not (state.owns and state.queued):
            self._busy_since_s = None
        elif self._busy_since_s is None:
            self._busy_since_s = now_s
        self._told = now_s, state

    def committed(self, now_s: float) -> None:
        """Learn of a commit."""
        self._excused(now_s)

    def trouble(self, what: str, now_s: float) -> None:
        """Learn of a trouble; a commit that fails again and again is no excuse."""
        if what in WAITED_OUT:
            self._excused(now_s)

    def health(self, now_s: float) -> Health:
        """Return how it is by now."""
        if not self._warm:
            return Health(False, False, True, "the model is not verified and warm yet")
        if self._told is None:
            return Health(True, False, True, "the loop has not begun")
        told_s, state = self._told
        if now_s - told_s > self._stuck_after_s:
            return Health(True, False, False, f"the loop has stood still for {now_s - told_s:.0f} s")
        if self._busy_since_s is not None and now_s - self._busy_since_s > self._stuck_after_s:
            waited_s = now_s - self._busy_since_s
            return Health(True, False, False, f"{state.queued} frames wait and none was committed for {waited_s:.0f} s")
        if not state.owns:
            return Health(True, False, True, "the group is not joined")
        if now_s - told_s > _FRESH_S:
            return Health(True, False, True, f"the loop has not been heard of for {now_s - told_s:.0f} s")
        return Health(True, True, True)

    def _excused(self, now_s: float) -> None:
        if self._busy_since_s is not None:
            self._busy_since_s = now_s


class SupervisedHealth:
    """A worker's health as its supervisor sees it, through restarts.

    A worker that ended is being started again, which a restart of the whole pod would only delay; one that runs and
    does not answer for ``stuck_after_s`` is stuck in a way that it cannot tell itself.
    """

    def __init__(self, stuck_after_s: float) -> None:
        self._stuck_after_s = stuck_after_s
        self._started = False
        self._runs_since_s: float | None = None
        self._heard_s = 0.0
        self._last: Health | None = None

    def worker_runs(self, now_s: float) -> None:
        """Learn that a worker was started."""
        self._runs_since_s = self._heard_s = now_s
        self._last = None

    def worker_ended(self) -> None:
        """Learn that it ended."""
        self._runs_since_s = self._last = None

    def heard(self, health: Health, now_s: float) -> None:
        """Learn what the worker says of itself."""
        self._heard_s = now_s
        self._last = health
        self._started = self._started or health.started

    def health(self, now_s: float) -> Health:
        """Return how it is by now. ``started`` stays: a worker that starts again is no pod that has not started."""
        if self._runs_since_s is None:
            return Health(self._started, False, True, "the worker ended and is being started again")
        silent_s = now_s - self._heard_s
        if silent_s > self._stuck_after_s:
            return Health(self._started, False, False, f"the worker has not answered for {silent_s:.0f} s")
        if self._last is None:
            return Health(self._started, False, True, "the worker is starting")
        last = self._last
        fresh = silent_s <= _FRESH_S
        why = last.why if fresh else f"the worker has not answered for {silent_s:.0f} s"
        return Health(self._started, last.ready and fresh, last.live, why)
