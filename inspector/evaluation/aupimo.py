"""AUPIMO: how much of each defect is found while hardly anything of a good image is marked.

Bertoldo et al. 2024 ("AUPIMO: Redefining Visual Anomaly Detection Benchmarks with High Speed and Low Tolerance"). At a
threshold t, F(t) is the mean over the GOOD images of the share of the image that is at or above t, and T_i(t) the share
of the defective pixels of image i that is. Over the logarithm of F, with L = 1e-5 and U = 1e-4,

    AUPIMO_i = 1 / log(U / L) * integral from log L to log U of T_i d log F,

and the class has the mean over its defective images. A map that says nothing gets (U - L) / log(U / L), about 4e-5.

Every distinct score of a good image is a threshold here, and the curve is cut at exactly L and U, where it is
interpolated, as for ``aupro``. The authors' code and anomalib take 300,000 thresholds at equal steps of the score, and
have no value where fewer than 30 of these fall between L and U; with more and more thresholds theirs becomes this one.
Only the few highest scores of good images can lie there, so that these, and the scores of defective pixels, are all
that has to be kept: anomalib needs all maps at once, of one size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.evaluation.metrics import Metric

FPR_LOW, FPR_HIGH = 1e-5, 1e-4

KEPT_NORMAL = 2**18
"""Highest scores kept of good images: all that count among 2.6 * 10^9 pixels. 3 MiB."""

_ROUNDING = 1e-9  # an FPR that is 1e-5 on paper may come out a little above it


class AupimoMeter:
    """Collects the images of one class, of any sizes; ``defective_pixels`` bounds memory, at 4 bytes each."""

    def __init__(self, defective_pixels: int) -> None:
        self._most = defective_pixels
        self._normal = np.zeros(0, np.float32)
        self._weights = np.zeros(0, np.float64)
        self._normal_images = 0
        self._defective: list[NDArray[np.float32]] = []
        self._defective_pixels = 0

    def add(self, anomaly_map: NDArray[Any], mask: NDArray[Any], anomalous: bool) -> None:
        """Add one image: ``anomaly_map`` float [H, W], finite; ``mask`` [H, W], nonzero where defective.

        A defective image without a defective pixel (too small a defect for the map) is neither good nor to be found: it
        has no part.
        """
        scores = anomaly_map.astype(np.float32)
        if not anomalous:
            self._add_normal(scores.ravel())
        elif mask.any():
            self._add_defective(scores[mask != 0])

    def result(self) -> Metric:
        """Return AUPIMO of all images so far, or why there is none."""
        if not self._normal_images:
            return Metric(None, "no good image with a map")
        if not self._defective_pixels:
            return Metric(None, "no defective pixel")
        if self._defective_pixels > self._most:
            return Metric(None, f"more than {self._most} defective pixels to keep")
        weighing = _weighing(self._normal, self._weights / self._normal_images)
        if isinstance(weighing, str):
            return Metric(None, weighing)
        areas = [weighing.area(scores) for scores in self._defective]
        return Metric(math.fsum(areas) / len(areas))

    def _add_normal(self, scores: NDArray[np.float32]) -> None:
        self._normal_images += 1
        weight = 1 / scores.size
        if self._normal.size == KEPT_NORMAL:
            scores = scores[scores > self._normal.min()]
        normal = np.concatenate((self._normal, scores))
        weights = np.concatenate((self._weights, np.full(scores.size, weight)))
        if normal.size > KEPT_NORMAL:
            highest = np.argpartition(normal, -KEPT_NORMAL)[-KEPT_NORMAL:]
            normal, weights = normal[highest], weights[highest]
        self._normal, self._weights = normal, weights

    def _add_defective(self, scores: NDArray[np.float32]) -> None:
        self._defective_pixels += scores.size
        if self._defective_pixels > self._most:
            self._defective.clear()
        else:
            self._defective.append(np.sort(scores))


@dataclass(frozen=True, slots=True)
class _Weighing:
    """AUPIMO of an image as a weighted sum: of the shares of its defective pixels above, and at or above, ``levels``.

    From one threshold to the next lower one, T rises to the share ABOVE the next while F stays, and then both go to
    where the next threshold takes them, on a line over log F.
    """

    levels: NDArray[np.float32]
    above: NDArray[np.float64]
    at_or_above: NDArray[np.float64]

    def area(self, ascending: NDArray[np.float32]) -> float:
        """Return AUPIMO of an image with these scores [D] of defective pixels."""
        above = ascending.size - np.searchsorted(ascending, self.levels, "right")
        at_or_above = ascending.size - np.searchsorted(ascending, self.levels, "left")
        return float(self.above @ above + self.at_or_above @ at_or_above) / ascending.size


def _weighing(normal: NDArray[np.float32], weights: NDArray[np.float64]) -> _Weighing | str:
    """Return what T at each threshold counts, or why it cannot be said. ``weights``: what each score adds to F."""
    order = np.argsort(-normal)
    normal, reached = normal[order], np.cumsum(weights[order])
    last = np.append(normal[1:] != normal[:-1], True)  # of several that share a score
    levels, fpr = normal[last], reached[last]
    if fpr[0] > FPR_LOW * (1 + _ROUNDING):
        return f"the highest score of good images is that of {fpr[0]:.2g} of their pixels, more than {FPR_LOW:g}"
    if fpr[-1] < FPR_HIGH * (1 - _ROUNDING):
        return f"the {KEPT_NORMAL} scores kept of good images reach only {fpr[-1]:.2g} of their pixels"
    inside = slice(max(int((fpr <= FPR_LOW).sum()) - 1, 0), int((fpr < FPR_HIGH).sum()) + 1)
    start, end = np.log(fpr[inside][:-1]), np.log(fpr[inside][1:])
    low, high = (np.clip(at, math.log(FPR_LOW), math.log(FPR_HIGH)) for at in (start, end))
    width = (high - low) / math.log(FPR_HIGH / FPR_LOW)
    way = ((low + high) / 2 - start) / (end - start)
    return _Weighing(levels[inside][1:], width * (1 - way), width * way)
