"""Publishing and rolling out a small model's weights by the commands' own code, on a topic and stores in memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from desk_kit import ME, NOW, Desk, at_the_desk

from inspector.apps import model_wiring, release, weights_list, weights_rollout
from inspector.apps.release_loader import ReleaseLoader
from inspector.apps.weights_rollout import Request
from inspector.dapo.prompt_weights import init_prompt_weights
from inspector.dapo.weights_file import save_weights
from inspector.domain.errors import BadInputError
from inspector.domain.product import Vocabulary
from inspector.domain.release import RolloutStage
from inspector.pipeline.comparison import Comparison
from inspector.pipeline.rollout_advice import Move
from inspector.settings import Settings


@pytest.fixture
def desk(tiny_model: str, monkeypatch: pytest.MonkeyPatch) -> Desk:
    model = {"name": tiny_model, "pretrained": "random", "engine": "torch"}
    return at_the_desk(Desk(Settings.model_validate({"model": model, "replica": "here"})), monkeypatch)


@pytest.fixture
def file(desk: Desk, tmp_path: Path) -> Path:
    return weights_file(desk, tmp_path, 5)


def weights_file(desk: Desk, folder: Path, seed: int) -> Path:
    path = folder / f"{seed}.safetensors"
    save_weights(path, *init_prompt_weights(model_wiring.model_spec(desk.settings), Vocabulary(()), seed))
    return path


def test_weights_go_from_a_file_to_all_cameras_and_back(
    desk: Desk, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = release.publish(desk.settings, file, b'{"accepted": true}', by="the trainer", reason="better")
    own = made.parent_version
    assert own is not None
    rollout = desk.rollout
    assert (rollout.stable_version, rollout.candidate_version) == (own, made.weights_version)
    assert (rollout.stage, rollout.decided_by, rollout.reason) == (RolloutStage.SHADOW, "the trainer", "better")
    assert made.gate_report_version is not None
    assert desk.artefacts.get(made.gate_report_version) == b'{"accepted": true}'
    # Both can be loaded from the store alone, whatever becomes of the settings.
    published = desk.found.releases
    loader = ReleaseLoader(desk.settings, desk.artefacts)
    assert {loader.load(each)[0].weights_version for each in published.values()} == {own, made.weights_version}

    # Repeating it, as a trainer does that was killed, takes nothing back.
    weights_rollout.promote(desk.settings, None, None, 0.5, ME)
    release.publish(desk.settings, file)
    assert (desk.rollout.stage, desk.rollout.canary_share) == (RolloutStage.CANARY, 0.5)

    weights_rollout.promote(desk.settings, None, None, None, ME)
    assert (desk.rollout.stable_version, desk.rollout.previous_version) == (made.weights_version, own)
    weights_list.show(desk.settings, as_json=False)
    capsys.readouterr()
    weights_list.show(desk.settings, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown["rollout"]["stable_version"] == made.weights_version
    assert [each["weights_version"] for each in shown["releases"]] == [own, made.weights_version]
    weights_rollout.rollback(desk.settings, None, ME)
    assert desk.rollout.stable_version == own
    assert desk.rollout.decided_at == NOW


def test_a_timer_takes_a_version_on_where_enough_was_seen_and_back_where_it_was_vetoed(desk: Desk, file: Path) -> None:
    made = release.publish(desk.settings, file)
    version = made.weights_version
    assert weights_rollout.advance(desk.settings).move is Move.WAIT
    desk.store.add(desk.trial, Comparison(pairs=600, alarms_both=30), [])
    assert weights_rollout.advance(desk.settings).move is Move.PROMOTE
    assert desk.rollout.stage is RolloutStage.CANARY
    desk.store.add(desk.trial, Comparison(served=600), [])
    assert weights_rollout.advance(desk.settings).move is Move.PROMOTE
    assert desk.rollout.stable_version == version
    desk.store.veto(version, "too many alarms", "an inspector")
    assert weights_rollout.advance(desk.settings).move is Move.ROLL_BACK
    assert (desk.rollout.stable_version, desk.rollout.previous_version) == (made.parent_version, None)
    assert weights_rollout.advance(desk.settings).move is Move.WAIT
    assert desk.rollout.revision == 4

    # What was vetoed comes back by a person's word alone.
    with pytest.raises(BadInputError, match="too many alarms"):
        release.publish(desk.settings, file)
    with pytest.raises(BadInputError, match="--force"):
        weights_rollout.promote(desk.settings, version[:8], None, None, ME)
    weights_rollout.promote(desk.settings, version[:8], RolloutStage.FULL, None, Request("me", "checked", force=True))
    assert desk.rollout.stable_version == version
    assert desk.store.vetoes([version]) == {}


def test_a_pinned_line_is_published_to_and_not_changed(desk: Desk, file: Path, tmp_path: Path) -> None:
    release.publish(desk.settings, file)
    weights_rollout.pin(desk.settings, None, ME)
    other = weights_file(desk, tmp_path, 6)
    before = desk.rollout
    made = release.publish(desk.settings, other)
    assert desk.rollout == before
    published = desk.found.releases
    assert made.weights_version in published
    weights_rollout.unpin(desk.settings, ME)
    weights_rollout.promote(desk.settings, made.weights_version, None, None, ME)
    assert desk.rollout.candidate_version == made.weights_version


@pytest.mark.parametrize("version", ["", "nothing-begins-like-this"])
def test_a_version_that_nobody_published_is_refused_with_those_that_are(desk: Desk, file: Path, version: str) -> None:
    with pytest.raises(BadInputError, match="weights publish FILE"):
        weights_rollout.rollback(desk.settings, version, ME)
    made = release.publish(desk.settings, file)
    with pytest.raises(BadInputError, match=made.weights_version[:12]):
        weights_rollout.pin(desk.settings, version, ME)
