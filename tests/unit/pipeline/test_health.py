"""What probes are told: a stuck commit is death, waiting for a server is not."""

from __future__ import annotations

import pytest

from inspector.pipeline.health import Health, LineHealth, SupervisedHealth
from inspector.pipeline.loop_parts import LoopState

STUCK_S = 60.0
IDLE = LoopState(owns=True, lag={("frames", 0): 0})
BUSY = LoopState(owns=True, lag={("frames", 0): 900}, decoding=1, batching=2, scoring=8)
ALONE = LoopState(owns=False, lag={}, scoring=8)


def turning(state: LoopState, from_s: float, to_s: float, health: LineHealth) -> None:
    """Tell where a loop stands every second, as a loop does."""
    for second in range(int(from_s), int(to_s) + 1):
        health.state(state, float(second))


@pytest.fixture
def health() -> LineHealth:
    made = LineHealth(STUCK_S)
    made.warmed()
    return made


def test_before_the_model_is_warm_it_is_alive_and_neither_started_nor_ready() -> None:
    cold = LineHealth(STUCK_S)
    cold.state(IDLE, 0)
    said = cold.health(1e6)
    assert (said.started, said.ready, said.live) == (False, False, True)
    assert "warm" in said.why


def test_it_is_ready_once_the_group_is_joined(health: LineHealth) -> None:
    assert not health.health(0).ready
    health.state(ALONE, 1)
    assert not health.health(1).ready
    health.state(IDLE, 2)
    assert health.health(2) == Health(True, True, True)


def test_idle_for_a_day_is_well(health: LineHealth) -> None:
    turning(IDLE, 0, 86_400, health)
    assert health.health(86_400).live


def test_frames_in_hand_without_a_commit_are_death(health: LineHealth) -> None:
    turning(BUSY, 0, 60, health)
    assert health.health(60).live
    turning(BUSY, 61, 62, health)
    said = health.health(62)
    assert not said.live
    assert not said.ready
    assert "11 frames" in said.why


def test_every_commit_starts_the_clock_anew(health: LineHealth) -> None:
    for minute in range(10):
        turning(BUSY, 50 * minute, 50 * minute + 49, health)
        health.committed(50 * minute + 49)
    assert health.health(499).live


def test_waiting_for_redis_or_kafka_is_life_and_a_failing_commit_is_not(health: LineHealth) -> None:
    for second in range(1000):
        health.state(BUSY, second)
        health.trouble("redis is away" if second % 2 else "kafka is away", second)
    assert health.health(999).live
    for second in range(1000, 1100):
        health.state(BUSY, second)
        health.trouble("commit failed", second)
    assert not health.health(1099).live


def test_frames_of_a_lost_membership_are_not_counted(health: LineHealth) -> None:
    turning(BUSY, 0, 59, health)
    turning(ALONE, 60, 300, health)
    assert health.health(300).live
    turning(BUSY, 301, 340, health)
    assert health.health(340).live


def test_a_loop_that_stands_still_is_dead_also_without_frames(health: LineHealth) -> None:
    health.state(IDLE, 0)
    assert not health.health(20).ready
    assert health.health(20).live
    assert not health.health(61).live


def test_a_worker_between_two_lives_keeps_the_pod() -> None:
    seen = SupervisedHealth(STUCK_S)
    seen.worker_runs(0)
    assert seen.health(5) == Health(False, False, True, "the worker is starting")
    seen.heard(Health(True, True, True), 6)
    assert seen.health(7) == Health(True, True, True)
    seen.worker_ended()
    assert seen.health(1e4) == Health(True, False, True, "the worker ended and is being started again")
    seen.worker_runs(1e4)
    seen.heard(Health(False, False, True, "cold"), 1e4 + 1)
    assert seen.health(1e4 + 1).started, "the startup probe must not begin again"
    assert not seen.health(1e4 + 1).ready


def test_a_worker_that_does_not_answer_is_dead_after_a_while() -> None:
    seen = SupervisedHealth(STUCK_S)
    seen.worker_runs(0)
    seen.heard(Health(True, True, True), 10)
    assert seen.health(20).ready
    assert not seen.health(30).ready
    assert seen.health(70).live
    assert not seen.health(71).live


def test_what_a_worker_says_of_itself_counts() -> None:
    seen = SupervisedHealth(STUCK_S)
    seen.worker_runs(0)
    seen.heard(Health(True, False, False, "stuck"), 1)
    assert seen.health(1) == Health(True, False, False, "stuck")
