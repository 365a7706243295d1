"""Weights made worse on purpose, in six ways: both engines see the same pictures, and the gate refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import torch
from refresh_kit import NOW, png
from trainer_world import outside

from inspector.apps import wiring
from inspector.apps.trainer.one_run import OneRun
from inspector.dapo.prompt_weights import PromptWeights
from inspector.dapo.weights_file import weights_bytes
from inspector.domain.errors import BadInputError
from inspector.domain.frame import Frame, FrameMeta, FrameSource
from inspector.domain.gate import GateDecision, GateLimits
from inspector.pipeline.gate import decide
from inspector.settings import Settings
from inspector.training.refresh.companions import calibrate_for_judging
from inspector.training.refresh.judged_frames import JudgedFrame
from inspector.training.refresh.judging import judge_both
from inspector.training.trainer import Made
from inspector.vision.engine import InspectionEngine

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

NORMALS, DEFECTIVE, SET_UP = 80, 60, 32
LIMITS = GateLimits(resamples=1000, latency_ratio=100.0)  # tiny engines on a busy machine: time is no matter here


def picture(number: int, defective: bool) -> Frame:
    meta = FrameMeta(f"f{number}-{defective}", "cam1", "", "plate", NOW, "image/png")
    return Frame(meta, FrameSource("t", 0, number), png(50_000 + number, square=defective))


def frames() -> Iterator[JudgedFrame]:
    for number in range(NORMALS):
        yield JudgedFrame(picture(number, False), False, None)
    for number in range(NORMALS, NORMALS + DEFECTIVE):
        yield JudgedFrame(picture(number, True), True, None)


@dataclass(frozen=True)
class Learnt:
    """Fresh weights, and what came of tuning them until they see the squares."""

    settings: Settings
    fresh: Made
    tuned: Made

    def engine(self, made: Made) -> InspectionEngine:
        """Return an engine with thresholds of its own, as a candidate gets them."""
        engine = wiring.engine_of(self.settings, *made, self.settings.domain_products(), {}, allow_unknown=True)
        good = [engine.decode(picture(1000 + number, False)) for number in range(SET_UP)]
        with suppress(BadInputError):  # weights that give no numbers have no thresholds either
            calibrate_for_judging(engine, "cam1", good, 0.01, datetime.now(UTC))
        return engine

    def decided(self, current: Made, candidate: Made) -> GateDecision:
        evidence = judge_both(self.engine(current), self.engine(candidate), frames())
        return decide(evidence, LIMITS, 0)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    world = outside(
        tmp_path_factory.mktemp("week"), epochs=20, lr=3e-3, core_scenes=0, core_judged=0, synthetic_per_camera=24
    )
    kept: list[Made] = []
    patch = pytest.MonkeyPatch()
    real = OneRun._decided

    def keep(run: OneRun) -> GateDecision:
        found = real(run)
        kept.append(wiring.load_prompt_weights(world.settings, run._folder.candidate))
        return found

    with patch.context() as patched:
        patched.setattr(OneRun, "_decided", keep)
        world.attempt()
    return Learnt(world.settings, world.world().serving().made, kept[0])


def test_weights_that_learnt_pass(learnt: Learnt) -> None:
    decision = learnt.decided(learnt.fresh, learnt.tuned)
    assert decision.accepted, decision.reasons


def noise(weights: PromptWeights) -> None:
    torch.manual_seed(0)
    for parameter in weights.parameters():
        parameter.add_(torch.randn_like(parameter) * 2 * parameter.std())


def forgotten(weights: PromptWeights) -> None:
    for parameter in (weights.normal_context, weights.abnormal_context):
        parameter.zero_()


def upside_down(weights: PromptWeights) -> None:
    normal = weights.normal_context.clone()
    weights.normal_context.copy_(weights.abnormal_context)
    weights.abnormal_context.copy_(normal)


def blind(weights: PromptWeights) -> None:
    for adapter in weights.adapters:
        adapter.weight.zero_()


def mirrored(weights: PromptWeights) -> None:
    for adapter in weights.adapters:
        adapter.weight.neg_()


def no_numbers(weights: PromptWeights) -> None:
    weights.visual_tokens.fill_(float("nan"))


WORSE: Sequence[Callable[[PromptWeights], None]] = (noise, forgotten, upside_down, blind, mirrored, no_numbers)


@pytest.mark.parametrize("worsen", WORSE, ids=[way.__name__ for way in WORSE])
def test_weights_made_worse_are_refused(learnt: Learnt, worsen: Callable[[PromptWeights], None]) -> None:
    weights, manifest = deepcopy(learnt.tuned)
    with torch.no_grad():
        worsen(weights)
    decision = learnt.decided(learnt.tuned, (weights, weights_bytes(weights, manifest)[1]))
    assert not decision.accepted
    if worsen is no_numbers:
        assert "the candidate fails the golden batch" in decision.reasons
        return
    assert decision.frozen_gain is not None
    assert decision.frozen_gain.high < 0, decision.reasons
    assert any(reason.startswith("worse on the frozen set") for reason in decision.reasons)
