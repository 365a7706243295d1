"""When a version on trial has to go, and that one which is as good stays."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.domain.result import ScoreMode
from inspector.pipeline.comparison import Pair
from inspector.pipeline.rollout_guard import GuardLimits, RolloutGuard, difference_interval, wrong_more_often

LIMITS = GuardLimits()


def pairs(subject: list[bool], reference: list[bool], camera: str = "cam1", alike: bool = True) -> list[Pair]:
    mode = ScoreMode.BANK if alike else ScoreMode.MUTUAL
    return [
        Pair(f"f{n}", camera, float(s), float(r), s, r, mode, ScoreMode.BANK)
        for n, (s, r) in enumerate(zip(subject, reference, strict=True))
    ]


def fed(guard: RolloutGuard, rate: float, subject_flips: float, frames: int, seed: int, camera: str = "cam1") -> int:
    """Feed frames of which the reference alarms on a share, and the subject differs on another; say when it objects."""
    rng = random.Random(seed)
    for n in range(frames):
        reference = rng.random() < rate
        subject = not reference if rng.random() < subject_flips else reference
        guard.saw_pairs(pairs([subject], [reference], camera))
        if guard.objection() is not None:
            return n + 1
    return frames + 1


def test_a_version_that_alarms_on_everything_is_out_within_forty_frames() -> None:
    guard = RolloutGuard(LIMITS)
    found = next(n for n in range(1, 200) if _alarms_always(guard))
    assert found <= 40
    assert "more" in (guard.objection() or "")


def _alarms_always(guard: RolloutGuard) -> bool:
    guard.saw_pairs(pairs([True], [False]))
    return guard.objection() is not None


def test_a_version_that_never_alarms_is_out_where_there_was_something_to_alarm_on() -> None:
    guard = RolloutGuard(LIMITS)
    rng = random.Random(0)
    for _ in range(600):
        guard.saw_pairs(pairs([False], [rng.random() < 0.3]))
    assert "fewer" in (guard.objection() or "")


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.3, 0.9])
def test_a_version_that_differs_by_chance_alone_stays_over_thousands_of_frames(rate: float) -> None:
    # It flips 6 % of the verdicts, which moves the alarm rate by 6 points at most: within bounds, at each look.
    for seed in range(5):
        assert fed(RolloutGuard(LIMITS), rate, 0.06, 3000, seed) == 3001


def test_a_bad_shift_of_the_plant_vetoes_nobody() -> None:
    guard = RolloutGuard(LIMITS)
    for n in range(2000):
        alarming = n > 1000  # from then on each part is broken, and both say so
        guard.saw_pairs(pairs([alarming], [alarming]))
    assert guard.objection() is None


def test_one_bad_camera_among_many_good_ones_is_found() -> None:
    guard = RolloutGuard(LIMITS)
    for _ in range(200):
        guard.saw_pairs(pairs([False] * 19, [False] * 19, "good"))
        guard.saw_pairs(pairs([True], [False], "bad"))
    assert "camera bad" in (guard.objection() or "")


def test_frames_scored_in_two_ways_say_nothing() -> None:
    guard = RolloutGuard(LIMITS)
    guard.saw_pairs(pairs([True] * 500, [False] * 500, alike=False))
    assert guard.objection() is None


def test_failures_that_the_version_before_does_not_have_are_found_and_one_stray_one_is_not() -> None:
    guard = RolloutGuard(LIMITS)
    guard.saw_frames(150, 1)
    assert guard.objection() is None
    guard.saw_frames(8, 8)
    assert "failed on 9 of 158 frames" in (guard.objection() or "")


def test_a_slower_version_is_found_by_its_median_and_a_hiccup_is_not() -> None:
    slow, hiccup = RolloutGuard(LIMITS), RolloutGuard(LIMITS)
    for n in range(40):
        slow.saw_times(0.5, 0.1)
        hiccup.saw_times(5.0 if n % 10 == 0 else 0.1, 0.1)
    assert "5.00 times as long" in (slow.objection() or "")
    assert hiccup.objection() is None


@settings(deadline=None)
@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))
def test_the_interval_holds_the_difference_and_turns_with_its_sign(more: int, less: int, neither: int) -> None:
    n = more + less + neither
    if n == 0:
        return
    low, high = difference_interval(more, less, n, 3.3)
    assert -1 <= low <= high <= 1
    assert low <= (more - less) / (n + 2) <= high
    other_low, other_high = difference_interval(less, more, n, 3.3)
    assert (low, high) == pytest.approx((-other_high, -other_low))


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(2, 6))
def test_more_frames_of_the_same_kind_narrow_the_interval(pairs_of_each: int, times: int) -> None:
    low, high = difference_interval(pairs_of_each, 0, 3 * pairs_of_each, 3.3)
    n = times * pairs_of_each
    low_more, high_more = difference_interval(n, 0, 3 * n, 3.3)
    assert high_more - low_more < high - low


def test_people_who_say_wrong_more_often_are_heard_and_a_few_words_are_not_enough() -> None:
    assert wrong_more_often((3, 5), (0, 200), LIMITS) is None
    assert wrong_more_often((40, 60), (10, 200), LIMITS) is not None
    assert wrong_more_often((10, 200), (40, 60), LIMITS) is None
