"""Tests and bounds for counts, exact at any size: gates are passed and people named on a handful of frames."""

from __future__ import annotations

import math

_BISECTIONS = 40  # halvings of 0..1: to 1e-12


def binomial_tail(successes: int, trials: int, probability: float) -> float:
    """Return the chance of at least so many successes, each of ``probability`` (0..1)."""
    if successes <= 0:
        return 1.0
    if successes > trials or probability <= 0:
        return 0.0
    if probability >= 1:
        return 1.0
    return _binomial(range(successes, trials + 1), trials, probability)


def rate_upper_bound(successes: int, trials: int, confidence: float) -> float:
    """Return the one-sided upper bound of a rate (Clopper & Pearson 1934): 1 where nothing was tried.

    It is the rate at which so few successes have a chance of just ``1 - confidence``.
    """
    if successes >= trials:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _binomial(range(successes + 1), trials, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def trials_needed(rate: float, confidence: float) -> int:
    """Return how many trials without a success bring the upper bound of a rate (above 0, below 1) to ``rate``."""
    return math.ceil(math.log(1 - confidence) / math.log1p(-rate))


def fisher_tail(successes: int, trials: int, other_successes: int, other_trials: int) -> float:
    """Return the chance that so many of all successes, or more, are among the first trials if both have one rate.

    One-sided exact test of a 2 x 2 table (Fisher 1922).
    """
    total = trials + other_trials
    drawn = successes + other_successes
    whole = _log_choose(total, drawn)
    most = min(trials, drawn)
    terms = (
        _log_choose(trials, k) + _log_choose(other_trials, drawn - k) - whole
        for k in range(max(successes, drawn - other_trials), most + 1)
    )
    return min(1.0, math.fsum(map(math.exp, terms)))


def _binomial(successes: range, trials: int, probability: float) -> float:
    """Return the chance of any of these numbers of successes; ``probability`` is neither 0 nor 1."""
    log_p, log_q = math.log(probability), math.log1p(-probability)
    terms = (_log_choose(trials, k) + k * log_p + (trials - k) * log_q for k in successes)
    return min(1.0, math.fsum(map(math.exp, terms)))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
