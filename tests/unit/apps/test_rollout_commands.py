"""Which weights serve after people, timers and inspectors have changed a rollout, in whatever order."""

from __future__ import annotations

from datetime import timedelta

import pytest
from desk_kit import FORCE, ME, NOW, Desk, at_the_desk, without_models

from inspector.adapters.memory.log import announce
from inspector.apps import weights_list, weights_rollout
from inspector.domain.artefact import ArtefactKind
from inspector.domain.errors import BadInputError
from inspector.domain.release import Companion, RolloutStage
from inspector.pipeline.comparison import Comparison
from inspector.pipeline.rollout import Decision, Watched, canary_place, promoted, version_for
from inspector.pipeline.rollout_advice import Move
from inspector.pipeline.rollout_ports import Standing
from inspector.settings import Settings


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    without_models(monkeypatch)
    return at_the_desk(Desk(Settings.model_validate({"replica": "here"})), monkeypatch)


def test_a_vetoed_version_is_neither_a_parent_nor_gone_back_to_whatever_is_published_next(desk: Desk) -> None:
    desk.publish("v5")
    desk.promote("full")
    desk.store.veto("v5", "too many alarms", "an inspector")
    # What is offered next is on trial against what serves, and not against what was vetoed.
    desk.publish("v6")
    assert desk.trial == Watched("v6", "v0", NOW)
    assert desk.found.releases["v6"].parent_version == "v0"
    desk.promote("full")
    assert (desk.rollout.stable_version, desk.rollout.previous_version) == ("v6", "v0")
    desk.store.veto("v6", "too many alarms", "an inspector")
    assert desk.served == "v0"
    weights_rollout.rollback(desk.settings, None, ME)
    assert desk.rollout.stable_version == "v0"
    with pytest.raises(BadInputError, match="too many alarms"):
        weights_rollout.rollback(desk.settings, "v5", ME)


@pytest.mark.parametrize("change", ["promote", "pin", "rollback"])
def test_every_change_begins_from_what_is_left_of_a_record_after_vetoes(desk: Desk, change: str) -> None:
    desk.publish("v5")
    desk.promote("full")
    desk.publish("v6")
    # Both at once, by two inspectors: a record of before the vetoes still stands on the topic.
    for version in ("v5", "v6"):
        desk.store.veto(version, "too many alarms", "an inspector")
    if change == "promote":
        desk.promote("full", "v6", FORCE)
        assert (desk.rollout.stable_version, desk.rollout.previous_version) == ("v6", "v0")
    elif change == "pin":
        weights_rollout.pin(desk.settings, None, ME)
        assert desk.rollout.stable_version == "v0"
    else:
        weights_rollout.rollback(desk.settings, None, ME)
        assert (desk.rollout.stable_version, desk.rollout.candidate_version) == ("v0", None)


