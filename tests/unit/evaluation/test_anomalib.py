"""AUPRO and AUPIMO against anomalib, on inputs where what anomalib computes is exact.

Its AUPRO sorts all pixels, takes every distinct score as a threshold and interpolates at the limit, as ours does; it
sums in float32. Its AUPIMO takes thresholds at equal steps of the score: exact where scores are whole numbers and
each step has a good pixel, or where steps are finer than the distance between good pixels' scores.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from inspector.evaluation.aupimo import AupimoMeter
from inspector.evaluation.pixel_scores import PixelScores

Maps = NDArray[np.float32]
Masks = NDArray[np.uint8]


@pytest.fixture(scope="module")
def metrics() -> ModuleType:
    # Seconds, and after ours, which limits the size of images before OpenCV is loaded.
    import anomalib.metrics.aupro
    import anomalib.metrics.pimo.functional

    return anomalib.metrics


def masks_of(rng: np.random.Generator, images: int, height: int, width: int) -> Masks:
    """Two good images, then regions on borders, of one pixel, and touching at corners."""
    masks = np.zeros((images, height, width), np.uint8)
    for mask in masks[2:]:
        for _ in range(4):
            y, x = rng.integers(0, height), rng.integers(0, width)
            mask[y : y + rng.integers(1, 9), x : x + rng.integers(1, 9)] = 1
        mask[rng.random(mask.shape) < 0.001] = 1
    return masks


def our_aupimo(maps: Maps, masks: Masks) -> float | None:
    meter = AupimoMeter(10**6)
    for scores, mask in zip(maps, masks, strict=True):
        meter.add(scores, mask, anomalous=bool(mask.any()))
    return meter.result().value


def their_aupimo(metrics: ModuleType, maps: Maps, masks: Masks, thresholds: int) -> float:
    found = metrics.pimo.functional.aupimo_scores(torch.from_numpy(maps), torch.from_numpy(masks).int(), thresholds)
    areas = found[4][torch.from_numpy(masks.any((1, 2)))]
    return float(areas.mean())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("steps", [None, 40])  # 40: almost every score is shared by many
def test_aupro_is_anomalibs(metrics: ModuleType, seed: int, steps: int | None) -> None:
    rng = np.random.default_rng(seed)
    masks = masks_of(rng, 5, 64, 48)
    scores = rng.normal(size=masks.shape) + 1.5 * masks
    maps = (scores if steps is None else np.round(scores * steps / 8)).astype(np.float32)
    theirs = metrics.aupro._AUPRO()
    theirs.update(torch.from_numpy(maps), torch.from_numpy(masks))
    ours = PixelScores()
    for one, mask in zip(maps, masks, strict=True):
        ours.add(one, mask)
    assert ours.ranking().aupro.value == pytest.approx(float(theirs.compute()), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_aupimo_is_anomalibs_where_every_score_is_a_threshold(metrics: ModuleType, seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = masks_of(rng, 5, 400, 500)
    maps = np.zeros(masks.shape, np.float32)
    # 400,000 good pixels: 100 of them above 0, each with a score of its own, so that 1e-5 and 1e-4 are FPRs of theirs.
    good = maps[:2].reshape(-1)
    good[rng.choice(good.size, 100, replace=False)] = np.arange(1, 101)
    maps[masks == 1] = rng.integers(20, 110, int(masks.sum()))
    assert our_aupimo(maps, masks) == pytest.approx(their_aupimo(metrics, maps, masks, 101), abs=1e-9)


def test_aupimo_is_anomalibs_where_its_thresholds_are_close_enough(metrics: ModuleType) -> None:
    rng = np.random.default_rng(0)
    masks = masks_of(rng, 5, 400, 500)
    maps = np.exp(rng.normal(size=masks.shape) + 3 * masks).astype(np.float32)
    ours, theirs = our_aupimo(maps, masks), their_aupimo(metrics, maps, masks, 100_000)
    assert ours is not None
    assert 0.1 < ours < 0.9
    assert ours == pytest.approx(theirs, abs=1e-6)
