"""Ranking metrics against a ground truth, for whole images and for their pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCORE_BINS = 2**16


@dataclass(frozen=True, slots=True)
class Metric:
    """A value in 0..1, or None with the reason why there is none. A missing class is never reported as chance (0.5).

    ``error_bound`` is how far ``value`` may be from the exact one.
    """

    value: float | None
    reason: str | None = None
    error_bound: float = 0.0


def image_auroc(scores: NDArray[Any], anomalous: NDArray[Any]) -> Metric:
    """Area under the ROC curve, exact: the share of (anomalous, normal) pairs ranked right, ties counting one half.

    ``scores`` float [N], any range; ``anomalous`` bool [N].

    Raises:
        ValueError: shapes differ, or a score is not finite.
    """
    if scores.shape != anomalous.shape or scores.ndim != 1:
        raise ValueError(f"expected two arrays [N], got {scores.shape} and {anomalous.shape}")
    if not np.isfinite(scores).all():
        raise ValueError("expected finite scores, got NaN or infinity")
    _, place = np.unique(scores, return_inverse=True)
    truth = anomalous.astype(bool)
    values = int(place.max()) + 1 if place.size else 0
    return _auroc(np.bincount(place[truth], minlength=values), np.bincount(place[~truth], minlength=values), "image")


class PixelAuroc:
    """Pixel AUROC over any number of images in constant memory: pixels are counted in ``SCORE_BINS`` score bins.

    Bins are of equal width (1/65536) over scores 0..1. Pairs of pixels in different bins are ranked exactly; those in
    one bin count as ties, so the error is at most half the share of (anomalous, normal) pairs that share a bin. That
    bound comes with the value.
    """

    def __init__(self) -> None:
        self._anomalous = np.zeros(SCORE_BINS, np.int64)
        self._normal = np.zeros(SCORE_BINS, np.int64)

    def add(self, anomaly_map: NDArray[Any], mask: NDArray[Any]) -> None:
        """Count one image: ``anomaly_map`` float [H, W] in 0..1, ``mask`` [H, W], nonzero where defective.

        Raises:
            ValueError: shapes differ, or a score is outside 0..1.
        """
        if anomaly_map.shape != mask.shape:
            raise ValueError(f"expected a map and a mask of one shape, got {anomaly_map.shape} and {mask.shape}")
        # Written so that NaN fails too.
        if not ((anomaly_map >= 0) & (anomaly_map <= 1)).all():
            raise ValueError("expected scores in 0..1, got some outside")
        # float64 first: float16 maps would overflow.
        bins = np.minimum((anomaly_map.astype(np.float64) * SCORE_BINS).astype(np.int64), SCORE_BINS - 1)
        defective = mask != 0
        self._anomalous += np.bincount(bins[defective], minlength=SCORE_BINS)
        self._normal += np.bincount(bins[~defective], minlength=SCORE_BINS)

    def result(self) -> Metric:
        """Return the AUROC of everything counted so far, with its error bound."""
        metric = _auroc(self._anomalous, self._normal, "pixel")
        if metric.value is None:
            return metric
        pairs = float(self._anomalous.sum()) * float(self._normal.sum())
        tied = float(np.dot(self._anomalous.astype(np.float64), self._normal.astype(np.float64)))
        return Metric(metric.value, error_bound=tied / pairs / 2)


def _auroc(anomalous: NDArray[np.int64], normal: NDArray[np.int64], what: str) -> Metric:
    """AUROC from counts by ascending score: Mann-Whitney U over the number of pairs."""
    positives, negatives = int(anomalous.sum()), int(normal.sum())
    if positives == 0 or negatives == 0:
        missing = "anomalous" if positives == 0 else "normal"
        return Metric(None, f"no {missing} {what} among {positives + negatives}")
    below = np.cumsum(normal) - normal
    # float64: the number of pixel pairs overflows int64. The rounding stays below 1e-10.
    ranked_right = np.dot(anomalous.astype(np.float64), below + normal / 2)
    return Metric(float(ranked_right / (float(positives) * float(negatives))))
