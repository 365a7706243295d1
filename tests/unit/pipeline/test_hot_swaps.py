"""Weights that change under load: no frame is lost, no batch mixed, and a bad version never makes the line worse."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from loop_kit import CURSED, GOOD
from rollout_kit import NOW, WHY, FakeLoader, RolloutWorld, VersionEngine, until

from inspector.adapters.memory.log import announce
from inspector.domain.artefact import Announcement, ArtefactKind
from inspector.domain.outcome import Inspected
from inspector.domain.release import Companion, Rollout, RolloutStage
from inspector.pipeline.rollout import (
    Decision,
    Watched,
    first_rollout,
    offered,
    pinned_to,
    promoted,
    rolled_back,
    version_for,
)
from inspector.pipeline.rollout_keeper import RolloutKeeper


@pytest.fixture
def world() -> Iterator[RolloutWorld]:
    made = RolloutWorld()
    yield made
    made.close()


def shadow(stable: str, candidate: str) -> Rollout:
    return offered(first_rollout(stable, WHY), candidate, WHY)


def canary(stable: str, candidate: str, share: float) -> Rollout:
    return promoted(shadow(stable, candidate), RolloutStage.CANARY, share, WHY)


def full(stable: str, candidate: str) -> Rollout:
    return promoted(shadow(stable, candidate), RolloutStage.FULL, 1.0, WHY)


def inspected(world: RolloutWorld) -> list[list[Inspected]]:
    return [[o for o in report.outcomes if isinstance(o, Inspected)] for report in world.reports]


def ready(keeper: RolloutKeeper, main: str, second: str | None = None) -> bool:
    """Look once as the keeper's thread does, apply as the scoring thread does, and tell what serves."""
    keeper.look()
    keeper.apply_pending()
    serving = keeper.engines.serving
    return (serving.main.weights_version, serving.second and serving.second.weights_version) == (main, second)


