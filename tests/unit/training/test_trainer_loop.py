"""The trainer that keeps running: troubles pass, samples are gathered in time, it begins from what inspectors serve."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from trainer_world import Outside, away, outside

import inspector.apps.trainer.outside as real_outside
import inspector.apps.trainer.run as run
from inspector.adapters.kafka.weights_feed import PublishedWeights
from inspector.adapters.memory.rollout_store import MemoryRolloutStore
from inspector.apps import model_wiring
from inspector.apps.trainer.attempt import NothingToDo
from inspector.apps.trainer.telemetry import TrainerTelemetry
from inspector.apps.trainer.world import World
from inspector.dapo.prompt_weights import init_prompt_weights
from inspector.dapo.weights_file import weights_bytes
from inspector.domain.errors import BadInputError
from inspector.domain.product import Vocabulary
from inspector.domain.release import Rollout, RolloutStage, WeightsRelease
from inspector.pipeline.rollout_advice import Advice, Move

NOW = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.fixture
def world(tmp_path: Path) -> Outside:
    return outside(tmp_path, poll_s=0.01, gather_s=1000.0)


def keep_training(
    monkeypatch: pytest.MonkeyPatch, world: Outside, attempts: list[Callable[[], Any]], **more: Any
) -> None:
    """Run until all ``attempts`` were made, and once more."""
    stop = threading.Event()

    def attempt(*_: object, **__: object) -> NothingToDo:
        if not attempts:
            stop.set()
            return NothingToDo("the end")
        attempts.pop(0)()
        return NothingToDo("nothing yet")

    monkeypatch.setattr(run.Attempts, "attempt", attempt)
    made = run.Attempts(world.settings, replace(world.world(), **more), world.lock, stop.is_set, print)  # type: ignore[arg-type]
    run._Keeper(world.settings, made, stop, TrainerTelemetry(world.settings)).until_stopped()
    assert not attempts


def test_what_is_away_comes_back(
    world: Outside, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def another_model() -> None:
        raise BadInputError("weights made for this model", "others", "set model.name")

    keep_training(monkeypatch, world, [away, another_model, lambda: None])
    assert "tried again" in caplog.text
    assert "weights made for this model" in caplog.text


def test_samples_are_gathered_at_first_and_then_in_time_and_the_rollout_is_looked_at_each_time(
    world: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathered: list[object] = []
    looked: list[int] = []

    def advance() -> Advice:
        looked.append(1)
        return Advice(Move.PROMOTE, "enough was compared")

    idle: Callable[[], Any] = lambda: None  # noqa: E731  # one of a list
    keep_training(monkeypatch, world, [idle, idle, idle], keep_samples=gathered.append, advance=advance)
    assert (len(gathered), len(looked)) == (1, 4)


def test_samples_that_cannot_be_kept_stop_neither_the_rollout_nor_the_training(
    world: Outside, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looked: list[int] = []

    def advance() -> Advice:
        looked.append(1)
        return Advice(Move.WAIT, "-")

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    attempts: list[Callable[[], Any]] = [lambda: None, lambda: None]
    keep_training(monkeypatch, world, attempts, keep_samples=full, advance=advance)
    assert len(looked) == 3
    assert "No space left" in caplog.text


@pytest.fixture
def published(world: Outside, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    """Makes the real look at what serves, on a topic that says so."""
    own = model_wiring.fresh_weights(world.settings)
    weights, manifest = init_prompt_weights(model_wiring.model_spec(world.settings), Vocabulary(("rust",)), 5)
    data, sealed = weights_bytes(weights, manifest)
    artefact = world.artefacts.put(data)
    release = WeightsRelease(sealed.version, artefact, sealed.model, NOW, own[1].version)

    def make(*, vetoed: bool = False, announced: bool = True, stable: str | None = None) -> Any:
        serving = stable or sealed.version
        rollout = Rollout(3, serving, None, RolloutStage.FULL, 0.0, False, own[1].version, "ben", "-", NOW)
        found = PublishedWeights({sealed.version: release} if announced else {}, rollout)
        store = MemoryRolloutStore()
        if vetoed:
            store.veto(serving, "alarms", "r1")
        monkeypatch.setattr(real_outside, "read_weights", lambda *_: found)
        served = real_outside._serving(world.settings, None, world.artefacts, store)  # type: ignore[arg-type]
        return {sealed.version: "released", own[1].version: "own"}[served.version]

    return make


def test_the_parent_is_what_inspectors_serve(published: Callable[..., Any]) -> None:
    assert published() == "released"
    assert published(vetoed=True) == "own"


def test_stable_weights_that_are_nowhere_are_no_parent(published: Callable[..., Any]) -> None:
    with pytest.raises(BadInputError, match="publish them again"):
        published(announced=False)
