"""Pixels of one class, ranked: exactly while they are few enough to keep, in bins from then on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.evaluation.binned_pixels import BINS, BinnedPixels
from inspector.evaluation.exact_pixels import ExactPixels
from inspector.evaluation.keys import keys_of
from inspector.evaluation.metrics import Metric
from inspector.evaluation.pro import legacy_aupro
from inspector.evaluation.ranking import Ranking, rank
from inspector.evaluation.regions import Regions, regions_of

EXACT_PIXELS = 192 * 2**20
"""768 MiB. The largest class of MVTec AD (screw, 160 images of 1024 x 1024) has 168 million pixels."""


class PixelScores:
    """Maps and masks of any number of images in bounded memory.

    At most ``exact_pixels`` pixels are kept, at 4 bytes each, where a defective pixel counts as two; then all of them,
    also those seen before, are counted in ``BINS`` bins of relative width 2^-13, which needs at most 100 MB and gives
    each metric an ``error_bound``. Neither the order of images nor a way to tell their range beforehand matters.
    """

    def __init__(self, exact_pixels: int = EXACT_PIXELS) -> None:
        self._exact_pixels = exact_pixels
        self._pixels: ExactPixels | BinnedPixels = ExactPixels()

    def add(self, anomaly_map: NDArray[Any], mask: NDArray[Any]) -> None:
        """Add one image: ``anomaly_map`` float [H, W] of any finite range, ``mask`` [H, W], nonzero where defective.

        Raises:
            ValueError: shapes differ, or a score is NaN or infinite (as float32).
        """
        if anomaly_map.shape != mask.shape or mask.ndim != 2:
            raise ValueError(f"expected a map and a mask of one shape [H, W], got {anomaly_map.shape} and {mask.shape}")
        keys, defective = keys_of(anomaly_map), mask != 0
        self._add(keys[~defective], keys[defective], regions_of(defective))

    def add_scattered(self, scores: NDArray[Any], positive: NDArray[np.bool_]) -> None:
        """Add pixels [N] that are no picture: those ``positive`` count as one region."""
        keys = keys_of(scores)
        count = int(positive.sum())
        one = Regions(np.zeros(count, np.int64), np.full(min(count, 1), count))
        self._add(keys[~positive], keys[positive], one)

    def _add(self, normal: NDArray[np.uint32], defective: NDArray[np.uint32], regions: Regions) -> None:
        self._pixels.add(normal, defective, regions)
        if isinstance(self._pixels, ExactPixels) and self._pixels.cost > self._exact_pixels:
            binned = BinnedPixels()
            binned.take_over(self._pixels)
            self._pixels = binned

    @property
    def method(self) -> str:
        """How the pixels are ranked so far: ``exact``, or ``binned, N bins``."""
        return "exact" if isinstance(self._pixels, ExactPixels) else f"binned, {BINS} bins"

    @property
    def counts(self) -> tuple[int, int]:
        """How many pixels there are: normal, defective."""
        totals = self._pixels.totals()
        return totals.normal, totals.anomalous

    @property
    def regions(self) -> int:
        """How many regions the defective pixels form."""
        return self._pixels.totals().regions

    def ranking(self) -> Ranking:
        """Rank everything added so far."""
        return rank(self._pixels.levels(), self._pixels.totals())

    def legacy_aupro(self) -> Metric:
        """Return the usual AUPRO of 200 thresholds, see ``pro.py``."""
        return legacy_aupro(self._pixels)