def test_a_hundred_swaps_under_load_lose_no_frame_mix_no_batch_and_name_the_version(world: RolloutWorld) -> None:
    swaps, frames = 100, 40
    world.release("v0")
    world.release("v1")
    world.roll_out(first_rollout("v0", WHY))
    keeper = world.keeper(watch=timedelta(0))
    keeper.start()
    loop = world.rolling_loop(keeper)
    seen: list[str] = []
    state = {"swaps": 0, "published": 0}

    def go_on() -> bool:
        """Publish a little, and ask for the other version as soon as this one has scored something."""
        serving = keeper.engines.weights_version
        if not seen or seen[-1] != serving:
            seen.append(serving)
            if state["swaps"] < swaps:
                other = "v1" if serving == "v0" else "v0"
                world.publish_more(frames, state["published"])
                state["published"] += frames
                state["swaps"] += 1
                world.roll_out(full(serving, other))
        return state["swaps"] == swaps and len(seen) == swaps + 1 and world.drained()

    world.run(loop, go_on)

    assert seen == ["v0", "v1"] * (swaps // 2) + ["v0"]
    ids = [o.result.frame_id for batch in inspected(world) for o in batch]
    assert sorted(ids) == [f"f{n:06}" for n in range(swaps * frames)]
    assert all(len({o.result.weights_version for o in batch}) <= 1 for batch in inspected(world))
    # What a result says of its weights is what scored it.
    scored = {(f, e.weights_version) for e in world.loader.engines for batch in e.batches for f in batch}
    assert {(o.result.frame_id, o.result.weights_version) for b in inspected(world) for o in b} <= scored
    assert len({o.result.weights_version for batch in inspected(world) for o in batch}) == 2
    assert {thread for engine in world.loader.engines for thread in engine.threads} == {"score_0"}
    # The version before stays at hand, so that going back loads nothing.
    assert world.loader.loads == ["v1"]


def test_canaries_are_scored_by_the_candidate_and_each_part_of_a_batch_by_one_engine(world: RolloutWorld) -> None:
    world.release("v1")
    # Cameras of the kit are cam0 to cam3; two of them lie below this share.
    rollout = canary("v0", "v1", 0.6)
    served = {f"cam{n}": version_for(rollout, f"cam{n}") for n in range(4)}
    assert set(served.values()) == {"v0", "v1"}
    world.roll_out(rollout)
    keeper = world.keeper(shadow_share=1e-9)
    until(lambda: ready(keeper, "v0", "v1"), "the candidate to be ready")
    world.publish_more(80, 0)
    world.run(world.rolling_loop(keeper))

    results = [o.result for batch in inspected(world) for o in batch]
    assert len(results) == 80
    assert {(r.camera_id, r.weights_version) for r in results} == set(served.items())
    assert any(len({o.result.weights_version for o in batch}) == 2 for batch in inspected(world))


def test_a_candidate_in_shadow_is_compared_and_nothing_follows_from_it(world: RolloutWorld) -> None:
    world.loader = FakeLoader(make=lambda version: VersionEngine(version, slow_s=0.001, lies=version == "v1"))
    world.release("v1")
    world.roll_out(shadow("v0", "v1"))
    keeper = world.keeper()
    until(lambda: ready(keeper, "v0", "v1"), "the candidate to be ready")
    world.publish_more(60, 0)
    world.run(world.rolling_loop(keeper), lambda: world.drained())
    keeper.look()

    assert {o.result.weights_version for batch in inspected(world) for o in batch} == {"v0"}
    assert len(world.alerts()) == 12
    found = world.found()
    assert found.pairs > 0
    assert found.alarms_both + found.alarms_subject_only == found.pairs
    assert world.notes_store.differences(Watched("v1", "v0", NOW), 1)[0].subject_alarm


@pytest.mark.parametrize("stage", [RolloutStage.SHADOW, RolloutStage.CANARY, RolloutStage.FULL])
def test_a_version_that_alarms_on_everything_is_vetoed_at_once_in_every_stage(
    world: RolloutWorld, stage: RolloutStage
) -> None:
    world.loader = FakeLoader(make=lambda version: VersionEngine(version, slow_s=0.0005, lies=version == "v1"))
    world.release("v1")
    world.roll_out({"shadow": shadow("v0", "v1"), "canary": canary("v0", "v1", 0.99)}.get(stage, full("v0", "v1")))
    keeper = world.keeper(shadow_share=0.5)
    main, second = ("v1", "v0") if stage is RolloutStage.FULL else ("v0", "v1")
    until(lambda: ready(keeper, main, second), "both to be ready")
    world.publish_more(400, 0, defect_every=10)
    world.run(world.rolling_loop(keeper))
    keeper.look()

    assert [version for version, _ in world.vetoed] == ["v1"]
    assert "alarms on" in world.notes_store.vetoes(["v1"])["v1"]
    assert keeper.engines.weights_version == "v0"
    last = [o.result.weights_version for batch in inspected(world)[-5:] for o in batch]
    assert set(last) == {"v0"}
    assert len([r for b in inspected(world) for r in b]) == 400


def test_a_veto_of_one_inspector_is_obeyed_by_another_within_two_looks(world: RolloutWorld) -> None:
    world.release("v1")
    world.roll_out(full("v0", "v1"))
    other = world.keeper("r2")
    until(lambda: ready(other, "v1", "v0"), "the new version to serve")
    world.notes_store.veto("v1", "too many alarms", "r1")
    assert ready(other, "v0")
    # A person lifts it, and it serves again.
    world.notes_store.lift("v1")
    until(lambda: ready(other, "v1", "v0"), "the lifted version to serve")


def test_a_veto_outlives_a_store_that_is_away_and_the_process(world: RolloutWorld) -> None:
    world.loader = FakeLoader(make=lambda version: VersionEngine(version, slow_s=0.0005, lies=version == "v1"))
    world.release("v1")
    world.roll_out(full("v0", "v1"))
    keeper = world.keeper(shadow_share=0.5)
    until(lambda: ready(keeper, "v1", "v0"), "both to be ready")
    world.publish_more(300, 0)
    world.run(world.rolling_loop(keeper))
    assert keeper.engines.weights_version == "v0"
    world.notes_store.outage.plan(3)
    for _ in range(3):
        assert ready(keeper, "v0")  # it is still vetoed here, though nobody else knows
    assert ready(keeper, "v0")
    assert world.notes_store.vetoes(["v1"])
    again = world.keeper()
    assert again.engines.weights_version == "v0"


def test_a_canary_that_fails_costs_no_frame_and_goes(world: RolloutWorld) -> None:
    world.loader = FakeLoader(make=lambda version: VersionEngine(version, fails=version == "v1"))
    world.release("v1")
    world.roll_out(canary("v0", "v1", 0.99))
    keeper = world.keeper()
    until(lambda: ready(keeper, "v0", "v1"), "the candidate to be ready")
    world.publish_more(60, 0)
    world.run(world.rolling_loop(keeper))
    assert {o.result.weights_version for batch in inspected(world) for o in batch} == {"v0"}
    assert sum(len(batch) for batch in inspected(world)) == 60
    assert world.dead() == []
    assert "failed on" in dict(world.vetoed)["v1"]


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.1, 1.5])
def test_a_score_that_is_none_counts_as_a_failure_and_never_reaches_a_result(world: RolloutWorld, score: float) -> None:
    world.loader = FakeLoader(make=lambda version: VersionEngine(version, score=score if version == "v1" else None))
    world.release("v1")
    world.roll_out(canary("v0", "v1", 0.99))
    keeper = world.keeper()
    until(lambda: ready(keeper, "v0", "v1"), "the candidate to be ready")
    world.publish_more(40, 0)
    world.run(world.rolling_loop(keeper))
    assert {o.result.anomaly_score for batch in inspected(world) for o in batch} == {0.9, 0.1}
    assert "v1" in dict(world.vetoed)


