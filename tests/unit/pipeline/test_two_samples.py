"""Chances are what they say under one law, and a change is found whatever the law."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics.pairwise import rbf_kernel

from inspector.pipeline.two_samples import (
    Difference,
    kernel_discrepancy,
    largest_shift,
    median_shift,
    population_stability,
)

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]
Test = Callable[[NDArray[np.float64], NDArray[np.float64], int], Difference]


def beta(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    return random.beta(2, 8, count)


def autumn(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    return random.beta(3, 6, count)


def around(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Vectors of length 1 in two clusters."""
    return clusters(random, count, 0.5)


def clusters(random: np.random.Generator, count: int, share: float) -> NDArray[np.float64]:
    centre = np.zeros((2, 16))
    centre[0, 0] = centre[1, 1] = 1
    found = centre[(random.random(count) < share).astype(int)] + random.normal(0, 0.1, (count, 16))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def otherwise(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    return clusters(random, count, 0.9)


TESTS: list[tuple[Test, Draw, Draw]] = [
    (population_stability, beta, autumn),
    (median_shift, beta, autumn),
    (kernel_discrepancy, around, otherwise),
    (largest_shift, around, otherwise),
]


@pytest.mark.parametrize(("test", "law", "other"), TESTS, ids=lambda each: getattr(each, "__name__", ""))
def test_one_law_is_taken_for_two_as_rarely_as_said_and_two_are_told_apart(test: Test, law: Draw, other: Draw) -> None:
    random = np.random.default_rng(0)
    chances = [test(law(random, 60), law(random, 80), seed).chance for seed in range(30)]
    assert sum(chance <= 0.05 for chance in chances) <= 5
    assert np.mean(chances) == pytest.approx(0.5, abs=0.2)
    assert all(test(law(random, 100), other(random, 100), seed).chance <= 0.01 for seed in range(3))


def test_the_stability_index_is_its_formula_and_of_the_same_sample_nothing() -> None:
    random = np.random.default_rng(1)
    baseline, recent = beta(random, 5000), autumn(random, 5000)
    edges = np.quantile(np.concatenate([baseline, recent]), np.linspace(0, 1, 11)[1:-1])
    p, q = (np.bincount(np.searchsorted(edges, x), minlength=10) / len(x) for x in (baseline, recent))
    assert population_stability(baseline, recent, 0).value == pytest.approx(((p - q) * np.log(p / q)).sum(), rel=0.01)
    assert population_stability(baseline, baseline, 0).value == pytest.approx(0, abs=1e-9)


def test_the_discrepancy_is_that_of_a_librarys_kernel() -> None:
    random = np.random.default_rng(2)
    x, y = around(random, 30), otherwise(random, 40)
    pooled = np.concatenate([x, y])
    squared = ((pooled[:, None] - pooled[None]) ** 2).sum(axis=-1)
    gamma = 1 / (2 * np.median(squared[np.triu_indices(70, 1)]))
    kxx, kyy, kxy = (rbf_kernel(a, b, gamma) for a, b in ((x, x), (y, y), (x, y)))
    expected = (kxx.sum() - 30) / (30 * 29) + (kyy.sum() - 40) / (40 * 39) - 2 * kxy.mean()
    assert kernel_discrepancy(x, y, 0).value == pytest.approx(expected)


def test_scores_that_are_all_one_are_no_difference() -> None:
    same = np.full(60, 0.1)
    for test in (population_stability, median_shift):
        assert test(same, same, 0) == Difference(pytest.approx(0, abs=1e-12), 1.0)
    points = np.ones((20, 4))
    assert kernel_discrepancy(points, points, 0).chance == 1.0
