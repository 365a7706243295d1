"""Pixels counted in bins: any number of them in memory that does not grow.

A bin holds the scores that agree in the top 22 bits of float32: sign, exponent and 13 bits of mantissa. Its width is
2^-13 of the score (0.012 %), so no range has to be known beforehand. Only the bins in use take memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from inspector.evaluation.exact_pixels import ExactPixels, Reached
from inspector.evaluation.keys import scores_of
from inspector.evaluation.ranking import Levels, Totals
from inspector.evaluation.regions import Regions

BINS = 2**22
_SHIFT = np.uint32(10)

_N = TypeVar("_N", np.int64, np.float64)


class BinnedPixels:
    """Counts by bin: normal and defective pixels, and the shares of their regions that the defective ones are."""

    def __init__(self) -> None:
        self._normal = np.zeros(BINS, np.int64)
        self._defective = np.zeros(BINS, np.int64)
        self._shares = np.zeros(BINS)
        self._regions = 0
        self._lowest, self._highest = np.uint32(2**32 - 1), np.uint32(0)

    def add(self, normal: NDArray[np.uint32], defective: NDArray[np.uint32], regions: Regions) -> None:
        """Count one image, see ``ExactPixels.add``."""
        self._count(normal, defective, 1 / regions.areas[regions.index])
        self._regions += regions.areas.size

    def take_over(self, exact: ExactPixels) -> None:
        """Count all that was exact so far."""
        for chunk in exact.chunks():
            self._count(*chunk)
        self._regions += exact.totals().regions

    def totals(self) -> Totals:
        """Return how many pixels there are."""
        _, span = self._span()
        counts = int(self._defective[span].sum()), int(self._normal[span].sum())
        return Totals(*counts, "pixel", self._regions, binned=True)

    def extremes(self) -> tuple[np.uint32, np.uint32]:
        """Return the lowest and the highest key of all pixels, exactly; there has to be one."""
        return self._lowest, self._highest

    def levels(self) -> Iterator[Levels]:
        """Yield the bins that hold defective pixels, highest first, as one block."""
        first, span = self._span()
        used = first + np.flatnonzero(self._defective[span])[::-1]
        fp_above, fp = self._above_and_at(self._normal, used)
        tp_above, tp = self._above_and_at(self._defective, used)
        overlap_above, overlap = self._above_and_at(self._shares, used)
        score = scores_of(used.astype(np.uint32) << _SHIFT).astype(np.float64)
        yield Levels(score, tp_above, tp, fp_above, fp, overlap_above / self._regions, overlap / self._regions)

    def above(self, keys: NDArray[np.uint32]) -> Reached:
        """Return what lies strictly above each of ``keys`` [T]: somewhere between all of its bin, and none of it."""
        bins = (keys >> _SHIFT).astype(np.int64)
        fp_low, fp_high = self._above_and_at(self._normal, bins)
        overlap_low, overlap_high = self._above_and_at(self._shares, bins)
        return Reached(fp_low, fp_high, overlap_low / self._regions, overlap_high / self._regions)

    def _count(self, normal: NDArray[np.uint32], defective: NDArray[np.uint32], shares: NDArray[np.float64]) -> None:
        _add(self._normal, normal, None)
        _add(self._defective, defective, None)
        _add(self._shares, defective, shares)
        for keys in (normal, defective):
            if keys.size:
                self._lowest, self._highest = min(self._lowest, keys.min()), max(self._highest, keys.max())

    def _span(self) -> tuple[int, slice]:
        """Return the first bin in use, and all of them: looking at no others keeps them out of memory."""
        first, last = int(self._lowest >> _SHIFT), int(self._highest >> _SHIFT)
        return first, slice(first, last + 1)

    def _above_and_at(self, counts: NDArray[_N], bins: NDArray[np.int64]) -> tuple[NDArray[_N], NDArray[_N]]:
        """Return what lies in higher bins than each of ``bins``, and what lies there or in it."""
        first, span = self._span()
        below = np.append(np.zeros(1, counts.dtype), np.cumsum(counts[span]))  # below bin first + i, at index i
        return below[-1] - below[bins - first + 1], below[-1] - below[bins - first]


def _add(counts: NDArray[_N], keys: NDArray[np.uint32], weights: NDArray[np.float64] | None) -> None:
    if not keys.size:
        return
    bins = (keys >> _SHIFT).astype(np.int64)
    first = bins.min()  # count only over the bins that these scores span
    found = np.bincount(bins - first, weights)
    counts[first : first + found.size] += found.astype(counts.dtype, copy=False)
