"""A batch tells how far it has come, each step when it is done: fault tests aim by it."""

from __future__ import annotations

from collections import Counter

from loop_kit import BROKEN, DEFECT, GOOD, World

from inspector.pipeline.milestones import Milestone

OF_THE_LOOP = [Milestone.POLLED, Milestone.DECODED, Milestone.SCORED, Milestone.STORED]


def test_every_batch_passes_the_milestones_of_the_loop_once_and_in_order() -> None:
    world = World()
    world.publish([GOOD, DEFECT, BROKEN, GOOD])
    world.run(world.loop(batch_max_wait_s=0.5))
    first_passed = list(dict.fromkeys(world.milestones))
    assert first_passed == OF_THE_LOOP
    passed = Counter(world.milestones)
    batches = len(world.reports)
    assert [passed[each] for each in OF_THE_LOOP[1:]] == [batches] * 3


def test_a_batch_that_waits_for_redis_is_not_stored_and_not_passed_as_such() -> None:
    world = World()
    world.publish([GOOD])
    world.store.outage.plan(3)
    loop = world.loop()
    world.run(loop, until=lambda: "redis is away" in world.troubles)
    stored_by_then = world.milestones.count(Milestone.STORED)
    assert stored_by_then == len(world.reports)
