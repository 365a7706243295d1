"""Recorded scores replayed against another threshold: which alarms would have come, and which would not."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from inspector.domain.errors import BadInputError
from inspector.domain.result import InspectionResult, PredLabel
from inspector.domain.whatif import AlarmCounts, FeedbackCounts, ShiftCounts, WhatIf

NO_REGION = "anomaly"
"""The type of an alarm of a frame on which no region is listed, as in the alert."""
_MOST_IDS = 100
_HOURS_A_DAY = 24


@dataclass(frozen=True, slots=True)
class Shifts:
    """Shifts of the day by the hours at which they begin, in a plant's own time.

    Raises:
        BadInputError: no hours, one twice, or one that is not 0 to 23.
    """

    begin_hours: tuple[int, ...]
    zone: tzinfo
    zone_name: str = "UTC"

    def __post_init__(self) -> None:
        hours = self.begin_hours
        if not hours or len(set(hours)) < len(hours) or not all(0 <= hour < _HOURS_A_DAY for hour in hours):
            got = ",".join(map(str, hours)) or "none"
            raise BadInputError("different hours of 0 to 23 at which shifts begin", got, "write for example 6,14,22")

    @property
    def names(self) -> tuple[str, ...]:
        """The shifts in the order in which they begin, such as "22-06"."""
        hours = sorted(self.begin_hours)
        return tuple(f"{begin:02d}-{end:02d}" for begin, end in zip(hours, hours[1:] + hours[:1], strict=True))

    def of(self, moment: datetime) -> str:
        """Return the name of the shift that a moment falls into."""
        hours = sorted(self.begin_hours)
        # Before the first one begins, the last of the day before goes on.
        return self.names[bisect_right(hours, moment.astimezone(self.zone).hour) - 1]


@dataclass(frozen=True, slots=True)
class KnownTruth:
    """What people said: per frame on which they agree, whether it is anomalous; and the frames on which they do not."""

    anomalous: Mapping[str, bool]
    conflicts: Collection[str] = ()


def replay(
    camera_id: str,
    results: Sequence[InspectionResult],
    image_threshold: float,
    shifts: Shifts,
    complete_since: datetime,
    truth: KnownTruth | None,
) -> WhatIf:
    """Hold a camera's recorded scores against ``image_threshold``: at or above it there is an alarm.

    ``results`` are in the order of capture; before ``complete_since`` good frames may be missing among them.
    """
    alarms_now = [result for result in results if result.pred_label is PredLabel.ANOMALOUS]
    alarms_then = [result for result in results if result.anomaly_score >= image_threshold]
    now, then = {r.frame_id for r in alarms_now}, {r.frame_id for r in alarms_then}
    times = [result.captured_at for result in results]
    judged_by = [result.image_threshold for result in results]
    newest_first = [result.frame_id for result in reversed(results)]
    return WhatIf(
        camera_id=camera_id,
        image_threshold=image_threshold,
        thresholds_now=(min(judged_by), max(judged_by)) if results else None,
        frames=len(results),
        first_at=times[0] if times else None,
        last_at=times[-1] if times else None,
        hours=(times[-1] - times[0]).total_seconds() / 3600 if times else 0.0,
        now=len(now),
        then=len(then),
        by_type=_by_type(alarms_now, alarms_then),
        by_shift=_by_shift(results, now, then, shifts),
        time_zone=shifts.zone_name,
        new_alarms=tuple([i for i in newest_first if i in then and i not in now][:_MOST_IDS]),
        lost_alarms=tuple([i for i in newest_first if i in now and i not in then][:_MOST_IDS]),
        feedback=None if truth is None else _feedback(results, now, then, truth),
        remarks=tuple(_remarks(results, image_threshold, complete_since)),
    )


def alarm_type(result: InspectionResult) -> str:
    """Return the type an alarm of this frame has, or would have had: that of its gravest defect."""
    gravest = max(result.defects, key=lambda defect: defect.severity, default=None)
    return NO_REGION if gravest is None else gravest.defect_type


def _by_type(
    alarms_now: Sequence[InspectionResult], alarms_then: Sequence[InspectionResult]
) -> tuple[AlarmCounts, ...]:
    now, then = Counter(map(alarm_type, alarms_now)), Counter(map(alarm_type, alarms_then))
    names = sorted(now | then, key=lambda name: (-max(now[name], then[name]), name))
    return tuple(AlarmCounts(name, now[name], then[name]) for name in names)


def _by_shift(
    results: Sequence[InspectionResult], now: Collection[str], then: Collection[str], shifts: Shifts
) -> tuple[ShiftCounts, ...]:
    frames, alarms_now, alarms_then = Counter[str](), Counter[str](), Counter[str]()
    for result in results:
        shift = shifts.of(result.captured_at)
        frames[shift] += 1
        alarms_now[shift] += result.frame_id in now
        alarms_then[shift] += result.frame_id in then
    return tuple(ShiftCounts(name, frames[name], alarms_now[name], alarms_then[name]) for name in shifts.names)


def _feedback(
    results: Sequence[InspectionResult], now: Collection[str], then: Collection[str], truth: KnownTruth
) -> FeedbackCounts:
    ids = {result.frame_id for result in results}
    defective = {i for i in ids if truth.anomalous.get(i) is True}
    normal = {i for i in ids if truth.anomalous.get(i) is False}
    return FeedbackCounts(
        defective=len(defective),
        found_now=len(defective & set(now)),
        found_then=len(defective & set(then)),
        normal=len(normal),
        false_alarms_now=len(normal & set(now)),
        false_alarms_then=len(normal & set(then)),
        conflicts=len(ids & set(truth.conflicts)),
    )


def _remarks(results: Sequence[InspectionResult], image_threshold: float, complete_since: datetime) -> list[str]:
    remarks = []
    early = [result for result in results if result.captured_at < complete_since]
    if early and image_threshold < max(result.image_threshold for result in early):
        remarks.append(
            f"before {complete_since:%Y-%m-%d %H:%M}Z good frames are no longer all kept (retention.*): alarms that a "
            "lower threshold would have raised there are not counted"
        )
    bases = {(r.mode, r.weights_version, r.bank_version, r.calibration_version) for r in results}
    if len(bases) > 1:
        remarks.append(
            f"the frames were scored in {len(bases)} ways (weights, banks, calibrations, modes): one threshold means "
            "the same for all of them as far as each was calibrated"
        )
    return remarks
