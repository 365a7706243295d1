"""Ranking metrics, from what lies above each score that an anomalous sample has.

The samples are images or pixels. They are walked from the highest score down, in *levels*: a level is one score that at
least one anomalous sample has. Between levels only normal samples come, where none of these metrics needs a look: AUROC
and AP add where an anomalous sample is reached, and F1 falls with every normal one. With

    tp, fp = anomalous, normal samples at or above the level;  P, N = anomalous, normal samples in all

    AUROC   = sum over anomalous samples of (normal ones below + half of those tied) / (P N)
              (Mann-Whitney U; Hanley & McNeil 1982, Radiology 143(1))
    AP      = sum over levels of (recall gained there) * precision
              (no interpolation, as scikit-learn's average_precision_score)
    F1-max  = max over levels of 2 tp / (tp + fp + P), its threshold being "at or above this score"
    AUPRO   = area under the mean overlap of regions over the FPR, up to a limit; see ``pro.py``

A level may also be a *bin*, which holds scores that are close but not equal. Then the same formulas take its samples
for tied, and the value comes with a bound on how far the exact one can be: at the edges of a bin tp and fp are exact,
and what happens inside is bounded by ranking all its anomalous samples first, or all its normal ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.evaluation.curves import CurveSampler, Points, PrecisionSampler
from inspector.evaluation.metrics import Metric, between

FPR_LIMIT = 0.3


@dataclass(frozen=True, slots=True)
class Levels:
    """Levels [L] from high to low. ``*_above`` counts what is strictly above the level, the others what is at it too.

    ``score`` float64: the level's score, for a bin its lower edge. ``tp``, ``fp`` int64. ``overlap`` float64 in 0..1:
    mean over all regions of the share of the region's pixels that are reached.
    """

    score: NDArray[np.float64]
    tp_above: NDArray[np.int64]
    tp: NDArray[np.int64]
    fp_above: NDArray[np.int64]
    fp: NDArray[np.int64]
    overlap_above: NDArray[np.float64]
    overlap: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Totals:
    """All samples there are. ``what`` is one of them in words, ``regions`` how many the anomalous ones form.

    ``binned``: levels are bins.
    """

    anomalous: int
    normal: int
    what: str
    regions: int = 0
    binned: bool = False

    def missing(self) -> str | None:
        """Say why nothing can be ranked, or None where it can: both kinds are there."""
        if self.anomalous and self.normal:
            return None
        kind = "normal" if self.anomalous else "anomalous"
        return f"no {kind} {self.what} among {self.anomalous + self.normal}"


@dataclass(frozen=True, slots=True)
class Ranking:
    """The metrics, the F1-max threshold (a sample at or above it is called anomalous), and curves to draw.

    Curves have no points where the metrics have no value. AUPRO and its curve need regions, so images have none.
    """

    auroc: Metric
    ap: Metric
    f1_max: Metric
    aupro: Metric
    threshold: float | None
    roc: Points = ()
    pr: Points = ()
    pro: Points = ()


def rank(blocks: Iterable[Levels], totals: Totals) -> Ranking:
    """Rank samples given as consecutive blocks of levels, highest first, that together reach all anomalous ones."""
    if (reason := totals.missing()) is not None:
        none = Metric(None, reason)
        return Ranking(none, none, none, none, None)
    sums = _Sums(totals)
    for levels in blocks:
        sums.take(levels)
    return sums.ranking()


def rank_images(
    scores: Sequence[float] | NDArray[np.float64], anomalous: Sequence[bool] | NDArray[np.bool_]
) -> Ranking:
    """Rank whole images, exactly. ``scores`` [N] of any finite range.

    Raises:
        ValueError: a score is NaN or infinite.
    """
    values, truth = np.asarray(scores, np.float64), np.asarray(anomalous, bool)
    if values.shape != truth.shape:
        raise ValueError(f"expected a truth for each score, got {values.shape} and {truth.shape}")
    if not np.isfinite(values).all():
        raise ValueError("expected finite scores, got NaN or infinity")
    totals = Totals(int(truth.sum()), int((~truth).sum()), "image")
    return rank([_image_levels(values, truth)], totals)


def _image_levels(scores: NDArray[np.float64], anomalous: NDArray[np.bool_]) -> Levels:
    level, tp = np.unique(scores[anomalous], return_counts=True)
    normal = np.sort(scores[~anomalous])
    level, gained = level[::-1], tp[::-1]
    reached = np.cumsum(gained)
    unused = np.zeros(level.size)
    return Levels(
        level,
        reached - gained,
        reached,
        normal.size - np.searchsorted(normal, level, "right"),
        normal.size - np.searchsorted(normal, level, "left"),
        unused,
        unused,
    )


class _Sums:
    """Running sums of every metric, with the lowest and highest value that samples inside a bin leave possible."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals
        self._limit = FPR_LIMIT * totals.normal
        self._auroc, self._ap, self._aupro = np.zeros(3), np.zeros(3), np.zeros(3)  # low, value, high
        self._f1, self._f1_high, self._threshold = -1.0, 0.0, 0.0
        self._roc = CurveSampler(totals.normal, totals.anomalous)
        self._pr = PrecisionSampler()
        self._pro = CurveSampler(totals.normal, 1.0, x_end=FPR_LIMIT)

    def take(self, levels: Levels) -> None:
        if not levels.score.size:
            return
        gained = (levels.tp - levels.tp_above).astype(np.float64)
        self._auroc += _area(gained, levels, self._totals.normal)
        self._aupro += _area(levels.overlap - levels.overlap_above, levels, self._limit)
        self._ap += _average_precision(gained, levels)
        self._take_f1(levels)
        self._roc.take(*_vertices(levels, levels.tp_above, levels.tp))
        self._pr.take(levels.tp / self._totals.anomalous, levels.tp / (levels.tp + levels.fp))
        self._pro.take(*_vertices(levels, levels.overlap_above, levels.overlap))

    def _take_f1(self, levels: Levels) -> None:
        f1 = 2 * levels.tp / (levels.tp + levels.fp + self._totals.anomalous)
        best = int(np.argmax(f1))
        if f1[best] > self._f1:
            self._f1, self._threshold = float(f1[best]), float(levels.score[best])
        # Inside a bin F1 cannot pass that of all its anomalous samples and none of its normal ones.
        highest = (2 * levels.tp / (levels.tp + levels.fp_above + self._totals.anomalous)).max()
        self._f1_high = max(self._f1_high, float(highest))

    def ranking(self) -> Ranking:
        totals = self._totals
        pairs = float(totals.anomalous) * float(totals.normal)
        return Ranking(
            auroc=self._metric(self._auroc / pairs),
            ap=self._metric(self._ap / totals.anomalous),
            # A bin's lower edge is a threshold like any other, so the exact maximum cannot be lower than this one.
            f1_max=self._metric(np.array([self._f1, self._f1, self._f1_high])),
            aupro=self._metric(self._aupro / self._limit) if totals.regions else Metric(None, "no regions"),
            threshold=self._threshold,
            roc=self._roc.points(),
            pr=self._pr.points(),
            pro=self._pro.points() if totals.regions else (),
        )

    def _metric(self, low_value_high: NDArray[np.float64]) -> Metric:
        # Sums of up to 1e8 parts round by about 1e-12; no value may leave 0..1 for that.
        low, value, high = (float(x) for x in np.clip(low_value_high, 0.0, 1.0))
        return between(value, low, high) if self._totals.binned else Metric(value)


