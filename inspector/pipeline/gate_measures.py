"""What changes from the current to the candidate weights: losses of frames, and gains with their intervals.

The loss of a frame, 0..1, is what the line makes of it at the threshold in force: 1 for a false alarm or a missed
defect, ``type_weight`` for a defect found under another name than its own, else 0. The *balanced error* of some frames
is the mean of two means, of their normal and of their anomalous ones (of the kinds that are there), so that it does not
hang on how many of each happen to be in the set. Why not average precision: deploy/decisions/0018.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from inspector.domain.gate import FalseAlarmFigure, GainFigure, GateLimits, GroupFigure, GroupKind
from inspector.pipeline.exact_tests import binomial_tail, rate_upper_bound
from inspector.pipeline.gate_evidence import FrameEvidence

# Cameras with fewer frames of a kind are resampled together: one frame drawn from itself has no spread.
_LEAST_STRATUM = 5
# Of a camera or type with too few frames for a margin, one lost is noise; so many, and none gained, are not.
_LOST_OF_FEW = 2


def loss(frame: FrameEvidence, *, alarm: bool, named: str | None, limits: GateLimits) -> float:
    """Return the loss of one verdict on a frame."""
    if alarm != frame.anomalous:
        return 1.0
    if not frame.anomalous or frame.defect_type is None:
        return 0.0
    return 0.0 if (named or "").casefold() == frame.defect_type.casefold() else limits.type_weight


class Losses:
    """Frames with the losses of the current and the candidate weights on each."""

    def __init__(self, frames: Sequence[FrameEvidence], limits: GateLimits) -> None:
        self.frames = tuple(frames)
        self._limits = limits
        current = [loss(f, alarm=f.current_alarm, named=f.current_type, limits=limits) for f in frames]
        candidate = [loss(f, alarm=f.candidate_alarm, named=f.candidate_type, limits=limits) for f in frames]
        self._current, self._candidate = np.array(current, np.float64), np.array(candidate, np.float64)
        self._anomalous = np.array([f.anomalous for f in frames], bool)

    def where(self, wanted: Callable[[FrameEvidence], bool]) -> Losses:
        """Return the losses of some of the frames."""
        places = np.array([i for i, frame in enumerate(self.frames) if wanted(frame)], np.intp)
        part = copy(self)
        part.frames = tuple(self.frames[i] for i in places)
        part._current, part._candidate = self._current[places], self._candidate[places]
        part._anomalous = self._anomalous[places]
        return part

    def balanced_errors(self) -> tuple[float, float]:
        """Return the balanced errors of the current and of the candidate weights; there must be a frame."""
        kinds = self._kinds()
        current = float(np.mean([self._current[kind].mean() for kind in kinds]))
        return current, float(np.mean([self._candidate[kind].mean() for kind in kinds]))

    def gain(self, seed: int) -> GainFigure | None:
        """Return how much less the candidate errs, with its percentile interval of a paired bootstrap.

        Frames are drawn with replacement within each camera and kind, both weights' losses together (Efron & Tibshirani
        1993, ch. 13). None where there are no frames. The same for the same frames in any order.
        """
        if not self.frames:
            return None
        saved = self._current - self._candidate
        kinds = self._kinds()
        random = np.random.default_rng(seed)
        drawn = np.zeros(self._limits.resamples)
        for kind in kinds:
            for stratum in self._strata(kind):
                # Drawing n frames that have few different gains is one draw of how many of each: the same law, faster.
                values, counts = np.unique(saved[stratum], return_counts=True)
                share = random.multinomial(len(stratum), counts / len(stratum), self._limits.resamples) @ values
                drawn += share / (kind.sum() * len(kinds))
        tail = (1 - self._limits.confidence) / 2
        low, high = np.quantile(drawn, [tail, 1 - tail])
        value = float(np.mean([saved[kind].mean() for kind in kinds]))
        improved, worsened = int((saved > 0).sum()), int((saved < 0).sum())
        return GainFigure(value, float(low), float(high), len(self.frames), improved, worsened)

    def groups(self) -> tuple[GroupFigure, ...]:
        """Return each camera's normal and anomalous frames, each type, and corrected ones not trained on, by name."""
        members: dict[tuple[GroupKind, str, bool], list[int]] = defaultdict(list)
        for i, frame in enumerate(self.frames):
            members["camera", frame.camera_id, frame.anomalous].append(i)
            if frame.anomalous and frame.defect_type is not None:
                members["type", frame.defect_type.casefold(), True].append(i)
            if frame.corrected and not frame.trained_on:
                members["held_out", "corrected frames it was not trained on", frame.anomalous].append(i)
        return tuple(self._group(*key, np.array(members[key])) for key in sorted(members))

    def false_alarms(self) -> FalseAlarmFigure | None:
        """Return the alarms on normal frames, None where there are none."""
        normal = [frame for frame in self.frames if not frame.anomalous]
        if not normal:
            return None
        current, candidate = sum(f.current_alarm for f in normal), sum(f.candidate_alarm for f in normal)
        upper = rate_upper_bound(candidate, len(normal), self._limits.confidence)
        return FalseAlarmFigure(len(normal), current, candidate, upper)

    def _kinds(self) -> list[NDArray[np.bool_]]:
        return [kind for kind in (self._anomalous, ~self._anomalous) if kind.any()]

    def _strata(self, kind: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
        """Return the places of a kind's frames by camera, in an order that hangs on neither names nor order."""
        by_camera: dict[str, list[int]] = defaultdict(list)
        for i in np.flatnonzero(kind).tolist():
            by_camera[self.frames[i].camera_id].append(i)
        strata = [each for each in by_camera.values() if len(each) >= _LEAST_STRATUM]
        small = [i for each in by_camera.values() if len(each) < _LEAST_STRATUM for i in each]
        saved = self._current - self._candidate
        arrays = [np.array(each, np.intp) for each in (*strata, small) if each]
        return sorted(arrays, key=lambda places: sorted(saved[places].tolist()))

    def _group(self, kind: GroupKind, name: str, anomalous: bool, places: NDArray[np.intp]) -> GroupFigure:
        current, candidate = self._current[places], self._candidate[places]
        improved, worsened = int((candidate < current).sum()), int((candidate > current).sum())
        beyond_margin = bool(candidate.mean() - current.mean() > self._limits.group_margin)
        too_few = len(places) < self._limits.group_least_frames
        by_chance = binomial_tail(worsened, improved + worsened, 0.5)
        # No test would see a camera of four defects lose all four, and there is no chance in losing alone.
        only_lost = improved == 0 and worsened >= _LOST_OF_FEW
        return GroupFigure(
            kind,
            name,
            anomalous,
            len(places),
            float(current.mean()),
            float(candidate.mean()),
            improved,
            worsened,
            too_few,
            beyond_margin and (not too_few or only_lost or by_chance <= 1 - self._limits.confidence),
        )
