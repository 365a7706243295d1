"""A threshold from frames that nobody labelled: defects among them neither hide themselves nor raise it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.pipeline.calibration import fit_unlabelled_score_map, threshold

RATE = 0.01


@given(st.integers(0, 100), st.floats(0.5, 5), st.sampled_from([8, 12, 16, 24, 32, 64]), st.sampled_from([3, 5]))
def test_the_unlabelled_threshold_finds_the_bad_third_and_spares_the_good(
    seed: int, beta: float, frames: int, one_in: int
) -> None:
    rng = np.random.default_rng(seed)
    bad = frames // one_in
    good = rng.gumbel(3, beta, frames - bad)
    clean = fit_unlabelled_score_map(list(rng.gumbel(3, beta, frames)), RATE)
    mixed = fit_unlabelled_score_map([*good, *(3 + 40 * beta + rng.random(bad))], RATE)
    # Above the usual good frame even where eight of them say little (of all these seeds 1.0 to 14.2 beta above 3).
    assert 3 + beta / 2 < clean.midpoint < 3 + 15 * beta
    assert 3 + beta / 2 < mixed.midpoint < 3 + 40 * beta
    naive = threshold([*good, *(3 + 40 * beta + rng.random(bad))], RATE)
    assert naive > 3 + 40 * beta


@pytest.mark.parametrize(("bad", "far"), [(0, 0), (3, 8), (8, 8), (8, 4)])
def test_an_unlabelled_threshold_alarms_as_often_as_asked_whatever_the_share_of_defects(bad: int, far: float) -> None:
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(400):
        scores = [*rng.gumbel(size=32 - bad), *(far * (1 + rng.random(bad)))]
        rates.append(-np.expm1(-np.exp(-fit_unlabelled_score_map(scores, 0.01).midpoint)))  # of good frames to come
    assert 0.002 < np.mean(rates) < 0.01  # a little below, as real scores reach farther than these


def test_an_unlabelled_threshold_of_equal_scores_lies_above_them() -> None:
    assert fit_unlabelled_score_map([2.0] * 10).midpoint > 2
