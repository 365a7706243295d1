"""Whether a version on trial goes on, back, or waits: what a timer or the trainer does with a rollout."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from inspector.domain.release import Rollout, RolloutStage
from inspector.pipeline.comparison import Comparison
from inspector.pipeline.rollout import Decision, first_rollout, offered, pinned_to, promoted, watched
from inspector.pipeline.rollout_advice import Evidence, Move, Needed, advise, given_way, living
from inspector.pipeline.rollout_guard import GuardLimits
from inspector.pipeline.rollout_ports import Standing

NOW = datetime(2026, 5, 1, tzinfo=UTC)
WHY = Decision("someone", "a reason", NOW)
SHADOW = offered(first_rollout("v1", WHY), "v2", WHY)
CANARY = promoted(SHADOW, RolloutStage.CANARY, 0.3, WHY)
FULL = promoted(CANARY, RolloutStage.FULL, 1.0, WHY)
SOUND = Comparison(served=600, pairs=600, alarms_both=60)
READY = {"a": Standing(1000), "b": Standing(1000)}


def move(
    rollout: Rollout,
    found: Comparison = SOUND,
    standings: dict[str, Standing] | None = None,
    wrong: dict[str, tuple[int, int]] | None = None,
    hindrances: tuple[str, ...] = (),
) -> Move:
    seen = Evidence(standings or READY, found, wrong or {}, hindrances)
    return advise(rollout, watched(rollout, NOW, timedelta(hours=1)), seen, GuardLimits(), Needed()).move


@pytest.mark.parametrize(("rollout", "expected"), [(SHADOW, Move.PROMOTE), (CANARY, Move.PROMOTE), (FULL, Move.WAIT)])
def test_enough_frames_and_nothing_against_it_take_a_candidate_on(rollout: Rollout, expected: Move) -> None:
    assert move(rollout) is expected


@pytest.mark.parametrize("rollout", [SHADOW, CANARY, FULL])
def test_too_few_frames_are_waited_for(rollout: Rollout) -> None:
    assert move(rollout, Comparison(served=10, pairs=10)) is Move.WAIT
    assert move(rollout, Comparison()) is Move.WAIT


AGAINST = {
    "a refusal": {"standings": {**READY, "c": Standing(refused="NaN")}},
    "people": {"wrong": {"v1": (2, 200), "v2": (60, 100)}},
    "alarms": {"found": Comparison(served=600, pairs=600, alarms_subject_only=200)},
    "silence": {"found": Comparison(served=600, pairs=600, alarms_reference_only=200)},
    "failures": {"found": Comparison(served=600, pairs=600, failures=50)},
}


@pytest.mark.parametrize("what", AGAINST)
@pytest.mark.parametrize("rollout", [SHADOW, CANARY, FULL])
def test_what_speaks_against_a_version_takes_it_back_in_every_stage(rollout: Rollout, what: str) -> None:
    assert move(rollout, **AGAINST[what]) is Move.ROLL_BACK  # type: ignore[arg-type]


def test_a_pinned_rollout_and_one_without_a_version_on_trial_are_left_alone() -> None:
    refused = {"a": Standing(refused="NaN")}
    assert move(pinned_to(CANARY, "v2", WHY), standings=refused) is Move.WAIT
    assert move(first_rollout("v2", WHY), standings=refused) is Move.WAIT


def test_a_veto_takes_effect_however_long_ago_the_version_was_promoted() -> None:
    for rollout in (SHADOW, CANARY, FULL):
        assert "too many alarms" in (given_way(rollout, {"v2": "too many alarms"}) or "")
    # One that changes nothing of what serves is no step back, and a pin is a person's word.
    assert given_way(FULL, {"v1": "long ago"}) is None
    assert given_way(pinned_to(CANARY, "v2", WHY), {"v2": "x"}) is None


@pytest.mark.parametrize("rollout", [SHADOW, CANARY])
def test_what_a_candidate_lacks_or_cannot_be_compared_in_keeps_it_where_it_is(rollout: Rollout) -> None:
    assert move(rollout, hindrances=("no bank for cam1",)) is Move.WAIT
    assert move(rollout, Comparison(served=600, pairs=600, incomparable=700)) is Move.WAIT
    assert move(rollout, Comparison(served=600, pairs=600, incomparable=30)) is Move.PROMOTE
    assert move(rollout, hindrances=("no bank for cam1",), wrong={"v1": (2, 200), "v2": (60, 100)}) is Move.ROLL_BACK


def test_an_inspector_that_is_gone_and_an_earlier_trial_refuse_nothing() -> None:
    def said(minutes_ago: float) -> dict[str, Standing]:
        return {"a": Standing(refused="no memory", said_at=NOW - timedelta(minutes=minutes_ago))}

    assert living(said(1), NOW) == said(1)
    assert living(said(1), NOW, since=NOW - timedelta(minutes=2)) == said(1)
    assert living(said(1), NOW, since=NOW) == {}
    assert living(said(20), NOW) == {}
    assert living({"a": Standing(refused="of before")}, NOW) == {}