def test_a_frame_that_breaks_every_engine_is_not_held_against_the_candidate(world: RolloutWorld) -> None:
    world.release("v1")
    world.roll_out(canary("v0", "v1", 0.99))
    keeper = world.keeper()
    until(lambda: ready(keeper, "v0", "v1"), "the candidate to be ready")
    world.publish([CURSED if n % 4 == 0 else GOOD for n in range(40)])
    world.run(world.rolling_loop(keeper))
    assert world.vetoed == []
    assert len(world.dead()) == 10


def test_loading_beside_does_not_hold_the_line_up(world: RolloutWorld) -> None:
    gate = threading.Event()
    world.loader = FakeLoader(gate=gate)
    world.release("v1")
    world.roll_out(shadow("v0", "v1"))
    keeper = world.keeper()
    keeper.start()
    until(lambda: world.loader.loads == ["v1"], "the load to begin")
    world.publish_more(200, 0)
    world.run(world.rolling_loop(keeper), lambda: world.drained() and keeper.engines.serving.second is None)
    assert sum(len(batch) for batch in inspected(world)) == 200  # all of them while the load was under way
    gate.set()
    until(lambda: ready(keeper, "v0", "v1"), "the candidate to be ready")


@pytest.mark.parametrize(
    "why", ["no such artefact", "bytes that hash to another", "another model", "NaN", "no golden batch", "too large"]
)
def test_a_bad_release_is_refused_and_the_last_good_one_serves_on(world: RolloutWorld, why: str) -> None:
    world.loader.bad["v1"] = why
    world.release("v1")
    world.roll_out(full("v0", "v1"))
    keeper = world.keeper()  # as after a restart: the stable version itself is bad
    assert keeper.engines.weights_version == "v0"
    for _ in range(3):
        assert ready(keeper, "v0")
    assert [version for version, _ in world.refused_weights] == ["v1"]
    assert why in (world.notes_store.standings("v1")["r1"].refused or "")
    # Published anew, it is tried again.
    del world.loader.bad["v1"]
    world.release("v1")
    until(lambda: ready(keeper, "v1", "v0"), "the mended version to serve")


def test_a_rollout_of_something_never_published_changes_nothing(world: RolloutWorld) -> None:
    world.roll_out(full("v0", "v7"))
    keeper = world.keeper()
    assert ready(keeper, "v0")
    assert world.loader.loads == []
    assert "no such release" in dict(world.refused_weights)["v7"]


