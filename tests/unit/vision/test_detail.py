"""Which frames are looked at closely, and for what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from engine_kit import PLATE, SPEC, weights
from torch import Tensor

from inspector.domain.product import CameraMode, CameraSettings
from inspector.domain.scoring import BankLevels, ImageScore, ScoringSettings
from inspector.vision.bank_features import DETAIL, FINE, LEVELS, ZERO_SHOT
from inspector.vision.camera_book import CameraBook
from inspector.vision.detail_net import DetailNet
from inspector.vision.frame_pixels import FramePixels
from inspector.vision.raw_scorer import RawScorer


@dataclass(frozen=True, slots=True)
class Looks:
    """How many images each look was at: for their references, and what contrasts are made of."""

    compared: list[int] = field(default_factory=list)
    contrasts: list[int] = field(default_factory=list)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    found = Looks()

    def counted(real: Callable[[Any, Tensor], Any], counts: list[int]) -> Callable[[Any, Tensor], Any]:
        def look(of: Any, images: Tensor) -> Any:
            counts.append(len(images))
            return real(of, images)

        return look

    monkeypatch.setattr(DetailNet, "forward", counted(DetailNet.forward, found.compared))
    monkeypatch.setattr(DetailNet, "looks", counted(DetailNet.looks, found.contrasts))
    return found


def raw_scorer(levels: BankLevels = "all", image_score: ImageScore = "cls") -> RawScorer:
    made, manifest = weights()
    scoring = ScoringSettings(bank_levels=levels, image_score=image_score)
    return RawScorer(SPEC, made, manifest.text_mode, [PLATE.vocabulary], scoring)


@pytest.mark.parametrize("image_score", ["cls", "contrast"])
def test_only_frames_that_are_compared_are_looked_at_closely_and_only_the_others_for_their_contrast(
    image_score: ImageScore, looks: Looks
) -> None:
    scorer = raw_scorer(image_score=image_score)
    book = CameraBook(
        weights()[1],
        {"default": PLATE},
        {},
        allow_unknown=True,
        level_widths=scorer.level_widths(),
        tile=scorer.tile,
        scoring=scorer.scoring,
    )
    looks.compared.clear()
    book.set_camera("zero", CameraSettings(mode=CameraMode.ZERO_SHOT, image_threshold=1.0))
    book.set_camera("mutual", CameraSettings(mode=CameraMode.MUTUAL, image_threshold=1.0))
    rng = np.random.default_rng(0)
    side = scorer.image_size_px
    frames = [FramePixels(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)) for _ in range(12)]

    def expected(compared: list[int], contrasts: list[int]) -> Looks:
        return Looks(compared, contrasts) if image_score == "contrast" else Looks(compared)

    scorer.score(frames[:3], [book.plan("zero", "default")] * 3)
    assert looks == expected([], [3])
    cameras = ("zero", "mutual", "zero")
    scorer.score(frames[:3], [book.plan(camera, "default") for camera in cameras])  # the one waits for its neighbours
    assert looks == expected([1], [3, 3])
    scorer.score(frames[3:], [book.plan(camera, "default") for camera in ("mutual",) * 8 + ("zero",)])
    assert looks == expected([1, 8], [3, 3, 1])


@pytest.mark.parametrize(
    ("levels", "looked_at"),
    [("all", True), ("detail", True), ("tower", False), ("coarse", False), ("texture", False)],
)
def test_levels_that_are_not_in_use_cost_no_look(levels: BankLevels, looked_at: bool, looks: Looks) -> None:
    scorer = raw_scorer(levels)
    blank = FramePixels(np.zeros((scorer.image_size_px, scorer.image_size_px, 3), np.uint8))
    found = scorer.features([blank], PLATE.vocabulary)
    assert bool(looks.compared) is looked_at
    assert looks == Looks(looks.compared)
    assert (DETAIL in found) is looked_at
    assert set(scorer.level_widths()) - {FINE} <= set(found) <= {*LEVELS}
    assert ZERO_SHOT in found
