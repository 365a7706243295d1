"""Tiles are scored as images of their own, few at a time, and stitched to one grid."""

from __future__ import annotations

import pytest
import torch
from engine_kit import SPEC, weights
from torch import Tensor

from inspector.dapo.clip import model_shape
from inspector.dapo.scorer import BatchScores, VisualScorer
from inspector.vision.tiled_scorer import TiledScorer

SIDES = {1: 96, 2: 160, 3: 224}


@pytest.fixture(scope="module")
def visual() -> VisualScorer:
    return VisualScorer.load(SPEC, weights()[0])


@pytest.fixture(scope="module")
def text() -> tuple[Tensor, Tensor]:
    rows = torch.nn.functional.normalize(
        torch.randn(2, 4, model_shape(SPEC).embed_dim, generator=torch.Generator().manual_seed(1)), dim=-1
    )
    mask = torch.ones(2, 4, dtype=torch.bool)
    mask[1, 3] = False
    return rows * mask[..., None], mask


def images(tiles: int, count: int = 2) -> Tensor:
    return torch.randn(count, 3, SIDES[tiles], SIDES[tiles], generator=torch.Generator().manual_seed(2))


def assert_same(one: BatchScores, other: BatchScores) -> None:
    torch.testing.assert_close(one.image_scores, other.image_scores, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(one.type_grid, other.type_grid, atol=1e-5, rtol=1e-4)
    for mine, theirs in zip((*one.taps, *one.adapted), (*other.taps, *other.adapted), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-3)


def test_an_image_of_one_tile_is_scored_as_ever(visual: VisualScorer, text: tuple[Tensor, Tensor]) -> None:
    tiled, plain = TiledScorer(visual, 4).score(images(1), *text), visual.score(images(1), *text)
    assert torch.equal(tiled.image_scores, plain.image_scores)
    assert torch.equal(tiled.type_grid, plain.type_grid)
    assert all(map(torch.equal, (*tiled.taps, *tiled.adapted), (*plain.taps, *plain.adapted)))


@pytest.mark.parametrize(("tiles", "grid"), [(2, 10), (3, 14)])
def test_where_one_tile_alone_looks_its_own_scores_stand(
    visual: VisualScorer, text: tuple[Tensor, Tensor], tiles: int, grid: int
) -> None:
    batch = images(tiles)
    stitched = TiledScorer(visual, 4).score(batch, *text)
    corner = visual.score(batch[:, :, -96:, :96].contiguous(), *text)
    assert stitched.type_grid.shape == (2, 4, grid, grid)
    torch.testing.assert_close(stitched.type_grid[:, :, -4:, :4], corner.type_grid[:, :, -4:, :4], atol=1e-5, rtol=1e-4)
    for whole, tile in zip((*stitched.taps, *stitched.adapted), (*corner.taps, *corner.adapted), strict=True):
        torch.testing.assert_close(
            whole.reshape(2, grid, grid, -1)[:, -4:, :4],
            tile.reshape(2, 6, 6, -1)[:, -4:, :4],
            atol=1e-4,
            rtol=1e-3,
        )


def test_the_image_score_is_the_highest_of_the_tiles_and_the_whole_view(
    visual: VisualScorer, text: tuple[Tensor, Tensor]
) -> None:
    batch = images(2)
    starts = [(0, 0), (0, 64), (64, 0), (64, 64)]
    views = [batch[:, :, y : y + 96, x : x + 96] for y, x in starts]
    views.append(torch.nn.functional.interpolate(batch, (96, 96), mode="bilinear", antialias=True))
    alone = torch.stack([visual.score(view.contiguous(), *text).image_scores for view in views])
    torch.testing.assert_close(TiledScorer(visual, 4).score(batch, *text).image_scores, alone.amax(0))


@pytest.mark.parametrize("most", [1, 3, 64])
def test_no_more_tiles_than_allowed_are_in_the_tower_at_once_and_the_scores_are_the_same(
    visual: VisualScorer, text: tuple[Tensor, Tensor], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = TiledScorer(visual, 5).score(images(3), *text)
    sizes: list[int] = []
    score = visual.score

    def spy(batch: Tensor, rows: Tensor, mask: Tensor) -> BatchScores:
        sizes.append(len(batch))
        return score(batch, rows, mask)

    monkeypatch.setattr(visual, "score", spy)
    assert_same(TiledScorer(visual, most).score(images(3), *text), expected)
    assert max(sizes) <= most
    assert sum(sizes) == 2 * (9 + 1)


def relative(batch: Tensor, rows: Tensor, mask: Tensor) -> BatchScores:
    """A tower for which a patch is as bright as it is beside the rest of its tile, as attention may see it."""
    patches = torch.nn.functional.avg_pool2d(batch.mean(1, keepdim=True), 16)
    seen = patches - batch.mean((1, 2, 3)).view(-1, 1, 1, 1)
    return BatchScores(torch.zeros(len(batch)), seen, (), ())


def test_seams_show_neither_on_a_plain_nor_on_a_shaded_image_nor_when_it_moves(
    visual: VisualScorer, text: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visual, "score", relative)
    scorer = TiledScorer(visual, 4)

    def seen(image: Tensor) -> Tensor:
        return scorer.score(image.expand(1, 3, -1, -1), text[0][:1], text[1][:1]).type_grid[0, 0]

    plain = seen(torch.full((224, 224), 0.7))
    torch.testing.assert_close(plain, torch.zeros(14, 14), atol=1e-5, rtol=0)
    wide = torch.linspace(0, 1, 224 + 64).expand(224, -1)
    slope = 16 / (224 + 63)
    shaded = seen(wide[:, :224])
    # Two tiles that are 4 patches apart differ by 4 slopes where both look, and pass over in 2 steps, not in 1.
    assert shaded.diff(dim=1).abs().max() < 2.1 * slope
    moved = seen(wide[:, 64:])
    torch.testing.assert_close(moved[:, 2:-6], shaded[:, 6:-2], atol=1e-4, rtol=0)


def test_images_of_one_size_go_together_tiled_ones_as_memory_allows(visual: VisualScorer) -> None:
    sides = [SIDES[tiles] for tiles in (1, 3, 1, 2, 2, 1, 3, 2)]
    assert TiledScorer(visual, 8).together(sides) == [[0, 2, 5], [1], [6], [3, 4], [7]]
    with pytest.raises(ValueError, match="a side of 100 px"):
        TiledScorer(visual, 8).together([96, 100])
