"""AUPRO as it is usually computed: from 200 thresholds.

Per-region overlap (Bergmann et al. 2021, IJCV 129, "The MVTec Anomaly Detection Dataset"): at a threshold, the mean
over all regions of the class of the share of the region's pixels that are above it. AUPRO is the area under it over the
false-positive rate, from 0 to a limit of 0.3, divided by the limit.

``aupro`` (``ranking.py``) takes every distinct score as a threshold, and cuts the curve at exactly 0.3, where it is
interpolated. So does MVTec's own evaluation.

``aupro_legacy`` is what most published tables hold (CutPaste and PaDiM reimplementations, UniAD, AnomalyCLIP and those
that build on it): 200 thresholds at equal steps from the lowest score (in) to the highest (out), "above" being strict;
only those with an FPR strictly below 0.3 are kept, the FPR of these is stretched to 0..1, and the trapezoids summed. So
the curve ends before 0.3, by how much depends on the scores, and what lies left of the highest threshold's FPR is cut
away. (Older versions only divide by the highest FPR kept; the stretch is AnomalyCLIP's, whose numbers reports show.)
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inspector.evaluation.exact_pixels import Reached
from inspector.evaluation.keys import keys_below, scores_of
from inspector.evaluation.metrics import Metric
from inspector.evaluation.ranking import FPR_LIMIT, Totals

THRESHOLDS = 200


class _Pixels(Protocol):
    def totals(self) -> Totals: ...

    def extremes(self) -> tuple[np.uint32, np.uint32]: ...

    def above(self, keys: NDArray[np.uint32]) -> Reached: ...


def legacy_aupro(pixels: _Pixels) -> Metric:
    """Return AUPRO from 200 thresholds; for binned pixels the middle of what is possible, half of that the bound."""
    totals = pixels.totals()
    if (reason := totals.missing()) is not None:
        return Metric(None, reason)
    lowest, highest = scores_of(np.array(pixels.extremes())).astype(np.float64)
    if lowest == highest:
        return Metric(None, "all pixels have the same score")
    thresholds = lowest + (highest - lowest) / THRESHOLDS * np.arange(THRESHOLDS)
    reached = pixels.above(keys_below(thresholds))
    spans = [_span(reached, first) for first in _possible_firsts(reached, FPR_LIMIT * totals.normal)]
    if not spans or None in spans:
        return Metric(None, f"fewer than two FPRs below {FPR_LIMIT} among {THRESHOLDS} thresholds")
    low, high = min(span[0] for span in spans if span), max(span[1] for span in spans if span)
    return Metric((low + high) / 2, error_bound=(high - low) / 2)


def _possible_firsts(reached: Reached, limit: float) -> range:
    """Return the lowest threshold with an FPR below the limit: one, or several where a bin leaves it open."""
    count = reached.fp_low.size
    earliest = count - int((reached.fp_low < limit).sum())
    latest = count - int((reached.fp_high < limit).sum())
    return range(earliest, min(latest, count - 1) + 1)


def _span(reached: Reached, first: int) -> tuple[float, float] | None:
    """Return the lowest and highest area that thresholds from ``first`` on can give, None where they span no FPR.

    With x falling and y falling, the area N / D is

        N = sum of (x_i - x_i+1) (y_i + y_i+1) / 2,   D = x_first - x_last.

    It rises with every y, and falls with every x in between, as x_i comes with (y_i+1 - y_i-1) / 2 <= 0. In each of
    x_first and x_last it is a ratio of linear functions, so it is extreme where they are: at one of four corners. As a
    weighted mean of y it can leave y's own range neither way.
    """
    low, high = reached.fp_low[first:].astype(np.float64), reached.fp_high[first:].astype(np.float64)
    y_low, y_high = reached.overlap_low[first:], reached.overlap_high[first:]
    if low.size < 2 or high[0] <= low[-1]:
        return None
    if low[0] <= high[-1]:  # bins so wide that the kept thresholds might all have one FPR
        return float(y_low[-1]), float(y_high[0])
    corners = [(start, end) for start in {low[0], high[0]} for end in {low[-1], high[-1]}]
    lowest = min(_area(start, high[1:-1], end, y_low) for start, end in corners)
    highest = max(_area(start, low[1:-1], end, y_high) for start, end in corners)
    return max(lowest, float(y_low[-1])), min(highest, float(y_high[0]))


def _area(start: float, inner: NDArray[np.float64], end: float, y: NDArray[np.float64]) -> float:
    x = np.concatenate(([start], inner, [end]))
    return float(-np.trapezoid(y, x) / (start - end))
