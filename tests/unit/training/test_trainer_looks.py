"""That a trainer looked and was done is noted: from outside, one that has nothing to do looks like one that is dead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from refresh_kit import NOW
from trainer_world import Outside, away, outside

from inspector.apps.trainer.attempt import NothingToDo
from inspector.domain.errors import ServiceUnavailableError
from inspector.domain.release import Rollout, RolloutStage


@pytest.fixture
def idle(tmp_path: Path) -> Outside:
    """A line whose weights are pinned: there is nothing to do."""
    world = outside(tmp_path)
    serving = world.world().serving()
    pinned = Rollout(1, serving.version, None, RolloutStage.FULL, 0.1, True, None, "anna", "-", NOW)
    world.serving = replace(serving, rollout=pinned)
    return world


def test_a_look_that_finds_nothing_to_do_is_noted(idle: Outside) -> None:
    assert isinstance(idle.attempt(), NothingToDo)
    assert idle.runs.looks == 1


def test_a_look_that_finds_another_trainer_at_work_or_fails_is_not(tmp_path: Path) -> None:
    world = outside(tmp_path)
    world.lock.take("another, which may hang")
    assert isinstance(world.attempt(), NothingToDo)
    world._serving = away  # type: ignore[method-assign, assignment]
    with pytest.raises(ServiceUnavailableError):
        world.attempt()
    assert world.runs.looks == 0


def test_what_came_of_a_look_is_not_lost_with_the_note(
    idle: Outside, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(idle.runs, "looked", away)
    assert isinstance(idle.attempt(), NothingToDo)
    assert "not noted" in caplog.text
