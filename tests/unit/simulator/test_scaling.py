"""The scaling policy of k8s/ against a working day: what whoever pays, and whoever waits, would miss."""

import numpy as np
import pytest

from inspector.simulator.scaling.autoscaler import Autoscaler, Pace, ScalingPolicy
from inspector.simulator.scaling.demand import DAY_S, arrivals, partition_weights
from inspector.simulator.scaling.picture import draw
from inspector.simulator.scaling.policies import PARTITIONS_PER_REPLICA, chosen, compared
from inspector.simulator.scaling.replay import STEP_S, Fleet, replay

FPS, MOST = 20.0, 12
PARTITIONS = MOST * PARTITIONS_PER_REPLICA
FLEET = Fleet(FPS)
DAY = arrivals(0.5 * MOST * FPS, partition_weights(200, PARTITIONS), STEP_S)
HOUR = 3600 // STEP_S


@pytest.fixture(scope="module")
def days():
    return {name: replay(DAY, policy, FLEET) for name, policy in compared(FPS, MOST).items()}


@pytest.fixture(scope="module")
def day(days):
    return days["lag and rate, slowly down"]


def test_every_frame_is_inspected_and_none_twice(day):
    assert day.left_frames < 1
    assert np.all(day.lag_frames >= -1e-6)


def test_there_are_never_more_inspectors_than_allowed_nor_fewer_than_two(day):
    assert day.replicas.max() <= MOST < PARTITIONS
    assert day.replicas.min() >= 2


def test_the_fleet_does_not_thrash(day, days):
    assert day.changes <= 90
    assert day.reversals <= 4
    assert days["lag alone, defaults of the pod autoscaler"].reversals > 20 * max(1, day.reversals)


def test_each_shift_ends_with_nothing_left_over(day):
    for end_hour in (6, 14, 22):
        assert day.lag_frames[end_hour * HOUR - 1] < 30 * FPS


def test_a_network_that_was_away_is_caught_up_within_half_an_hour(day):
    assert day.lag_frames[int(8.6 * HOUR) : 9 * HOUR].max() > 300 * FPS  # the spools drained: it was felt
    assert day.lag_frames[9 * HOUR] < 30 * FPS


def test_a_line_that_stands_still_costs_little_and_waits_for_nobody_when_it_starts(day):
    stands = day.replicas[int(12.5 * HOUR) : int(12.75 * HOUR)]

    assert stands.max() <= MOST / 2
    assert day.lag_frames[int(13.25 * HOUR) - 1] < 60 * FPS


def test_it_costs_less_than_all_inspectors_all_day_and_most_frames_wait_no_longer(day, days):
    always = days["always all"]

    assert day.pod_hours < 0.75 * always.pod_hours
    assert day.latency_p50_s == always.latency_p50_s
    assert day.latency_p99_s < 300


def test_without_readings_of_the_lag_there_are_the_replicas_of_the_fallback():
    night = DAY[: 4 * HOUR]

    blind = replay(night, chosen(FPS, MOST), FLEET, metrics_away=[(3600, 3 * 3600)])

    assert blind.replicas[2 * HOUR] == 8
    assert blind.replicas[4 * HOUR - 1] < 8  # and back, when the readings are
    assert blind.lag_frames[2 * HOUR :].max() < 30 * FPS


def test_one_reading_that_fails_changes_nothing():
    autoscaler = Autoscaler(chosen(FPS, MOST), PARTITIONS)

    assert autoscaler.replicas(0, 5, None, 0.0) == 5


def policy(**changes):
    return ScalingPolicy(
        **(
            {"lag_frames": 100, "rate_fps": None, "min_replicas": 1, "max_replicas": 12, "fallback_replicas": None}
            | {"up": Pace(0, 4, 15), "down": Pace(0, 100, 15)}
            | changes
        )
    )


@pytest.mark.parametrize(
    ("lag", "current", "expected"),
    [
        (410, 4, 4),
        (450, 4, 5),
        (101, 1, 1),
        (0, 3, 1),
        (800, 4, 8),
        (900, 4, 8),
        (10**6, 10, 12),
        (10**6, 11, 11),
    ],  # 12 / 11 is within the tolerance,
)
def test_the_pod_autoscalers_arithmetic(lag, current, expected):
    assert Autoscaler(policy(), 12).replicas(0, current, lag, 0.0) == expected


def test_it_goes_down_by_the_most_that_was_wanted_in_the_window_and_no_faster_than_allowed():
    autoscaler = Autoscaler(policy(down=Pace(60, 1, 60)), 12)
    current, seen = 6, []
    for now_s, lag in ((0, 600), (15, 300), (30, 0), (45, 0), (60, 0), (75, 0), (90, 0), (105, 0), (120, 0), (150, 0)):
        current = autoscaler.replicas(now_s, current, lag, 0.0)
        seen.append(current)

    assert seen == [6, 6, 6, 6, 6, 5, 5, 5, 5, 4]


def test_the_lag_asks_for_no_more_inspectors_than_there_are_partitions():
    assert Autoscaler(policy(up=Pace(0, 100, 15)), 3).replicas(0, 1, 10**9, 0.0) == 3


def test_a_partition_for_each_inspector_leaves_one_with_two_that_falls_behind():
    demand = np.full((HOUR, 1), 120.0 * STEP_S)
    nine = ScalingPolicy(10**6, None, 9, 9, Pace(0, 4, 15), Pace(0, 4, 15), None)

    few = replay(demand * np.full((1, MOST), 1 / MOST) * 1.05, nine, FLEET)
    many = replay(demand * np.full((1, PARTITIONS), 1 / PARTITIONS) * 1.05, nine, FLEET)

    assert few.left_frames > 1000
    assert many.left_frames < 1


def test_cameras_are_spread_unevenly_and_nobody_is_forgotten():
    weights = partition_weights(200, PARTITIONS)

    assert weights.sum() == pytest.approx(1)
    assert weights.max() > 1.1 / PARTITIONS
    assert DAY.sum() == pytest.approx(arrivals(120, weights, STEP_S, outage=None).sum())
    assert len(DAY) * STEP_S == DAY_S


def test_the_picture_is_the_same_for_the_same_day(day):
    assert draw({"a": day}) == draw({"a": day})
    assert draw({"a": day}, "png").startswith(b"\x89PNG")
