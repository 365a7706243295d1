"""Pixel metrics written as their definitions read: every threshold in turn, regions by flooding. Slow, and obvious."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import auc

Images = Sequence[tuple[NDArray[np.float32], NDArray[np.uint8]]]


def regions(mask: NDArray[np.uint8]) -> list[NDArray[np.bool_]]:
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    found = []
    while left:
        region, edge = np.zeros(mask.shape, bool), [left.pop()]
        while edge:
            y, x = edge.pop()
            region[y, x] = True
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            edge += near
        found.append(region)
    return found


def aupro(images: Images, limit: float = 0.3) -> float:
    truth = _Truth(images)
    thresholds = np.unique(np.concatenate([scores.ravel() for scores, _ in images]))[::-1]
    curve = [(0.0, 0.0)] + [truth.point([scores >= threshold for scores, _ in images]) for threshold in thresholds]
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x1 > limit:
            y1 = y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
            return (area + (limit - x0) * (y0 + y1) / 2) / limit
        area += (x1 - x0) * (y0 + y1) / 2
    raise AssertionError("the curve ends at FPR 1")


def legacy_aupro(images: Images) -> float | None:
    truth = _Truth(images)
    every = np.concatenate([scores.ravel() for scores, _ in images]).astype(np.float64)
    step = (every.max() - every.min()) / 200
    curve = [truth.point([scores > every.min() + i * step for scores, _ in images]) for i in range(200)]
    kept = np.array([(x, y) for x, y in curve if x < 0.3])
    if len(kept) < 2 or np.ptp(kept[:, 0]) == 0:
        return None
    x = (kept[:, 0] - kept[:, 0].min()) / np.ptp(kept[:, 0])
    return float(auc(x, kept[:, 1]))


class _Truth:
    def __init__(self, images: Images) -> None:
        self._normal = [mask == 0 for _, mask in images]
        self._regions = [(i, region) for i, (_, mask) in enumerate(images) for region in regions(mask)]

    def point(self, found: Sequence[NDArray[np.bool_]]) -> tuple[float, float]:
        """FPR and mean overlap of the pixels that are ``found`` in each image."""
        false = np.concatenate([hit[normal] for hit, normal in zip(found, self._normal, strict=True)])
        return float(false.mean()), float(np.mean([found[i][region].mean() for i, region in self._regions]))
