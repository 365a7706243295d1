"""A replay counts what would have been alarms, by type and shift, and against what people said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_kit import SCRATCH, START, result

from inspector.domain.errors import BadInputError
from inspector.domain.records import from_json, to_json
from inspector.domain.result import InspectionResult
from inspector.domain.whatif import AlarmCounts, FeedbackCounts, ShiftCounts, WhatIf
from inspector.pipeline.whatif import KnownTruth, Shifts, replay

SHIFTS = Shifts((6, 14, 22), UTC)
FRAMES = [
    result(0, score=0.1),
    result(1, SCRATCH, score=0.45),
    result(2, SCRATCH, score=0.55),
    result(3, score=0.7),
    result(4, SCRATCH, score=0.9),
]


def replayed(threshold: float, frames: list[InspectionResult] | None = None, truth: KnownTruth | None = None) -> WhatIf:
    return replay("cam1", FRAMES if frames is None else frames, threshold, SHIFTS, START, truth)


def test_the_threshold_in_force_changes_nothing() -> None:
    found = replayed(0.5)
    assert (found.now, found.then) == (3, 3)
    assert found.new_alarms == found.lost_alarms == ()
    assert found.thresholds_now == (0.5, 0.5)


def test_a_lower_and_a_higher_threshold_name_the_alarms_won_and_lost_the_latest_first() -> None:
    assert replayed(0.4).new_alarms == ("f0001",)
    assert replayed(0.8).lost_alarms == ("f0003", "f0002")
    assert replayed(0.45).then == 4  # a score equal to the threshold is an alarm, as on the line


def test_types_are_those_of_the_gravest_defect_and_a_frame_without_one_is_an_anomaly_as_in_its_alert() -> None:
    assert replayed(0.6).by_type == (AlarmCounts("scratch", 2, 1), AlarmCounts("anomaly", 1, 1))


@pytest.mark.parametrize(
    ("hour", "shift"), [(5, "22-06"), (6, "06-14"), (13, "06-14"), (14, "14-22"), (22, "22-06"), (0, "22-06")]
)
def test_a_shift_begins_with_its_hour_and_the_last_one_runs_over_midnight(hour: int, shift: str) -> None:
    assert SHIFTS.of(datetime(2026, 3, 1, hour, 30, tzinfo=UTC)) == shift


def test_shifts_are_in_the_plants_own_time_summer_and_winter() -> None:
    berlin = Shifts((6, 14, 22), ZoneInfo("Europe/Berlin"), "Europe/Berlin")
    assert berlin.of(datetime(2026, 1, 5, 5, 30, tzinfo=UTC)) == "06-14"
    assert berlin.of(datetime(2026, 7, 5, 4, 30, tzinfo=UTC)) == "06-14"
    assert berlin.of(datetime(2026, 1, 5, 4, 30, tzinfo=UTC)) == "22-06"


def test_each_shift_is_counted_over_all_days() -> None:
    days = [result(day, score=0.9, captured_at=START + timedelta(days=day)) for day in range(3)]
    day_shift = [result(9, score=0.3, captured_at=START + timedelta(hours=5))]
    found = replayed(0.2, [days[0], *day_shift, *days[1:]])
    assert found.by_shift == (
        ShiftCounts("06-14", 1, 0, 1),
        ShiftCounts("14-22", 0, 0, 0),
        ShiftCounts("22-06", 3, 3, 3),
    )
    assert found.hours == pytest.approx(48)


@pytest.mark.parametrize("hours", [(), (6, 6), (24,), (-1, 8)])
def test_hours_that_are_no_shifts_are_refused(hours: tuple[int, ...]) -> None:
    with pytest.raises(BadInputError, match="write for example 6,14,22"):
        Shifts(hours, UTC)


def test_what_people_said_is_counted_where_they_agree() -> None:
    truth = KnownTruth({"f0001": True, "f0002": False, "f0004": True, "elsewhere": True}, {"f0003", "other"})
    assert replayed(0.4, truth=truth).feedback == FeedbackCounts(2, 1, 2, 1, 1, 1, conflicts=1)
    assert replayed(0.6, truth=truth).feedback == FeedbackCounts(2, 1, 1, 1, 1, 0, conflicts=1)
    assert replayed(0.6).feedback is None


def test_a_lower_threshold_over_a_time_of_which_good_frames_are_gone_says_so() -> None:
    whole = START + timedelta(seconds=3)
    lower, higher = (replay("cam1", FRAMES, x, SHIFTS, whole, None).remarks for x in (0.4, 0.6))
    assert any("are no longer all kept" in remark for remark in lower)
    assert higher == ()


def test_frames_scored_in_several_ways_are_remarked_on() -> None:
    assert any(
        "scored in 2 ways" in remark for remark in replayed(0.5, [FRAMES[0], result(7, weights_version="w2")]).remarks
    )


def test_no_frames_are_no_alarms_and_a_record_survives_json() -> None:
    assert replayed(0.5, []).thresholds_now is None
    for found in (replayed(0.5, []), replayed(0.4, truth=KnownTruth({"f0001": True}))):
        assert from_json(WhatIf, to_json(found)) == found


@given(st.lists(st.floats(0, 1), max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_never_raises_more_alarms_and_parts_add_up(
    scores: list[float], one: float, other: float
) -> None:
    frames = [result(i, *([SCRATCH] if i % 2 else []), score=score) for i, score in enumerate(scores)]
    low, high = (replayed(x, frames) for x in sorted((one, other)))
    assert low.then >= high.then
    for found in (low, high):
        assert found.then == sum(t.then for t in found.by_type) == sum(s.then for s in found.by_shift)
        assert found.now == sum(t.now for t in found.by_type) == sum(s.now for s in found.by_shift)
        assert found.then - found.now == len(found.new_alarms) - len(found.lost_alarms)