def _area(gained: NDArray[np.float64], levels: Levels, limit: float) -> NDArray[np.float64]:
    """Area under a curve that rises by ``gained`` [L] at each level, over false positives 0..``limit``.

    Returns [3]: the lowest it can be, its value, and the highest.

    What is gained at false positive number x is worth the ``limit - x`` that is left. The samples of a level count as
    tied: the curve rises in a straight line from ``fp_above`` to ``fp``, and is cut where that line crosses the limit.
    """
    start, end = levels.fp_above.astype(np.float64), levels.fp.astype(np.float64)
    left_at_start, left_at_end = np.maximum(limit - start, 0), np.maximum(limit - end, 0)
    across = np.maximum(end - start, 1)  # where the line has no width the first formula holds
    value = np.where(end <= limit, limit - (start + end) / 2, left_at_start**2 / (2 * across))
    return np.array([gained @ left_at_end, gained @ value, gained @ left_at_start])


def _average_precision(gained: NDArray[np.float64], levels: Levels) -> NDArray[np.float64]:
    value = gained @ (levels.tp / (levels.tp + levels.fp))
    high = gained @ (levels.tp / (levels.tp + levels.fp_above))
    # The i-th of a bin's anomalous samples has a precision of at least (t + i) / (t + i + fp), with t above the bin:
    # in sum, gained - fp * sum of 1 / (t + fp + i), and an integral bounds that sum by log(1 + gained / (t + fp)).
    rank_above = np.maximum(levels.tp_above + levels.fp, 1)
    low = (gained - levels.fp * np.log1p(gained / rank_above)).sum()
    return np.array([low, value, high])


def _vertices(levels: Levels, above: NDArray[Any], at: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    x = np.column_stack((levels.fp_above, levels.fp)).ravel()
    return x, np.column_stack((above, at)).ravel()
