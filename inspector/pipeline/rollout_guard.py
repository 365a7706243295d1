"""The guard: when a version on trial is out of bounds, by what it and the version before it say of the same frames.

Alarm rates are compared in pairs: whatever comes down the line comes for both, so a bad shift of the plant vetoes
nobody. The interval of the difference is Agresti and Min's for paired proportions (Statistics in Medicine 24, 2005),
wide enough (``GuardLimits.z``) to be looked at after every batch: what is beyond a bound in all of it is beyond it.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from inspector.pipeline.comparison import Pair

_MOST_CAMERAS = 1000
_WARMING_UP_BATCHES = 3


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """Bounds of a version on trial.

    Its alarm rate may be above the reference's by ``max_alarm_rise`` (share of frames) and below it by
    ``max_alarm_fall``, of one camera alone by twice that. It may fail on ``max_failure_rate`` of its frames where the
    reference does not. A batch may take it ``max_latency_ratio`` times as long as the reference, by the median. Said to
    be wrong, it may be more often by ``max_wrong_rise`` (share of the frames that people spoke of).
    """

    min_pairs: int = 30
    window_pairs: int = 2000
    max_alarm_rise: float = 0.15
    max_alarm_fall: float = 0.10
    max_failure_rate: float = 0.01
    min_failures: int = 3
    max_latency_ratio: float = 2.0
    min_latency_batches: int = 20
    max_wrong_rise: float = 0.10
    z: float = 3.3


class RolloutGuard:
    """Holds one version against its bounds, on one inspector's own frames. Not thread-safe."""

    def __init__(self, limits: GuardLimits) -> None:
        self._limits = limits
        self._all = _Window(limits.window_pairs)
        self._cameras: OrderedDict[str, _Window] = OrderedDict()
        self._ratios: deque[float] = deque(maxlen=5 * limits.min_latency_batches)
        self._warm_after = _WARMING_UP_BATCHES
        self._frames = 0
        self._failures = 0
        self._changed = False
        self._said: str | None = None

    def saw_pairs(self, pairs: Sequence[Pair]) -> None:
        """Take frames that both versions judged; those scored in two ways say nothing."""
        self._changed = True
        for each in pairs:
            if each.comparable:
                sign = int(each.subject_alarm) - int(each.reference_alarm)
                self._all.add(sign)
                self._camera(each.camera_id).add(sign)

    def saw_frames(self, frames: int, failures: int) -> None:
        """Take how many frames the version was given, and on how many it alone failed."""
        self._changed = True
        self._frames += frames
        self._failures += failures

    def saw_times(self, subject_s: float, reference_s: float) -> None:
        """Take how long one batch took each; the first ones warm the version up and do not count."""
        self._changed = True
        if self._warm_after:
            self._warm_after -= 1
        elif reference_s > 0:
            self._ratios.append(subject_s / reference_s)

    def objection(self) -> str | None:
        """Return why the version has to go, in words with the figures; None while nothing says so."""
        if self._changed:
            self._changed, self._said = False, self._found()
        return self._said

    def _found(self) -> str | None:
        limits = self._limits
        if self._failures >= limits.min_failures and self._failures > limits.max_failure_rate * self._frames:
            return f"it failed on {self._failures} of {self._frames} frames that the version before it judged"
        if len(self._ratios) >= limits.min_latency_batches and median(self._ratios) > limits.max_latency_ratio:
            return (
                f"a batch takes it {median(self._ratios):.2f} times as long, at most {limits.max_latency_ratio:g} is "
                f"allowed"
            )
        if (found := self._beyond(self._all, 1)) is not None:
            return f"{found} of the same frames"
        for camera_id, window in self._cameras.items():
            if (found := self._beyond(window, 2)) is not None:
                return f"{found} of the same frames of camera {camera_id}"
        return None

    def _camera(self, camera_id: str) -> _Window:
        window = self._cameras.setdefault(camera_id, _Window(self._limits.window_pairs))
        self._cameras.move_to_end(camera_id)
        if len(self._cameras) > _MOST_CAMERAS:
            self._cameras.popitem(last=False)
        return window

    def _beyond(self, window: _Window, factor: float) -> str | None:
        if window.pairs < self._limits.min_pairs:
            return None
        low, high = difference_interval(window.more, window.less, window.pairs, self._limits.z)
        if low > factor * self._limits.max_alarm_rise:
            what, bound = "more", self._limits.max_alarm_rise
        elif high < -factor * self._limits.max_alarm_fall:
            what, bound = "fewer", self._limits.max_alarm_fall
        else:
            return None
        share = abs(window.more - window.less) / window.pairs
        return f"it alarms on {share:.1%} {what} (at most {factor * bound:.1%} is allowed) of {window.pairs}"


def difference_interval(more: int, less: int, pairs: int, z: float) -> tuple[float, float]:
    """Return the interval, -1..1, of the difference of two paired rates (``z`` standard errors).

    ``more`` of the ``pairs`` are alarms of the first alone, ``less`` of the second alone. Half a pair is added to each
    of the four cells, which keeps the interval honest where there are few.
    """
    n, b, c = pairs + 2, more + 0.5, less + 0.5
    middle = (b - c) / n
    spread = z * math.sqrt(max(0.0, b + c - (b - c) ** 2 / n)) / n
    return max(-1.0, middle - spread), min(1.0, middle + spread)


def wrong_more_often(subject: tuple[int, int], reference: tuple[int, int], limits: GuardLimits) -> str | None:
    """Return why people's word speaks against a version; None while it does not.

    Each is (verdicts said to be wrong, verdicts spoken of), of different frames: Agresti and Caffo's interval.
    """
    (wrong, of), (wrong_before, of_before) = subject, reference
    if of < limits.min_pairs or of_before < limits.min_pairs:
        return None
    rate, before = (wrong + 1) / (of + 2), (wrong_before + 1) / (of_before + 2)
    spread = limits.z * math.sqrt(rate * (1 - rate) / (of + 2) + before * (1 - before) / (of_before + 2))
    if rate - before - spread <= limits.max_wrong_rise:
        return None
    return f"people call {wrong} of {of} of its verdicts wrong, and {wrong_before} of {of_before} of the version before"


class _Window:
    """The last pairs: how many the subject alarms on alone (``more``), and the reference (``less``)."""

    def __init__(self, size: int) -> None:
        self._signs: deque[int] = deque()
        self._size = size
        self.more = 0
        self.less = 0

    @property
    def pairs(self) -> int:
        return len(self._signs)

    def add(self, sign: int) -> None:
        self._signs.append(sign)
        self._count(sign, 1)
        if len(self._signs) > self._size:
            self._count(self._signs.popleft(), -1)

    def _count(self, sign: int, by: int) -> None:
        if sign > 0:
            self.more += by
        elif sign < 0:
            self.less += by
