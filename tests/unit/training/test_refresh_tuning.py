"""Tuning within a budget: it ends in time with what it has, goes on after a kill, and takes less memory when told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from training_kit import TINY, MadeUp

import inspector.training.refresh.tuning as tuning
from inspector.dapo.prompt_weights import init_prompt_weights
from inspector.domain.errors import InspectorError
from inspector.domain.product import Vocabulary
from inspector.training.options import TrainingOptions, TrainingStoppedError
from inspector.training.refresh.tuning import Budget, Tuned, steps_done, tune
from inspector.training.trainer import Made

OPTIONS = TrainingOptions(epochs=4, batch_size=4, seed=3)  # three steps an epoch
ALL_STEPS = 12
AMPLE = Budget(seconds=1e9, checkpoint_every_s=0)


@pytest.fixture(scope="module")
def start() -> Made:
    return init_prompt_weights(TINY, Vocabulary(()), 0)


def run(
    folder: Path, start: Made, budget: Budget = AMPLE, stop: Callable[[], bool] = lambda: False, **more: object
) -> Tuned:
    return tune(TINY, MadeUp(), OPTIONS, folder, start, budget, stop=stop, **more)  # type: ignore[arg-type]


def ticking(step_s: float) -> Callable[[], float]:
    """A clock that goes on by so much whenever it is looked at."""
    ticks: Iterator[int] = iter(range(10**9))
    return lambda: next(ticks) * step_s


def same(one: Made, other: Made) -> bool:
    mine, theirs = one[0].state_dict(), other[0].state_dict()
    return all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_it_goes_on_from_the_weights_that_serve_and_makes_all_steps(tmp_path: Path, start: Made) -> None:
    tuned = run(tmp_path, start)
    assert tuned.steps == ALL_STEPS
    assert tuned.made[1].trained
    assert not same(tuned.made, start)


def test_a_budget_ends_it_early_with_weights_and_another_life_does_not_get_it_again(
    tmp_path: Path, start: Made
) -> None:
    short = Budget(seconds=70.0, checkpoint_every_s=0)
    tuned = run(tmp_path / "a", start, short, clock=ticking(1.0))
    assert 1 <= tuned.steps < ALL_STEPS
    assert tuned.made[1].trained
    again = run(tmp_path / "a", start, short, clock=ticking(1.0))  # as after a kill right after the last step
    assert (again.steps, same(again.made, tuned.made)) == (tuned.steps, True)


def test_a_budget_too_small_for_a_step_says_so(tmp_path: Path, start: Made) -> None:
    with pytest.raises(InspectorError, match=r"one optimiser step within trainer\.budget_s"):
        run(tmp_path, start, Budget(seconds=0.5), clock=ticking(1.0))


def test_stopped_and_gone_on_with_it_ends_with_the_same_weights(tmp_path: Path, start: Made) -> None:
    whole = run(tmp_path / "whole", start)
    after_five = tmp_path / "parts"
    with pytest.raises(TrainingStoppedError):
        run(after_five, start, stop=lambda: steps_done(after_five) >= 5)
    assert 5 <= steps_done(after_five) < ALL_STEPS
    assert same(run(after_five, start).made, whole.made)


def test_a_step_above_the_memory_budget_is_followed_by_smaller_ones(
    tmp_path: Path, start: Made, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sizes: list[int | None] = []
    real = tuning.train

    def seen(*arguments: object, **named: object) -> Made:
        sizes.append(named["effort"].images_at_once)  # type: ignore[attr-defined]
        return real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(tuning, "train", seen)
    monkeypatch.setattr(tuning.PeakMemory, "peak_bytes", lambda _: 2**31 if sizes[-1] != 1 else 2**20)
    tuned = run(tmp_path, start, Budget(seconds=1e9, memory_bytes=2**30, checkpoint_every_s=0))
    assert (sizes, tuned.steps) == ([None, 2, 1], ALL_STEPS)
    assert "2 images in memory together" in caplog.text


def test_a_device_out_of_memory_is_met_with_smaller_steps_and_at_last_ends_it(
    tmp_path: Path, start: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int | None] = []

    def full(*_: object, **named: object) -> Made:
        sizes.append(named["effort"].images_at_once)  # type: ignore[attr-defined]
        raise torch.OutOfMemoryError

    monkeypatch.setattr(tuning, "train", full)
    with pytest.raises(torch.OutOfMemoryError):
        run(tmp_path, start)
    assert sizes == [None, 2, 1]
