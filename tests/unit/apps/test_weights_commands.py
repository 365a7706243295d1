"""Publishing and rolling out a small model's weights by the commands' own code, on a topic and stores in memory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from inspector.adapters.kafka import weights_feed
from inspector.adapters.kafka.weights_feed import read_weights
from inspector.adapters.memory.broker import MemoryBroker
from inspector.adapters.memory.log import MemoryConfigFeed, MemoryWeightsFeed, announce
from inspector.adapters.memory.rollout_store import MemoryRolloutStore
from inspector.adapters.memory.store import MemoryArtefactStore
from inspector.apps import release, weights_rollout, wiring
from inspector.apps.release_loader import ReleaseLoader
from inspector.apps.weights_rollout import Request
from inspector.dapo.prompt_weights import init_prompt_weights
from inspector.dapo.weights_file import save_weights
from inspector.domain.errors import BadInputError
from inspector.domain.product import Vocabulary
from inspector.domain.release import Rollout, RolloutStage
from inspector.pipeline.comparison import Comparison
from inspector.pipeline.feedback_book import FeedbackBook
from inspector.pipeline.rollout_advice import Move
from inspector.settings import Settings

ME = Request("me", "the test")


@dataclass
class Desk:
    settings: Settings
    artefacts: MemoryArtefactStore
    store: MemoryRolloutStore
    file: Path

    @property
    def rollout(self) -> Rollout:
        found = read_weights(wiring.kafka_connection(self.settings), "inspection.weights").rollout
        assert found is not None
        return found


@pytest.fixture
def desk(tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    model = {"name": tiny_model, "pretrained": "random", "engine": "torch"}
    settings = Settings.model_validate({"model": model, "replica": "here"})
    broker, artefacts, store = MemoryBroker(), MemoryArtefactStore(), MemoryRolloutStore()
    for topic in ("inspection.config", "inspection.weights"):
        broker.create_topic(topic)

    def write(_connection: Any, topic: str, record: Any) -> None:
        announce(broker, topic, record)

    monkeypatch.setattr(wiring, "artefacts", lambda _: artefacts)
    monkeypatch.setattr(wiring, "rollout_store", lambda _: store)
    monkeypatch.setattr(weights_feed, "KafkaWeightsFeed", lambda _, topic: MemoryWeightsFeed(broker, topic))
    monkeypatch.setattr(weights_feed, "announce_rollout", write)
    monkeypatch.setattr(release, "announce_release", write)
    monkeypatch.setattr(release, "KafkaConfigFeed", lambda _, topic: MemoryConfigFeed(broker, topic))
    monkeypatch.setattr(weights_rollout, "read_book", lambda _, topic: FeedbackBook())
    file = tmp_path / "tuned.safetensors"
    save_weights(file, *init_prompt_weights(wiring.model_spec(settings), Vocabulary(()), 5))
    return Desk(settings, artefacts, store, file)


def test_weights_go_from_a_file_to_all_cameras_and_back(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    made = release.publish(desk.settings, desk.file, b'{"accepted": true}', by="the trainer", reason="better")
    own = made.parent_version
    assert own is not None
    rollout = desk.rollout
    assert (rollout.stable_version, rollout.candidate_version) == (own, made.weights_version)
    assert (rollout.stage, rollout.decided_by, rollout.reason) == (RolloutStage.SHADOW, "the trainer", "better")
    assert made.gate_report_version is not None
    assert desk.artefacts.get(made.gate_report_version) == b'{"accepted": true}'
    # Both can be loaded from the store alone, whatever becomes of the settings.
    published = read_weights(wiring.kafka_connection(desk.settings), "inspection.weights").releases
    loader = ReleaseLoader(desk.settings, desk.artefacts)
    assert {loader.load(each)[0].weights_version for each in published.values()} == {own, made.weights_version}

    # Repeating it, as a trainer does that was killed, takes nothing back.
    weights_rollout.promote(desk.settings, None, None, 0.5, ME)
    release.publish(desk.settings, desk.file)
    assert (desk.rollout.stage, desk.rollout.canary_share) == (RolloutStage.CANARY, 0.5)

    weights_rollout.promote(desk.settings, None, None, None, ME)
    assert (desk.rollout.stable_version, desk.rollout.previous_version) == (made.weights_version, own)
    weights_rollout.show(desk.settings, as_json=False)
    capsys.readouterr()
    weights_rollout.show(desk.settings, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown["rollout"]["stable_version"] == made.weights_version
    assert [each["weights_version"] for each in shown["releases"]] == [own, made.weights_version]
    weights_rollout.rollback(desk.settings, None, ME)
    assert desk.rollout.stable_version == own


def test_a_timer_takes_a_version_on_where_enough_was_seen_and_back_where_it_was_vetoed(desk: Desk) -> None:
    made = release.publish(desk.settings, desk.file)
    version = made.weights_version
    assert weights_rollout.advance(desk.settings).move is Move.WAIT
    desk.store.add(version, Comparison(pairs=600, alarms_both=30), [])
    assert weights_rollout.advance(desk.settings).move is Move.PROMOTE
    assert desk.rollout.stage is RolloutStage.CANARY
    desk.store.add(version, Comparison(served=600), [])
    assert weights_rollout.advance(desk.settings).move is Move.PROMOTE
    assert desk.rollout.stable_version == version
    desk.store.veto(version, "too many alarms", "an inspector")
    assert weights_rollout.advance(desk.settings).move is Move.ROLL_BACK
    assert (desk.rollout.stable_version, desk.rollout.previous_version) == (made.parent_version, None)
    assert weights_rollout.advance(desk.settings).move is Move.WAIT

    # What was vetoed comes back by a person's word alone.
    with pytest.raises(BadInputError, match="too many alarms"):
        release.publish(desk.settings, desk.file)
    with pytest.raises(BadInputError, match="--force"):
        weights_rollout.promote(desk.settings, version[:8], None, None, ME)
    weights_rollout.promote(desk.settings, version[:8], RolloutStage.FULL, None, Request("me", "checked", force=True))
    assert desk.rollout.stable_version == version
    assert desk.store.vetoes([version]) == {}


def test_a_pinned_line_is_published_to_and_not_changed(desk: Desk, tmp_path: Path) -> None:
    release.publish(desk.settings, desk.file)
    weights_rollout.pin(desk.settings, None, ME)
    other = tmp_path / "other.safetensors"
    save_weights(other, *init_prompt_weights(wiring.model_spec(desk.settings), Vocabulary(()), 6))
    before = desk.rollout
    made = release.publish(desk.settings, other)
    assert desk.rollout == before
    published = read_weights(wiring.kafka_connection(desk.settings), "inspection.weights").releases
    assert made.weights_version in published
    weights_rollout.unpin(desk.settings, ME)
    weights_rollout.promote(desk.settings, made.weights_version, None, None, ME)
    assert desk.rollout.candidate_version == made.weights_version


@pytest.mark.parametrize("version", ["", "nothing-begins-like-this"])
def test_a_version_that_nobody_published_is_refused_with_those_that_are(desk: Desk, version: str) -> None:
    with pytest.raises(BadInputError, match="weights publish FILE"):
        weights_rollout.rollback(desk.settings, version, ME)
    made = release.publish(desk.settings, desk.file)
    with pytest.raises(BadInputError, match=made.weights_version[:12]):
        weights_rollout.pin(desk.settings, version, ME)
