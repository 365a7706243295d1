"""The second look at a frame, in its quarters at twice their size: where its tokens lie, and when it is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_kit import PLATE, SPEC, weights
from torch import Tensor

from inspector.dapo.scorer import VisualScorer, enlarged_quarters, joined_quarters, pad_text
from inspector.domain.product import CameraMode, CameraSettings
from inspector.domain.scoring import BankLevels, ScoringSettings
from inspector.vision.bank_features import DETAIL, FINE, LEVELS, ZERO_SHOT
from inspector.vision.camera_book import CameraBook
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


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each second look was at."""
    counts: list[int] = []
    real: Callable[[VisualScorer, Tensor], Tensor] = VisualScorer.detail

    def counted(scorer: VisualScorer, images: Tensor) -> Tensor:
        counts.append(len(images))
        return real(scorer, images)

    monkeypatch.setattr(VisualScorer, "detail", counted)
    return counts


def raw_scorer(levels: BankLevels = "all") -> RawScorer:
    made, manifest = weights()
    scoring = ScoringSettings(bank_levels=levels)
    return RawScorer(SPEC, made, manifest.text_mode, [PLATE.vocabulary], scoring)


def test_only_frames_that_are_compared_are_looked_at_twice(looked_at: list[int]) -> None:
    scorer = raw_scorer()
    book = CameraBook(
        weights()[1],
        {"default": PLATE},
        {},
        allow_unknown=True,
        level_widths=scorer.level_widths(),
        tile=scorer.tile,
        scoring=scorer.scoring,
    )
    looked_at.clear()
    book.set_camera("zero", CameraSettings(mode=CameraMode.ZERO_SHOT, image_threshold=1.0))
    book.set_camera("mutual", CameraSettings(mode=CameraMode.MUTUAL, image_threshold=1.0))
    rng = np.random.default_rng(0)
    side = scorer.image_size_px
    frames = [FramePixels(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)) for _ in range(3)]
    scorer.score(frames, [book.plan("zero", "default")] * 3)
    assert looked_at == []
    scorer.score(frames, [book.plan(camera, "default") for camera in ("zero", "mutual", "zero")])
    assert looked_at == [1]


@pytest.mark.parametrize(("levels", "looks"), [("all", True), ("tower", True), ("coarse", False), ("texture", False)])
def test_levels_that_are_not_in_use_cost_no_second_look(levels: BankLevels, looks: bool, looked_at: list[int]) -> None:
    scorer = raw_scorer(levels)
    blank = FramePixels(np.zeros((scorer.image_size_px, scorer.image_size_px, 3), np.uint8))
    found = scorer.features([blank], PLATE.vocabulary)
    assert bool(looked_at) is looks
    assert (DETAIL in found) is looks
    assert set(scorer.level_widths()) - {FINE} <= set(found) <= {*LEVELS}
    assert ZERO_SHOT in found
