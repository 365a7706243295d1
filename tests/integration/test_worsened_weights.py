"""Weights made worse on purpose, in six ways: both engines see the same pictures, and the gate refuses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import torch
from frames import part, png
from trainer_line import pictures

from inspector.apps import model_wiring
from inspector.dapo.prompt_weights import PromptWeights
from inspector.dapo.weights_file import weights_bytes
from inspector.domain.errors import BadInputError
from inspector.domain.frame import Frame, FrameMeta, FrameSource
from inspector.domain.gate import GateDecision, GateLimits
from inspector.domain.product import Vocabulary
from inspector.pipeline.gate import decide
from inspector.settings import Settings
from inspector.training.options import TrainingOptions
from inspector.training.refresh.companions import calibrate_for_judging
from inspector.training.refresh.inputs import KnownFrame
from inspector.training.refresh.judged_frames import JudgedFrame
from inspector.training.refresh.judging import judge_both
from inspector.training.refresh.known_frames import KnownFrameExamples
from inspector.training.refresh.tuning import Budget, tune
from inspector.training.trainer import Made
from inspector.vision.engine import InspectionEngine

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

NOW = datetime(2026, 11, 2, tzinfo=UTC)
WORDS = Vocabulary(("hole", "scratch"))
NORMAL, MARKED, SET_UP = 60, 40, 32
LIMITS = GateLimits(resamples=1000, latency_ratio=100.0)  # time on a busy machine is no matter here


def picture(number: int, marked: bool) -> Frame:
    meta = FrameMeta(f"f{number}", "cam1", "", "default", NOW, "image/png")
    return Frame(meta, FrameSource("t", 0, number), png(part(number, marked=marked)))


@dataclass(frozen=True)
class Learnt:
    """Fresh weights, and what came of tuning them on marked parts."""

    settings: Settings
    fresh: Made
    tuned: Made

    def decided(self, current: Made, candidate: Made) -> GateDecision:
        return decide(judge_both(self._engine(current), self._engine(candidate), self._frames()), LIMITS, 0)

    def _engine(self, made: Made) -> InspectionEngine:
        """Return an engine with a threshold of its own, as a candidate gets it."""
        engine = model_wiring.engine_of(self.settings, *made, self.settings.domain_products(), {}, allow_unknown=True)
        with suppress(BadInputError):  # weights that give no numbers have no threshold either
            good = [engine.decode(picture(500 + number, False)) for number in range(SET_UP)]
            calibrate_for_judging(engine, "cam1", good, 0.01, datetime.now(UTC))
        return engine

    @staticmethod
    def _frames() -> Iterator[JudgedFrame]:
        for number in range(NORMAL + MARKED):
            marked = number >= NORMAL
            yield JudgedFrame(picture(1000 + number, marked), marked, None)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory, tiny_model: str) -> Learnt:
    folder = tmp_path_factory.mktemp("learnt")
    settings = Settings(model={"name": tiny_model, "pretrained": "random", "engine": "torch", "threads": 1})  # type: ignore[arg-type]  # as in a file
    fresh = model_wiring.prompt_weights(settings)
    known = []
    for frame_id, image, box in pictures():
        sha256 = hashlib.sha256(image).hexdigest()
        (folder / sha256).write_bytes(image)
        marked = {} if box is None else {"anomalous": True, "defect_type": "hole", "boxes": (box,), "corrected": True}
        frame = KnownFrame(frame_id, "cam1", "default", NOW, "image/png", sha256, persons=("anna",), **marked)  # type: ignore[arg-type]
        known.append((frame, WORDS))
    source = KnownFrameExamples(known, folder, fresh[1].image_size_px, repeats=3)
    options = TrainingOptions(epochs=20, batch_size=8, lr=3e-3)
    spec = model_wiring.model_spec(settings)
    tuned = tune(spec, source, options, folder / "work", fresh, Budget(600.0), stop=lambda: False)
    return Learnt(settings, fresh, tuned.made)


def sealed(made: Made) -> Made:
    """Return weights under the version that is theirs."""
    return made[0], weights_bytes(*made)[1]


def test_weights_that_learnt_pass_before_those_that_did_not(learnt: Learnt) -> None:
    decision = learnt.decided(sealed(learnt.fresh), sealed(learnt.tuned))
    assert decision.accepted, decision.reasons


def noise(weights: PromptWeights, _: PromptWeights) -> None:
    torch.manual_seed(0)
    for parameter in weights.parameters():
        parameter.add_(torch.randn_like(parameter) * 2 * parameter.std())


def upside_down(weights: PromptWeights, _: PromptWeights) -> None:
    normal = weights.normal_context.clone()
    weights.normal_context.copy_(weights.abnormal_context)
    weights.abnormal_context.copy_(normal)


def forgotten(weights: PromptWeights, _: PromptWeights) -> None:
    for parameter in weights.parameters():
        parameter.zero_()


def cannot_tell(weights: PromptWeights, _: PromptWeights) -> None:
    weights.abnormal_context.copy_(weights.normal_context)


def untaught(weights: PromptWeights, fresh: PromptWeights) -> None:
    weights.load_state_dict(fresh.state_dict())


def no_numbers(weights: PromptWeights, _: PromptWeights) -> None:
    weights.visual_tokens.fill_(float("nan"))


WORSE: Sequence[Callable[[PromptWeights, PromptWeights], None]] = (
    noise,
    upside_down,
    forgotten,
    cannot_tell,
    untaught,
    no_numbers,
)


@pytest.mark.parametrize("worsen", WORSE, ids=[way.__name__ for way in WORSE])
def test_weights_made_worse_are_refused(learnt: Learnt, worsen: Callable[[PromptWeights, PromptWeights], None]) -> None:
    weights, manifest = deepcopy(learnt.tuned)
    with torch.no_grad():
        worsen(weights, learnt.fresh[0])
    decision = learnt.decided(sealed(learnt.tuned), sealed((weights, manifest)))
    assert not decision.accepted
    if worsen is no_numbers:
        assert "the candidate fails the golden batch" in decision.reasons
        return
    assert decision.frozen_gain is not None
    assert decision.frozen_gain.high < 0, decision.reasons
    assert any(reason.startswith("worse on the frozen set") for reason in decision.reasons)
