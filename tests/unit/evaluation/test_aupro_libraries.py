"""AUPRO against adeval, on inputs where what adeval computes is exact, and adeval's two ways against each other.

``calculate_au_pro`` (MVTec's first evaluation code) takes a number of the normal pixels' scores as thresholds. With all
of them, it is exact where normal scores are distinct and each defective pixel's score is one of theirs.
``auroc_aupr_aupro`` counts scores in strips of equal width, which is exact where scores are so few that each has a
strip of its own, and the highest is a defective pixel's (its curve starts there, not at (0, 0)).
"""

from __future__ import annotations

import numpy as np
import pytest
from adeval import auroc_aupr_aupro
from adeval.au_pro import calculate_au_pro
from numpy.typing import NDArray
from slow_metrics import aupro

from inspector.evaluation.pixel_scores import PixelScores

Maps = NDArray[np.float32]
Masks = NDArray[np.uint8]


@pytest.fixture(autouse=True)
def _trapz(monkeypatch: pytest.MonkeyPatch) -> None:
    # adeval calls it by the name that NumPy 2 took away.
    monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)


def masks_of(rng: np.random.Generator, images: int = 4, side: int = 16) -> Masks:
    """Regions on borders and in corners, of one pixel, touching at corners; a good image and one mostly defective."""
    masks = np.zeros((images, side, side), np.uint8)
    for mask in masks[1:]:
        for _ in range(4):
            y, x = rng.integers(0, side, 2)
            mask[y : y + rng.integers(1, 6), x : x + rng.integers(1, 6)] = 1
        mask[rng.random(mask.shape) < 0.02] = 1
    masks[1, 2:, :] = 1
    return masks


def ours(maps: Maps, masks: Masks) -> PixelScores:
    pixels = PixelScores()
    for scores, mask in zip(maps, masks, strict=True):
        pixels.add(scores, mask)
    return pixels


@pytest.mark.parametrize("seed", range(5))
def test_aupro_is_adevals_where_every_score_is_a_threshold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = masks_of(rng)
    maps = np.zeros(masks.shape, np.float32)
    normal = np.sort(rng.normal(size=int((masks == 0).sum())).astype(np.float32))
    assert (np.diff(normal) > 0).all()
    maps[masks == 0] = rng.permutation(normal)
    maps[masks == 1] = rng.choice(normal[normal.size // 2 :], size=int(masks.sum()))
    theirs, _ = calculate_au_pro(list(masks), list(maps), num_thresholds=normal.size)
    assert ours(maps, masks).ranking().aupro.value == pytest.approx(theirs, abs=1e-6)
    assert ours(maps, masks).ranking().aupro.value == pytest.approx(
        aupro(list(zip(maps, masks, strict=True))), abs=1e-9
    )


@pytest.mark.parametrize("seed", range(5))
def test_aupro_and_auroc_are_adevals_where_every_score_has_a_strip(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = masks_of(rng)
    steps = np.clip(np.round(16 + 6 * rng.normal(size=masks.shape) + 5 * masks), 1, 31)
    maps = ((steps + 0.5) / 32).astype(np.float32)  # in the middle of strips of 1 / 256
    maps[0, 0, 0] = 0.0
    y, x = np.argwhere(masks[2])[0]
    maps[2, y, x] = 1.0
    auroc, _, theirs = auroc_aupr_aupro(maps, masks, nstrips=256)
    ranking = ours(maps, masks).ranking()
    assert ranking.aupro.value == pytest.approx(theirs, abs=1e-6)
    assert ranking.auroc.value == pytest.approx(auroc, abs=1e-6)


def test_adevals_two_ways_and_ours_come_close_on_smooth_maps() -> None:
    rng = np.random.default_rng(0)
    masks = masks_of(rng, images=6, side=64)
    maps = (rng.normal(size=masks.shape) + 1.5 * masks).astype(np.float32)
    sorted_way, _ = calculate_au_pro(list(masks), list(maps), num_thresholds=int((masks == 0).sum()))
    *_, strips = auroc_aupr_aupro(maps, masks, nstrips=20_000)
    exact = ours(maps, masks).ranking().aupro.value
    assert sorted_way == pytest.approx(strips, abs=1e-3)
    assert exact == pytest.approx(sorted_way, abs=1e-4)
    assert exact == pytest.approx(strips, abs=1e-3)
