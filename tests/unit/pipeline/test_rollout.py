"""Which version serves which camera, and which way a rollout may go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.domain.errors import BadInputError
from inspector.domain.records import from_json, to_json
from inspector.domain.release import Rollout, RolloutStage
from inspector.pipeline.rollout import (
    Decision,
    canaries,
    canary_place,
    first_rollout,
    heeding,
    offered,
    pinned_to,
    promoted,
    rolled_back,
    serves_otherwise,
    share_with_a_canary,
    supersedes,
    unpinned,
    version_for,
    wanted_versions,
    watched,
)

NOW = datetime(2026, 5, 1, tzinfo=UTC)
WHY = Decision("someone", "a reason", NOW)
DAY = timedelta(hours=24)
FIRST = first_rollout("v1", WHY)
SHADOW = offered(FIRST, "v2", WHY)
CANARY = promoted(SHADOW, RolloutStage.CANARY, 0.3, WHY)
FULL = promoted(CANARY, RolloutStage.FULL, 1.0, WHY)

versions = st.sampled_from(["v1", "v2", "v3", "v4"])
cameras = st.text(min_size=1, max_size=20)


def _kept(do: Callable[[Rollout], Rollout]) -> Callable[[Rollout], Rollout]:
    """A step that is refused changes nothing."""

    def step(rollout: Rollout) -> Rollout:
        try:
            return do(rollout)
        except BadInputError:
            return rollout

    return step


steps = st.one_of(
    versions.map(lambda v: _kept(lambda r: offered(r, v, WHY))),
    st.floats(0, 1).map(lambda share: _kept(lambda r: promoted(r, RolloutStage.CANARY, share, WHY))),
    st.just(_kept(lambda r: promoted(r, RolloutStage.FULL, 1.0, WHY))),
    st.none().map(lambda _: _kept(lambda r: rolled_back(r, None, WHY))),
    versions.map(lambda v: _kept(lambda r: rolled_back(r, v, WHY))),
    versions.map(lambda v: _kept(lambda r: pinned_to(r, v, WHY))),
    st.just(_kept(lambda r: unpinned(r, WHY))),
)
rollouts = st.lists(steps, max_size=12).map(lambda taken: _played(taken))


def _played(taken: list[Callable[[Rollout], Rollout]]) -> Rollout:
    rollout = FIRST
    for step in taken:
        after = step(rollout)
        assert after is rollout or after.revision == rollout.revision + 1
        rollout = after
    return rollout


@settings(deadline=None)
@given(rollouts)
def test_whatever_was_done_a_rollout_is_whole_and_survives_the_topic(rollout: Rollout) -> None:
    assert from_json(Rollout, to_json(rollout)) == rollout
    wanted = wanted_versions(rollout)
    assert wanted[0] == rollout.stable_version
    assert len(wanted) <= 2
    assert len(set(wanted)) == len(wanted)


@settings(deadline=None)
@given(rollouts, cameras, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_of_canaries_only_adds_cameras(rollout: Rollout, camera: str, a: float, b: float) -> None:
    low, high = sorted((a, b))
    less, more = (replace(CANARY, canary_share=share) for share in (low, high))
    if version_for(less, camera) == "v2":
        assert version_for(more, camera) == "v2"
    assert version_for(rollout, camera) in wanted_versions(rollout)


def test_shares_of_canaries_are_kept_by_many_cameras_and_by_every_process() -> None:
    places = [canary_place(f"cam{n}") for n in range(5000)]
    assert abs(sum(place < 0.1 for place in places) / 5000 - 0.1) < 0.015
    # Another process, another machine, another year: the same cameras.
    assert canary_place("cam1") == pytest.approx(0.97003, abs=1e-5)


def test_no_camera_is_served_by_a_candidate_in_shadow_and_all_are_when_it_is_promoted() -> None:
    assert {version_for(SHADOW, f"cam{n}") for n in range(100)} == {"v1"}
    assert {version_for(CANARY, f"cam{n}") for n in range(100)} == {"v1", "v2"}
    assert {version_for(FULL, f"cam{n}") for n in range(100)} == {"v2"}
    assert (FULL.candidate_version, FULL.previous_version) == (None, "v1")


@settings(deadline=None)
@given(rollouts, st.sets(versions))
def test_a_vetoed_version_serves_nobody_unless_a_person_pinned_it_or_there_is_no_other(
    rollout: Rollout, vetoed: set[str]
) -> None:
    found = heeding(rollout, vetoed)
    if rollout.pinned:
        assert found == rollout
        return
    assert found.candidate_version not in vetoed
    assert found.previous_version not in vetoed
    if found.stable_version in vetoed:
        assert rollout.previous_version is None or rollout.previous_version in vetoed
    assert heeding(found, vetoed) == found


def test_a_rollback_takes_the_candidate_off_and_then_the_version_before() -> None:
    assert rolled_back(CANARY, None, WHY).stable_version == "v1"
    assert rolled_back(CANARY, None, WHY).candidate_version is None
    back = rolled_back(FULL, None, WHY)
    assert (back.stable_version, back.previous_version) == ("v1", None)
    with pytest.raises(BadInputError, match="weights rollback VERSION"):
        rolled_back(back, None, WHY)
    assert rolled_back(back, "v7", WHY).stable_version == "v7"


def test_a_pin_keeps_trainers_out_and_a_person_takes_it_off() -> None:
    pinned = pinned_to(CANARY, "v1", WHY)
    for step in (
        lambda: offered(pinned, "v3", WHY),
        lambda: promoted(pinned, RolloutStage.FULL, 1.0, WHY),
    ):
        with pytest.raises(BadInputError, match="unpin"):
            step()
    assert heeding(pinned, {"v1"}) == pinned
    assert offered(unpinned(pinned, WHY), "v3", WHY).candidate_version == "v3"


def test_what_is_on_trial_is_the_candidate_and_for_a_while_what_was_promoted() -> None:
    on_trial = watched(CANARY, NOW, DAY)
    assert on_trial is not None
    assert (on_trial.subject, on_trial.reference, on_trial.since) == ("v2", "v1", NOW)
    assert watched(FULL, NOW + timedelta(hours=23), DAY) == on_trial
    assert watched(FULL, NOW + timedelta(hours=25), DAY) is None
    # A clock that was set back by a year must not end the watch.
    assert watched(FULL, NOW - timedelta(days=365), DAY) == on_trial
    assert watched(rolled_back(FULL, None, WHY), NOW, DAY) is None
    # A later candidate that was taken off does not put a version of long ago on trial again.
    later = Decision("someone", "a reason", NOW + timedelta(days=30))
    taken_off = rolled_back(offered(FULL, "v3", later), None, later)
    assert (taken_off.stable_version, taken_off.previous_version) == ("v2", "v1")
    assert watched(taken_off, later.at, DAY) is None
    assert watched(heeding(offered(FULL, "v3", later), {"v3"}), later.at, DAY) is None
    assert watched(pinned_to(CANARY, "v2", WHY), NOW, DAY) is None


@pytest.mark.parametrize(
    "change",
    [
        {"candidate_version": None},
        {"stage": RolloutStage.FULL},
        {"candidate_version": "v1"},
        {"canary_share": 1.5},
        {"stable_version": "../../etc"},
        {"revision": 0},
        {"revision": 10**400},
        {"decided_at": NOW.replace(tzinfo=None)},
        {"stable_since": NOW.replace(tzinfo=None)},
        {"offered_at": NOW.replace(tzinfo=None)},
        {"decided_at": datetime.max.replace(tzinfo=UTC)},
    ],
)
def test_a_rollout_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadInputError):
        replace(CANARY, **change)  # type: ignore[arg-type]


def test_an_old_veto_never_comes_back_to_serve_whatever_was_published_since() -> None:
    # v2 served and was vetoed; v3 is offered, promoted, and vetoed as well: v1 is the last good one, not v2.
    v3 = offered(heeding(FULL, {"v2"}), "v3", WHY)
    assert (v3.stable_version, v3.candidate_version) == ("v1", "v3")
    served = promoted(v3, RolloutStage.FULL, 1.0, WHY)
    assert heeding(served, {"v2", "v3"}).stable_version == "v1"
    # Nor does a record that still names it as the one before.
    stale = promoted(offered(FULL, "v3", WHY), RolloutStage.FULL, 1.0, WHY)
    assert heeding(stale, {"v2"}).previous_version is None
    with pytest.raises(BadInputError, match="weights rollback VERSION"):
        rolled_back(heeding(stale, {"v2"}), None, WHY)


def test_a_version_that_is_offered_again_is_another_trial_and_one_that_goes_on_is_the_same() -> None:
    def trial(rollout: Rollout, at: datetime = NOW) -> object:
        return watched(rollout, at, DAY)

    assert trial(SHADOW) == trial(CANARY) == trial(FULL)
    later = Decision("someone", "again", NOW + timedelta(days=7))
    again = offered(rolled_back(CANARY, None, WHY), "v2", later)
    assert trial(again, later.at) != trial(CANARY)


@settings(deadline=None)
@given(st.floats(0.001, 1), st.sets(cameras, max_size=12))
def test_a_share_is_raised_no_further_than_to_the_first_camera(share: float, names: set[str]) -> None:
    enough = share_with_a_canary(share, names)
    chosen = canaries(enough, names)
    if not names or canaries(share, names):
        assert enough == share
    else:
        assert chosen == [min(names, key=canary_place)]
    assert replace(CANARY, canary_share=enough).canary_share == enough


def test_the_first_of_two_records_of_one_number_holds_and_a_topic_made_anew_is_followed() -> None:
    assert supersedes(CANARY, SHADOW)
    assert not supersedes(SHADOW, CANARY)
    rival = replace(promoted(SHADOW, RolloutStage.FULL, 1.0, WHY), revision=CANARY.revision)
    assert not supersedes(rival, CANARY)
    anew = first_rollout("v1", Decision("someone", "the topic was lost", NOW + timedelta(hours=1)))
    assert supersedes(anew, CANARY)


def test_what_serves_is_told_apart_from_what_is_kept_behind_it() -> None:
    assert serves_otherwise(FULL, heeding(FULL, {"v2"}))
    assert not serves_otherwise(FULL, heeding(FULL, {"v1"}))
