"""The second look at a frame, in its quarters at twice their size; which frames are looked at for what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from engine_kit import PLATE, SPEC, weights
from torch import Tensor

from inspector.dapo.scorer import VisualScorer, enlarged_quarters, joined_quarters, pad_text
from inspector.domain.product import CameraMode, CameraSettings
from inspector.domain.scoring import BankLevels, ImageScore, ScoringSettings
from inspector.vision.bank_features import DETAIL, FINE, LEVELS, ZERO_SHOT
from inspector.vision.camera_book import CameraBook
from inspector.vision.detail_net import DetailNet
from inspector.vision.frame_pixels import FramePixels
from inspector.vision.raw_scorer import RawScorer
from inspector.vision.tiled_scorer import TiledScorer


def visual(image_size_px: int | None = None) -> VisualScorer:
    made, _ = weights()
    return VisualScorer.load(replace(SPEC, image_size_px=image_size_px), made)


def noise(count: int, side_px: int) -> Tensor:
    return torch.randn(count, 3, side_px, side_px, generator=torch.Generator().manual_seed(7))


def test_joined_quarters_lie_as_the_image_does() -> None:
    image = torch.arange(2 * 16.0).reshape(2, 1, 4, 4)
    enlarged = torch.nn.functional.interpolate(image, (8, 8), mode="bicubic", align_corners=False)
    quarters = enlarged_quarters(image)
    assert quarters.shape == (8, 1, 4, 4)
    assert torch.equal(joined_quarters(quarters.permute(0, 2, 3, 1))[..., 0], enlarged[:, 0])


def test_a_change_in_one_quarter_changes_the_tokens_of_that_quarter_alone() -> None:
    scorer = visual()
    side, (rows, columns) = scorer.image_size_px, scorer.grid
    image = noise(1, side)
    changed = image.clone()
    changed[:, :, side * 3 // 4 :, : side // 4] += 2  # below on the left, away from the other quarters
    before, after = scorer.detail(image), scorer.detail(changed)
    assert before.shape[:3] == (1, 2 * rows, 2 * columns)
    differs = (before != after).any(-1)[0]
    assert differs[rows:, :columns].all()
    assert not differs[:rows].any()
    assert not differs[:, columns:].any()


def test_details_are_the_second_taps_tokens_of_each_quarter_at_twice_its_size() -> None:
    scorer = visual()
    image = noise(2, scorer.image_size_px)
    quarters = enlarged_quarters(image)
    text, mask = pad_text([raw_scorer().text(PLATE.vocabulary)] * len(quarters))
    second = scorer.score(quarters, text, mask).taps[1]
    expected = joined_quarters(second.reshape(len(quarters), *scorer.grid, -1))
    torch.testing.assert_close(scorer.detail(image), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("image_size_px", [None, 112])  # of 112 px: 7 patches a side, of which no quarter is whole
def test_details_of_a_frame_in_tiles_are_those_of_its_tiles_where_they_do_not_overlap(
    image_size_px: int | None,
) -> None:
    scorer = visual(image_size_px)
    tiled = TiledScorer(scorer, max_images=3)
    tiling = tiled.tile.of(2)
    frame = noise(2, tiling.side_px)
    found = tiled.detail(frame)
    assert found.shape[:3] == (2, 2 * tiling.grid_side, 2 * tiling.grid_side)
    alone = 2 * tiling.step
    top_left = scorer.detail(frame[1:, :, : tiling.tile_px, : tiling.tile_px])
    torch.testing.assert_close(found[1:, :alone, :alone], top_left[:, :alone, :alone], atol=1e-4, rtol=1e-4)
    bottom_right = scorer.detail(frame[1:, :, -tiling.tile_px :, -tiling.tile_px :])
    torch.testing.assert_close(found[1:, -alone:, -alone:], bottom_right[:, -alone:, -alone:], atol=1e-4, rtol=1e-4)


@dataclass(frozen=True, slots=True)
class Looks:
    """How many images each look was at: for their references, and two that contrasts are made of."""

    compared: list[int] = field(default_factory=list)
    quarters: list[int] = field(default_factory=list)
    contrasts: list[int] = field(default_factory=list)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    found = Looks()

    def counted(real: Callable[[Any, Tensor], Tensor], counts: list[int]) -> Callable[[Any, Tensor], Tensor]:
        def look(of: Any, images: Tensor) -> Tensor:
            counts.append(len(images))
            return real(of, images)

        return look

    monkeypatch.setattr(DetailNet, "forward", counted(DetailNet.forward, found.compared))
    monkeypatch.setattr(VisualScorer, "detail", counted(VisualScorer.detail, found.quarters))
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
        return Looks(compared, contrasts, contrasts) if image_score == "contrast" else Looks(compared)

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