def test_a_veto_of_the_last_minute_of_a_watch_is_written_down_after_it(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.publish("v5")
    desk.promote("full")
    desk.store.veto("v5", "too many alarms", "an inspector")
    desk.now += timedelta(hours=25)
    capsys.readouterr()
    weights_list.show(desk.settings, as_json=False)
    shown = capsys.readouterr().out
    assert [line.split()[1] for line in shown.splitlines() if "v0" in line and "serves" in line] == ["serves"]
    assert "gone back by themselves" in shown
    advice = weights_rollout.advance(desk.settings)
    assert (advice.move, "too many alarms" in advice.reason) == (Move.ROLL_BACK, True)
    assert desk.rollout.stable_version == "v0"
    assert weights_rollout.advance(desk.settings).move is Move.WAIT


def test_figures_of_an_earlier_trial_neither_promote_nor_veto(desk: Desk) -> None:
    desk.publish("v5")
    desk.store.add(desk.trial, Comparison(served=700, pairs=600, alarms_both=30), [])
    weights_rollout.rollback(desk.settings, None, ME)
    desk.now += timedelta(days=7)
    desk.promote(None, "v5", FORCE)
    assert weights_rollout.advance(desk.settings).move is Move.WAIT
    # Vetoed by its figures and forced, it begins anew: the same figures are no reason any more.
    desk.store.add(desk.trial, Comparison(pairs=600, alarms_subject_only=300), [])
    assert weights_rollout.advance(desk.settings).move is Move.ROLL_BACK
    desk.now += timedelta(hours=1)
    desk.promote("canary", "v5", FORCE)
    assert weights_rollout.advance(desk.settings).move is Move.WAIT
    assert desk.store.vetoes(["v5"]) == {}


def test_a_replica_that_is_gone_refuses_nothing(desk: Desk) -> None:
    desk.publish("v5")
    desk.store.report(desk.rollout.versions[1], "gone", Standing(refused="no memory"))
    with pytest.raises(BadInputError, match="refused by gone"):
        desk.promote()
    desk.now += timedelta(minutes=10)
    desk.promote()
    assert weights_rollout.advance(desk.settings).move is Move.WAIT


def test_a_veto_is_lifted_only_when_what_a_person_wants_stands(desk: Desk) -> None:
    desk.publish("v5")
    weights_rollout.rollback(desk.settings, None, ME)
    weights_rollout.pin(desk.settings, "v0", ME)
    with pytest.raises(BadInputError, match="unpin"):
        desk.promote("full", "v5", FORCE)
    assert "v5" in desk.store.vetoes(["v5"])


def test_a_rollback_holds_though_another_record_takes_the_place_of_its_own(desk: Desk) -> None:
    desk.publish("v5")
    desk.promote("canary")
    before = desk.rollout
    weights_rollout.rollback(desk.settings, None, ME)
    # A trainer that had looked before promoted what was on trial "v6", and died before it could see the rollback.
    late = promoted(before, RolloutStage.FULL, 1.0, Decision("the trainer", "enough", NOW))
    announce(desk.broker, "inspection.weights", late)
    assert desk.rollout.stable_version == "v5"
    assert desk.served == "v0"


def test_a_canary_serves_at_least_one_camera_that_sends(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.cameras = {f"cam{n}": NOW - timedelta(minutes=n) for n in range(1, 6)}
    assert min(map(canary_place, desk.cameras)) > 0.1
    desk.cameras["unplugged"] = NOW - timedelta(days=30)
    desk.publish("v5")
    desk.promote("canary")
    served = [camera for camera in desk.cameras if version_for(desk.rollout, camera) == "v5"]
    assert [camera for camera in served if camera != "unplugged"] == [
        min(desk.cameras.keys() - {"unplugged"}, key=canary_place)
    ]
    assert "canaries: 1 of the 5 cameras that send" in capsys.readouterr().out
    # A timer does so too; and where the canary went silent meanwhile, it says what is wrong.
    desk.cameras = {"cam1": NOW}
    advice = weights_rollout.advance(desk.settings)
    assert "none of the 1 cameras that send is a canary" in advice.reason


@pytest.mark.parametrize("kind", [ArtefactKind.BANK, ArtefactKind.CALIBRATION])
def test_no_camera_loses_its_bank_or_thresholds_unless_a_person_says_so(
    desk: Desk, kind: ArtefactKind, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.publish("v5")
    desk.announce(kind, "cam1", "v0")
    desk.store.add(desk.trial, Comparison(pairs=600, served=600), [])
    for to in ("canary", "full"):
        with pytest.raises(BadInputError, match=rf"none for cam1 \({kind}\).*--force"):
            desk.promote(to)
    with pytest.raises(BadInputError, match="cam1"):
        weights_rollout.pin(desk.settings, "v5", ME)
    advice = weights_rollout.advance(desk.settings)
    assert (advice.move, "cam1" in advice.reason) == (Move.WAIT, True)
    capsys.readouterr()
    weights_list.show(desk.settings, as_json=False)
    assert f"cannot go on: no bank or calibration of its own for cam1 ({kind})" in " ".join(
        capsys.readouterr().out.split()
    )
    # Enrolled while it is on trial, it has one; and a camera that has long been gone needs none.
    desk.announce(kind, "cam1", "v5")
    desk.announce(kind, "cam2", "v0")
    desk.cameras = {"cam1": NOW, "cam2": NOW - timedelta(days=30)}
    assert weights_rollout.advance(desk.settings).move is Move.PROMOTE
    desk.announce(kind, "cam3", "v0")
    with pytest.raises(BadInputError, match="cam3"):
        desk.promote("full")
    desk.promote("full", request=FORCE)
    assert desk.rollout.stable_version == "v5"


def test_companions_that_come_with_weights_are_enough(desk: Desk) -> None:
    desk.publish("v5")
    desk.announce(ArtefactKind.BANK, "cam1", desk.rollout.stable_version)
    companion = Companion(ArtefactKind.BANK, "cam1", "b" * 64)
    desk.publish("v6", (companion,))
    desk.promote("full")
    assert desk.rollout.stable_version == "v6"
