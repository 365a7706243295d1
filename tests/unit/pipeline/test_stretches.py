"""Places of findings, kept as few stretches: none is forgotten, and of a scattered thousand there are fifty."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from inspector.domain.frame import FrameSource
from inspector.pipeline.stretches import Stretches

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def stretches(*offsets: int, partition: int = 0) -> Stretches:
    made = Stretches()
    for offset in offsets:
        made.add(FrameSource("frames", partition, offset), NOON + timedelta(seconds=offset))
    return made


def test_neighbours_are_one_stretch_and_what_is_far_off_another() -> None:
    found = list(stretches(10, 10, 11, 60, 5000))
    assert [(each.first, each.end) for each in found] == [(10, 61), (5000, 5001)]
    assert [each.since for each in found] == [NOON + timedelta(seconds=10), NOON + timedelta(seconds=5000)]


def test_partitions_are_told_apart() -> None:
    made = stretches(7, partition=3)
    made.add(FrameSource("frames", 1, 8), NOON)
    assert [(each.partition, each.first) for each in made] == [(1, 8), (3, 7)]


def test_however_many_they_stay_few_and_hold_every_place() -> None:
    offsets = [number * 1000 + (number % 7) * 50 for number in range(400)]
    found = list(stretches(*offsets))
    assert len(found) == 50
    for offset in offsets:
        assert any(each.first <= offset < each.end and each.since <= NOON + timedelta(seconds=offset) for each in found)


def test_it_is_the_nearest_two_that_become_one() -> None:
    found = list(stretches(*(number * 10_000 for number in range(40)), *(399_000 + n * 1000 for n in range(20))))
    assert [each.first for each in found[:40]] == [number * 10_000 for number in range(40)]
