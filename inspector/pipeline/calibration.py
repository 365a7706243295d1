"""Raw scores of normal frames -> the monotone maps that make 0.5 the threshold at a wanted false-alarm rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from inspector.domain.artefact import ScoreMap
from inspector.domain.errors import BadInputError

MIN_FRAMES = 8
DEFAULT_FALSE_ALARM_RATE = 0.01
# Mapped score of the median normal frame.
MEDIAN_SCORE = 0.1

_EULER_GAMMA = 0.5772156649015329
# An empirical quantile is trusted if at least this many of the frames lie above it.
_FRAMES_ABOVE = 5
# Of scores that may be of defects, the highest third is known to be high and no more. One score of a defect among the
# trusted, and the threshold leaves every defect below it; with 32 good frames, to trust no more costs little: on
# Gumbel scores, 1.5 % instead of 1.3 % false alarms for a target of 1 %.
_TRUSTED = 2 / 3
# Scores of frames reach farther than Gumbel's law says: of plates and belts as the virtual lines make them (skewness
# 1.3 and 1.5 instead of 1.14) 2.8 and 1.9 % of the good ones would alarm instead of 1 %; see deploy/decisions/0031.
_HEAVIER = 1.15
# A score so high that so few of all good frames are expected above it is one of a defect; of fewer frames than these
# nobody can say it. Simulated on Gumbel scores for a target of 1 %, which alarm more rarely than those of frames: of 32
# 0.6 % without a defect, and with a quarter of them, where 0.1 % would if none was left out: weak defects would pass.
_EXPECTED_ABOVE = 0.25
_FRAMES_TO_LEAVE_OUT_OF = 16
# By how much of itself, over the frames, the quantile is set higher, as the line is no better known than they tell.
# Simulated on Gumbel scores for a target of 1 %: of 16, 32 and 64 frames 1.7, .9 and .7 % false alarms become 1.0, .6
# and .6. More, and eight frames would put it beyond all defects.
_UNSURE = 2.8


def threshold(raw_scores: Sequence[float], false_alarm_rate: float) -> float:
    """Return the raw score that a normal frame exceeds with probability ``false_alarm_rate`` (above 0, below 1).

    One that equals it is judged anomalous too; scores are continuous, and hardly any but the same frame again does.

    With at least 5 frames expected above it, the empirical quantile. With fewer, the quantile of a Gumbel
    distribution fitted by moments (frame scores are maxima over a map, whose law tends to it: Fisher-Tippett), but
    not below the largest score seen if not one frame is expected above.

    Raises:
        BadInputError: fewer than 8 scores, one that is not finite, or a rate out of range.
    """
    scores = _checked(raw_scores, false_alarm_rate)
    expected_above = len(scores) * false_alarm_rate
    if expected_above >= _FRAMES_ABOVE:
        return float(np.quantile(scores, 1 - false_alarm_rate, method="higher"))
    beta = float(scores.std(ddof=1)) * math.sqrt(6) / math.pi
    mode = float(scores.mean()) - _EULER_GAMMA * beta
    extrapolated = mode + beta * _gumbel_quantile(false_alarm_rate)
    return max(extrapolated, float(scores.max())) if expected_above < 1 else extrapolated


def fit_score_map(raw_scores: Sequence[float], false_alarm_rate: float = DEFAULT_FALSE_ALARM_RATE) -> ScoreMap:
    """Return the map that sends ``threshold`` to 0.5 and the median normal frame to 0.1. Raises as ``threshold``.

    Identical scores leave no scale to be had: a thousandth of their size (at least 1e-6) is then put between median
    and threshold.
    """
    median = float(np.median(_checked(raw_scores, false_alarm_rate)))
    midpoint = max(threshold(raw_scores, false_alarm_rate), median + _least_scale(median))
    return ScoreMap(midpoint, (midpoint - median) / math.log((1 - MEDIAN_SCORE) / MEDIAN_SCORE))


def fit_unlabelled_score_map(
    raw_scores: Sequence[float], false_alarm_rate: float = DEFAULT_FALSE_ALARM_RATE
) -> ScoreMap:
    """Return such a map from frames of which up to a third may be defective, nobody knows which.

    A Gumbel distribution (see ``threshold``) is fitted to the lowest two thirds: the line of least squares through
    their order statistics against its quantiles at Gringorten's plotting positions ``(i - 0.44) / (n + 0.12)``. What
    the highest third scores does not enter, so it cannot hide itself; its share would. So scores that the line leaves
    to no good frame, up to that third, do not count, and the line is fitted to what is left until none is left out.
    The fewer the frames, the less they say of the line, and the farther out the threshold is put.

    Raises:
        BadInputError: as ``threshold``.
    """
    scores = np.sort(_checked(raw_scores, false_alarm_rate))
    mode, beta, count = _line_of_good(scores)
    median = mode - beta * math.log(math.log(2))
    midpoint = max(mode + beta * _reach(false_alarm_rate, count), median + _least_scale(median))
    return ScoreMap(midpoint, (midpoint - median) / math.log((1 - MEDIAN_SCORE) / MEDIAN_SCORE))


def _line_of_good(scores: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, float, int]:
    """Return mode and scale of the Gumbel law of the good among rising scores, and how many are taken for good."""
    count, least = len(scores), math.ceil(_TRUSTED * len(scores))
    while True:
        mode, beta = _gumbel_line(scores, count)
        highest = mode + beta * _reach(_EXPECTED_ABOVE / count, count)
        left = max(int((scores < highest).sum()), least)
        if left >= count or len(scores) < _FRAMES_TO_LEAVE_OUT_OF:
            return mode, beta, count
        count = left


def _reach(rate: float, count: int) -> float:
    """Return how many scales above the mode a score lies that so many good frames exceed, as ``count`` tell it."""
    return (_HEAVIER + _UNSURE / count) * _gumbel_quantile(rate)


def _gumbel_quantile(rate: float) -> float:
    """Return what a standard Gumbel variable exceeds with probability ``rate``."""
    return -math.log(-math.log1p(-rate))


def _gumbel_line(scores: np.ndarray[tuple[int], np.dtype[np.float64]], count: int) -> tuple[float, float]:
    """Return mode and scale of the Gumbel law whose lowest two thirds, of ``count``, rising scores begin with."""
    positions = (np.arange(1, count + 1) - 0.44) / (count + 0.12)
    trusted = math.floor(_TRUSTED * count)
    x, y = -np.log(-np.log(positions[:trusted])), scores[:trusted]
    beta = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
    return float(y.mean()) - beta * float(x.mean()), beta


def _least_scale(median: float) -> float:
    return max(1e-6, abs(median) * 1e-3)


def _checked(raw_scores: Sequence[float], false_alarm_rate: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    scores = np.asarray(raw_scores, np.float64)
    if len(scores) < MIN_FRAMES:
        raise BadInputError(f"at least {MIN_FRAMES} normal frames", str(len(scores)), "add normal frames of the camera")
    if not np.isfinite(scores).all():
        raise BadInputError("finite scores", "NaN or infinity", "check the frames and the weights")
    if not 0 < false_alarm_rate < 1:
        raise BadInputError("a false-alarm rate above 0 and below 1", str(false_alarm_rate), "use for example 0.01")
    return scores
