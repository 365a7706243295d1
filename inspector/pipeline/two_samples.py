"""Whether two samples are of one law: measures of how far apart they are, with the chance of that under one law.

Each chance is that of a permutation test (Fisher 1935): the pooled sample is divided at random, as often as said, and
counted is how often the halves are as far apart. It holds for any law, as far as the frames are independent: frames
of one part or one minute are not quite, so a difference must be large as well before anything is made of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PERMUTATIONS = 1000
_SMOOTHING = 0.5  # of a frame in each bin, or an empty bin would be infinitely far from any other
_FRAMES_A_BIN = 25

Values = NDArray[np.float64]


class Difference(NamedTuple):
    """How far apart two samples are, and the chance of as much or more where they are of one law."""

    value: float
    chance: float


def population_stability(baseline: Values, recent: Values, seed: int) -> Difference:
    """Return the population stability index of two samples [n], [m]: ``sum (p - q) ln(p / q)`` over bins.

    The usual reading (Siddiqi 2006): below 0.1 no change, above 0.25 a large one. Bins hold equal shares of both
    samples together, 3 to 10 by their size: with more than one for 25 scores the index is high by chance
    alone (its mean is about ``(bins - 1) (1 / n + 1 / m)``, Yurdakul 2018).
    """
    pooled = np.concatenate([baseline, recent])
    bins = int(np.clip(min(len(baseline), len(recent)) // _FRAMES_A_BIN, 3, 10))
    edges = np.unique(np.quantile(pooled, np.linspace(0, 1, bins + 1)[1:-1]))
    placed = np.searchsorted(edges, pooled, side="right")
    counts = np.bincount(placed, minlength=len(edges) + 1)
    first = np.bincount(placed[: len(baseline)], minlength=len(counts))
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(counts, len(baseline), PERMUTATIONS)
    values = _stability_index(np.vstack([first, drawn]), counts)
    return Difference(float(values[0]), _chance(values))


def kernel_discrepancy(baseline: Values, recent: Values, seed: int) -> Difference:
    """Return the squared maximum mean discrepancy of two samples of vectors [n, D], [m, D], unbiased: about 0 to 1.

    Gaussian kernel, as wide as the median distance (Gretton et al. 2012, JMLR 13). It may be a little below 0.
    """
    pooled = np.concatenate([baseline, recent])
    lengths = (pooled**2).sum(axis=1)
    squared = np.maximum(lengths[:, None] + lengths[None, :] - 2 * pooled @ pooled.T, 0)
    off_diagonal = squared[np.triu_indices(len(pooled), 1)]
    kernel = np.exp(-squared / max(2 * float(np.median(off_diagonal)), 1e-12))
    np.fill_diagonal(kernel, 0)
    n, m = len(baseline), len(recent)
    members = _memberships(n, n + m, seed)
    within_first = ((members @ kernel) * members).sum(axis=1)
    within_second = (((1 - members) @ kernel) * (1 - members)).sum(axis=1)
    between = kernel.sum() - within_first - within_second
    values = within_first / (n * (n - 1)) + within_second / (m * (m - 1)) - between / (n * m)
    return Difference(float(values[0]), _chance(values))


def median_shift(baseline: Values, recent: Values, seed: int) -> Difference:
    """Return how far the median of ``recent`` [m] is above that of ``baseline`` [n], with the chance of their ranks."""
    pooled = np.concatenate([baseline, recent])
    # Ties share their ranks, or their order in the sample would count.
    below, at = np.searchsorted(np.sort(pooled), pooled, "left"), np.searchsorted(np.sort(pooled), pooled, "right")
    centred = (below + at) / 2 - len(pooled) / 2
    sums = np.abs(_memberships(len(baseline), len(pooled), seed) @ centred)
    return Difference(float(np.median(recent) - np.median(baseline)), _chance(sums))


def largest_shift(baseline: Values, recent: Values, seed: int) -> Difference:
    """Return the largest change of a mean among the columns of two samples [n, K], [m, K], without its sign.

    Its chance allows for there being many columns (the maximum's own law, Westfall & Young 1993).
    """
    pooled = np.concatenate([baseline, recent])
    members = _memberships(len(baseline), len(pooled), seed)
    changes = members @ pooled / len(baseline) - (1 - members) @ pooled / len(recent)
    values = np.abs(changes).max(axis=1)
    return Difference(float(values[0]), _chance(values))


def _stability_index(first: NDArray[np.int64], counts: NDArray[np.int64]) -> Values:
    second = counts - first
    shares = [(part + _SMOOTHING) / (part + _SMOOTHING).sum(axis=1, keepdims=True) for part in (first, second)]
    index: Values = ((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum(axis=1)
    return index


def _memberships(first: int, total: int, seed: int) -> Values:
    """Return who is in the first sample, 0 or 1 [1 + PERMUTATIONS, total]: as it is, then at random."""
    as_it_is = np.repeat([1.0, 0.0], [first, total - first])
    shuffled = np.random.default_rng(seed).permuted(np.tile(as_it_is, (PERMUTATIONS, 1)), axis=1)
    return np.vstack([as_it_is, shuffled])


def _chance(values: Values) -> float:
    """Return the share of values as large as the first, itself included; equal up to rounding counts."""
    tolerance = 1e-9 * max(1.0, float(np.abs(values[0])))
    return float((values >= values[0] - tolerance).mean())
