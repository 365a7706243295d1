"""The loop against a broker and a store in memory that play every fault."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loop_kit import BROKEN, CURSED, DEFECT, GOOD, SHORT, SNEAKY, World

from inspector.adapters.memory.log import CommitFault, announce
from inspector.domain.artefact import Announcement, ArtefactKind
from inspector.domain.product import CameraSettings
from inspector.domain.records import to_json
from inspector.pipeline.decode_stage import StuckError
from inspector.pipeline.ports import FencedError


def test_every_frame_has_one_outcome_and_alerts_are_the_anomalous_ones() -> None:
    world = World()
    images = [DEFECT if n % 5 == 0 else BROKEN if n % 7 == 0 else GOOD for n in range(40)]
    world.publish(images)
    world.run(world.loop())
    defects = [f"f{n:04}" for n in range(40) if images[n] == DEFECT]
    broken = [(f"f{n:04}", "undecodable") for n in range(40) if images[n] == BROKEN]
    assert sorted(world.alerts()) == defects
    assert sorted(world.dead()) == broken
    assert len(world.store.arrivals) == 40 - len(broken)
    totals = [(r.counts.taken, r.counts.inspected + r.counts.rejected) for r in world.reports]
    assert all(taken == settled for taken, settled in totals)
    assert sum(taken for taken, _ in totals) == 40


def test_a_batch_mixes_cameras_and_holds_no_more_than_asked() -> None:
    world = World()
    world.publish([GOOD] * 30)
    world.run(world.loop(batch_max_size=8))
    assert max(len(batch) for batch in world.engine.batches) <= 8
    assert sum(len(batch) for batch in world.engine.batches) == 30


def test_a_frame_that_breaks_the_engine_is_rejected_alone_and_its_batch_is_served() -> None:
    world = World()
    world.publish([GOOD, DEFECT, CURSED, GOOD, SNEAKY, GOOD, DEFECT, GOOD])
    world.run(world.loop(batch_max_size=8))
    assert sorted(world.dead()) == [("f0002", "engine_failure"), ("f0004", "undecodable")]
    assert sorted(world.alerts()) == ["f0001", "f0006"]
    assert len(world.store.arrivals) == 6


def test_a_frame_that_breaks_the_engine_is_told_from_a_broken_engine_also_when_it_is_the_first_and_only_one() -> None:
    world = World()
    world.publish([CURSED])
    world.run(world.loop())
    assert world.dead() == [("f0000", "engine_failure")]


def test_a_batch_too_large_for_the_device_is_scored_in_parts() -> None:
    world = World()
    world.engine.memory_frames = 1
    world.publish([GOOD, DEFECT, GOOD, GOOD])
    world.run(world.loop(batch_max_size=4))
    assert world.dead() == []
    assert world.alerts() == ["f0001"]
    assert len(world.store.arrivals) == 4


def test_too_little_memory_to_decode_stops_the_inspector_and_costs_no_frame() -> None:
    world = World()
    world.publish([GOOD, SHORT, GOOD])
    with pytest.raises(MemoryError):
        world.run(world.loop(), until=lambda: False)
    assert world.dead() == []
    assert world.broker.committed_offsets("g") == {}


def test_a_broken_engine_stops_the_inspector_and_costs_no_frame() -> None:
    world = World()
    world.publish([GOOD] * 5)
    world.engine.out_of_order = True
    with pytest.raises(RuntimeError, match="the engine failed"):
        world.run(world.loop(), until=lambda: False)
    assert world.dead() == []
    assert world.broker.committed_offsets("g") == {}


def test_a_frame_id_seen_at_another_offset_is_rejected_and_the_first_result_stays() -> None:
    world = World()
    world.publish([DEFECT, GOOD, GOOD, GOOD, DEFECT], ["a", "b", "c", "d", "a"])
    world.run(world.loop())
    first = world.store.get("a")
    assert first is not None
    assert first.source.offset == 0
    assert world.alerts() == ["a"]
    assert world.dead() == [("a", "duplicate")]


FAULTS = (
    "commit fails before",
    "commit answer lost",
    "rebalance",
    "taken for dead",
    "redis away",
    "marks away",
    "kafka away",
)


def play(world: World, fault: str) -> None:
    if fault == "commit fails before":
        world.broker.plan_commit_fault(CommitFault.BEFORE)
    elif fault == "commit answer lost":
        world.broker.plan_commit_fault(CommitFault.AFTER)
    elif fault == "rebalance":
        world.broker.rebalance("g")
    elif fault == "taken for dead":
        world.broker.expire("g", world.logs[-1].member_id or "")
    elif fault == "redis away":
        world.store.outage.plan(2)
    elif fault == "marks away":
        world.lives[-1].outage.plan(2)
    else:
        world.broker.down = True


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_in_the_middle_loses_nothing_and_repeats_nothing(fault: str) -> None:
    check_faults([(5, fault)])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(FAULTS)), max_size=6))
def test_any_sequence_of_faults_loses_nothing_and_repeats_nothing(faults: list[tuple[int, str]]) -> None:
    check_faults(faults)


def check_faults(faults: list[tuple[int, str]]) -> None:
    world = World()
    images = [DEFECT if n % 3 == 0 else BROKEN if n % 11 == 0 else GOOD for n in range(60)]
    world.publish(images)
    planned = sorted(faults)
    steps = 0

    def until() -> bool:
        nonlocal steps
        steps += 1
        if world.broker.down and steps % 3 == 0:
            world.broker.down = False
        while planned and planned[0][0] <= steps:
            play(world, planned.pop(0)[1])
        return world.drained() and not planned

    world.run(world.loop(), until)
    assert Counter(world.alerts()) == Counter(f"f{n:04}" for n in range(60) if images[n] == DEFECT)
    assert Counter(world.dead()) == Counter((f"f{n:04}", "undecodable") for n in range(60) if images[n] == BROKEN)
    assert sorted(set(world.store.arrivals)) == sorted(world.store.arrivals)
    for camera in range(4):
        own = [frame_id for frame_id in world.alerts() if int(frame_id[1:]) % 4 == camera]
        assert own == sorted(own)


def test_a_replaced_inspector_stops_instead_of_going_on() -> None:
    world = World()
    world.publish([GOOD] * 10)
    first = world.loop("same")
    world.loop("same")
    with pytest.raises(FencedError):
        world.run(first, until=lambda: False)


def test_results_of_a_newer_owner_are_not_overwritten() -> None:
    world = World()
    world.publish([GOOD] * 3)
    newer = world.loop("newer")
    world.run(newer)
    for number in range(3):
        world.store._fences["frames", number] = 1_000
    world.publish([GOOD] * 3, ["x", "y", "z"])
    with pytest.raises(FencedError, match="replaced"):
        world.run(world.loop("older"))


def test_stopping_commits_the_batch_in_hand_and_leaves_the_rest_to_the_next() -> None:
    world = World()
    world.engine.hold = threading.Event()
    world.publish([GOOD] * 40)
    loop = world.loop(max_queued_frames=20)

    def until() -> bool:
        if loop._in_flight:
            world.engine.hold.set()
            return True
        return False

    world.run(loop, until)
    committed = sum(world.broker.committed_offsets("g").values())
    assert 0 < committed < 40
    assert committed == len(world.store.arrivals)
    world.logs[-1].close()
    world.run(world.loop())
    assert len(world.store.arrivals) == 40


def test_while_redis_is_away_frames_wait_within_bounds_and_the_group_is_kept() -> None:
    world = World()
    world.publish([GOOD] * 60)
    world.store.outage.plan(10)
    loop = world.loop(max_queued_frames=12)
    most, generations = 0, set()

    def until() -> bool:
        nonlocal most
        most = max(most, loop._ledger.open_frames())
        generations.add(world.broker._group("g").generation)
        return world.drained()

    world.run(loop, until)
    assert world.troubles.count("redis is away") == 10
    assert most <= 12
    assert len(generations) == 1
    assert len(world.store.arrivals) == 60


@pytest.mark.parametrize(("encoded_bytes", "decoded_bytes"), [(10_000, 12), (10, 10_000)])
def test_bytes_waiting_are_bounded_as_well_as_frames(encoded_bytes: int, decoded_bytes: int) -> None:
    world = World()
    world.engine.pixels_bytes = decoded_bytes
    world.publish([GOOD + bytes(encoded_bytes)] * 40)
    world.store.outage.plan(5)
    loop = world.loop(max_queued_bytes=60_000, max_queued_frames=1_000)
    most = 0

    def until() -> bool:
        nonlocal most
        most = max(most, loop._ledger.open_frames())
        return world.drained()

    world.run(loop, until)
    assert most < 40
    assert len(world.store.arrivals) == 40
    assert loop._queued_bytes == 0


def test_an_engine_that_does_not_come_back_ends_the_inspector() -> None:
    world = World()
    world.engine.hold = threading.Event()
    world.publish([GOOD] * 4)
    try:
        with pytest.raises(StuckError, match="was not scored in"):
            world.run(world.loop(score_timeout_s=0.2), until=lambda: False)
    finally:
        world.engine.hold.set()
    assert world.broker.committed_offsets("g") == {}


@contextmanager
def announced(world: World, kind: ArtefactKind, subject: str, data: bytes) -> Iterator[None]:
    version = world.artefacts.put(data)
    announce(world.broker, "config", Announcement(kind, subject, version, datetime.now(UTC)))
    yield


def test_configuration_is_taken_while_running_and_a_bad_one_leaves_the_last_good() -> None:
    world = World()
    loop = world.loop()
    with announced(world, ArtefactKind.BANK, "cam1", b"first"):
        world.run(loop, until=lambda: "cam1" in world.engine.banks)
    loop = world.loop()
    with announced(world, ArtefactKind.BANK, "cam1", b"bad bank"):
        world.run(loop, until=lambda: bool(world.refused))
    assert world.engine.banks == {"cam1": b"first"}
    loop = world.loop()
    with announced(world, ArtefactKind.CAMERA, "cam9", to_json(CameraSettings(line_id="line-5"))):
        world.run(loop, until=lambda: "cam9" in world.engine.cameras)
    assert world.engine.cameras["cam9"].line_id == "line-5"


def test_configuration_waits_for_an_absent_store_and_then_comes() -> None:
    world = World()
    loop = world.loop()
    with announced(world, ArtefactKind.BANK, "cam1", b"late"):
        world.artefacts.outage.plan(3)
        world.run(loop, until=lambda: "cam1" in world.engine.banks)
    assert world.engine.banks["cam1"] == b"late"