def test_a_store_that_is_away_is_no_reason_to_refuse(world: RolloutWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inspector.pipeline.rollout_keeper._LOAD_AGAIN_AFTER_S", 0.01)
    world.loader.away = 2
    world.release("v1")
    world.roll_out(shadow("v0", "v1"))
    keeper = world.keeper()
    until(lambda: ready(keeper, "v0", "v1"), "the candidate to be ready in the end")
    assert world.refused_weights == []
    assert world.loader.loads == ["v1"] * 3


def test_loads_that_ended_with_the_process_are_counted_and_a_fourth_is_not_tried(world: RolloutWorld) -> None:
    world.release("v1")
    world.roll_out(full("v0", "v1"))
    for _ in range(3):
        world.notes_store.begin_trial("v1", "r1")  # three lives that never came back to say how it went
    keeper = world.keeper()
    assert keeper.engines.weights_version == "v0"
    assert world.loader.loads == []
    assert "ended with the process" in dict(world.refused_weights)["v1"]
    # Another machine may have the memory for it.
    assert world.keeper("r2").engines.weights_version == "v1"


def test_at_most_two_engines_are_held_whatever_comes(world: RolloutWorld) -> None:
    for version in ("v1", "v2", "v3"):
        world.release(version)
    world.roll_out(full("v0", "v1"))
    keeper = world.keeper()
    until(lambda: ready(keeper, "v1", "v0"), "v1")
    shelf = keeper._shelf
    for candidate in ("v2", "v3", "v2"):
        world.roll_out(offered(world.rollout, candidate, WHY))
        until(lambda wanted=candidate: _two_at_most(keeper) and ready(keeper, "v1", wanted), candidate)  # type: ignore[misc]
    assert shelf.is_full()


def _two_at_most(keeper: RolloutKeeper) -> bool:
    assert len(keeper._shelf._loaded) <= 2
    return True


def test_banks_and_calibrations_go_with_their_weights_and_a_rollback_finds_its_own(world: RolloutWorld) -> None:
    def bank(data: bytes, weights: str | None, camera: str = "cam1") -> str:
        version = world.artefacts.put(data)
        announcement = Announcement(ArtefactKind.BANK, camera, version, datetime.now(UTC), weights)
        announce(world.broker, "config", announcement)
        return version

    bank(b"of long ago", None)
    bank(b"of v0", "v0")
    companion = Companion(ArtefactKind.BANK, "cam2", world.artefacts.put(b"came with v1"))
    world.release("v1", (companion,))
    world.roll_out(full("v0", "v1"))
    keeper = world.keeper()
    until(lambda: ready(keeper, "v1", "v0"), "both")
    serving = keeper.engines.serving
    main, second = serving.main, serving.second
    assert isinstance(main, VersionEngine)
    assert isinstance(second, VersionEngine)
    # What does not say for which weights it is comes first: an engine refuses it if it is for others.
    assert main.banks == {"cam1": b"of long ago", "cam2": b"came with v1"}
    assert second.banks == {"cam1": b"of v0"}
    # While both are at hand each takes its own, and a later word wins over what came with the weights.
    bank(b"of v1", "v1")
    bank(b"enrolled again", "v1", "cam2")
    keeper.apply_pending()
    assert main.banks == {"cam1": b"of v1", "cam2": b"enrolled again"}
    assert second.banks == {"cam1": b"of v0"}
    # After a restart too.
    world.roll_out(rolled_back(world.rollout, None, WHY))
    again = world.keeper().engines.serving.main
    assert isinstance(again, VersionEngine)
    world.keepers[-1].apply_pending()
    assert again.banks == {"cam1": b"of v0"}


def test_an_old_bank_of_other_weights_is_left_out_without_an_alarm(world: RolloutWorld) -> None:
    version = world.artefacts.put(b"bad bank")
    announce(world.broker, "config", Announcement(ArtefactKind.BANK, "cam1", version, NOW))
    world.release("v1")
    world.roll_out(full("v0", "v1"))
    keeper = world.keeper()
    until(lambda: ready(keeper, "v1", "v0"), "both")
    assert world.refused == []
    assert "bank/cam1" in world.left_out


def test_nothing_announced_is_served_as_before_and_nothing_is_written(world: RolloutWorld) -> None:
    keeper = world.keeper()
    world.publish_more(20, 0)
    world.run(world.rolling_loop(keeper))
    keeper.look()
    assert {o.result.weights_version for batch in inspected(world) for o in batch} == {"v0"}
    assert world.loader.loads == []
    assert world.notes_store.standings("v0") == {}


def on_trial(keeper: RolloutKeeper) -> bool:
    return keeper.engines.serving.on_trial is not None


def test_a_watch_ends_and_a_pin_ends_it_at_once(world: RolloutWorld) -> None:
    world.release("v1")
    world.roll_out(full("v0", "v1"))
    keeper = world.keeper()
    until(lambda: ready(keeper, "v1", "v0"), "both")
    assert on_trial(keeper)
    world.passed_s = 25 * 3600
    keeper.apply_pending()
    assert not on_trial(keeper)
    world.passed_s = 0
    world.roll_out(pinned_to(world.rollout, "v0", WHY))
    assert ready(keeper, "v0", "v1")
    assert not on_trial(keeper)


def test_a_watch_goes_by_the_stores_clock_and_not_by_the_inspectors(world: RolloutWorld) -> None:
    world.release("v1")
    world.roll_out(full("v0", "v1"))
    world.now = NOW + timedelta(hours=23)
    keeper = world.keeper()
    until(lambda: ready(keeper, "v1", "v0"), "both")
    assert on_trial(keeper)  # whatever the clock of this machine says, which is years away from the test's
    world.passed_s = 2 * 3600  # the store away for two hours: time goes on by a clock that nobody sets
    keeper.apply_pending()
    assert not on_trial(keeper)


def test_who_saw_a_version_promoted_watches_it_however_the_clock_jumps(world: RolloutWorld) -> None:
    world.release("v1")
    world.roll_out(shadow("v0", "v1"))
    keeper = world.keeper()
    until(lambda: ready(keeper, "v0", "v1"), "the candidate")
    world.roll_out(promoted(world.rollout, RolloutStage.FULL, 1.0, WHY))
    world.now = NOW + timedelta(days=400)
    assert ready(keeper, "v1", "v0")
    assert on_trial(keeper)
    world.passed_s = 25 * 3600
    assert ready(keeper, "v1", "v0")
    assert not on_trial(keeper)


def test_a_record_that_is_no_later_one_is_left_out_and_told(world: RolloutWorld) -> None:
    world.release("v1")
    world.roll_out(full("v0", "v1"))
    keeper = world.keeper()
    until(lambda: ready(keeper, "v1", "v0"), "both")
    world.roll_out(rolled_back(world.rollout, None, WHY))
    assert ready(keeper, "v0")
    # Another writer that began from the same record, and died before it could see that it was not the only one.
    announce(world.broker, "weights", replace(full("v0", "v1"), revision=world.rollout.revision))
    assert ready(keeper, "v0")
    assert any("no later one" in told for told in world.troubles)
    # A topic that was lost and made anew begins at 1 again.
    later = Decision("me", "the topic was lost", NOW + timedelta(hours=1))
    announce(world.broker, "weights", first_rollout("v1", later))
    until(lambda: ready(keeper, "v1"), "the new topic's version")


def test_a_version_that_is_dropped_before_its_trial_ends_is_not_counted_as_a_death(world: RolloutWorld) -> None:
    world.release("v1")
    world.roll_out(first_rollout("v0", WHY))
    keeper = world.keeper()
    for _ in range(5):
        world.roll_out(offered(first_rollout("v0", WHY), "v1", WHY))
        until(lambda: ready(keeper, "v0", "v1"), "the candidate to be ready")
        world.roll_out(first_rollout("v0", WHY))
        until(lambda: ready(keeper, "v0"), "the candidate to be dropped")
    keeper.look()
    assert world.refused_weights == []
    assert world.notes_store.begin_trial("v1", "r1") == 1


def test_a_stable_version_that_was_mended_is_loaded_though_a_candidate_took_its_place(world: RolloutWorld) -> None:
    world.loader.bad["v1"] = "NaN"
    for version in ("v1", "v2"):
        world.release(version)
    world.roll_out(offered(first_rollout("v1", WHY), "v2", WHY))
    keeper = world.keeper()  # the settings' v0 serves, v1 is refused
    until(lambda: ready(keeper, "v0") and keeper._shelf.is_full(), "the candidate to be at hand")
    del world.loader.bad["v1"]
    world.release("v1")
    until(lambda: _two_at_most(keeper) and ready(keeper, "v1", "v2"), "the mended version to serve")


def test_a_rollback_does_not_wait_for_the_retry_of_another_load(world: RolloutWorld) -> None:
    for version in ("v1", "v2"):
        world.release(version)
    world.roll_out(shadow("v0", "v1"))
    keeper = world.keeper()
    world.loader.away = 1
    until(lambda: not ready(keeper, "v0") or world.loader.away == 0, "a load to fail")
    world.roll_out(rolled_back(world.rollout, "v2", WHY))
    until(lambda: ready(keeper, "v2"), "the version named, at once", timeout_s=3)


def test_how_a_version_fares_is_repeated_and_forgotten_with_the_version(
    world: RolloutWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inspector.pipeline.engine_shelf.SAID_AGAIN_S", 0.0)
    world.release("v1")
    world.roll_out(shadow("v0", "v1"))
    keeper = world.keeper()
    until(lambda: ready(keeper, "v0", "v1"), "the candidate to be ready")
    keeper.look()
    world.now = NOW + timedelta(hours=1)
    keeper.look()
    assert world.notes_store.standings("v1")["r1"].said_at == world.now
    world.roll_out(rolled_back(world.rollout, None, WHY))
    until(lambda: ready(keeper, "v0"), "the candidate to go")
    world.now = NOW + timedelta(hours=2)
    keeper.look()
    assert world.notes_store.standings("v1")["r1"].said_at == NOW + timedelta(hours=1)


def test_a_bug_where_engines_are_swapped_ends_no_line(world: RolloutWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world.release("v1")
    world.roll_out(shadow("v0", "v1"))
    keeper = world.keeper()
    monkeypatch.setattr("inspector.pipeline.rollout_keeper.watched", lambda *_: 1 / 0)
    until(lambda: keeper.apply_pending() and (keeper.look() or bool(world.troubles)), "the bug to be told")
    assert keeper.engines.weights_version == "v0"
    assert "a bug beside the line: ZeroDivisionError" in world.troubles[0]
