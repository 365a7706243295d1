"""Thresholds hold the false-alarm rate they promise, and maps keep the order of scores."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.domain.artefact import ScoreMap
from inspector.domain.errors import BadInputError
from inspector.pipeline.calibration import MIN_FRAMES, fit_score_map, threshold


def mapped(score_map: ScoreMap, raw: float) -> float:
    return 1 / (1 + math.exp(-(raw - score_map.midpoint) / score_map.scale))


def test_the_threshold_becomes_a_half_and_the_median_a_tenth() -> None:
    scores = np.random.default_rng(0).gumbel(3, 0.5, 40).tolist()
    score_map = fit_score_map(scores, 0.02)
    assert mapped(score_map, threshold(scores, 0.02)) == pytest.approx(0.5)
    assert mapped(score_map, float(np.median(scores))) == pytest.approx(0.1)


def test_with_many_frames_the_rate_is_the_one_asked_for_whatever_the_law_of_the_scores() -> None:
    scores = np.random.default_rng(1).exponential(size=5000)
    assert np.mean(scores > threshold(scores.tolist(), 0.01)) == pytest.approx(0.01, abs=0.0005)


@pytest.mark.parametrize("law", ["gumbel", "normal"])
def test_with_sixteen_frames_new_normal_frames_exceed_the_threshold_about_as_rarely_as_promised(law: str) -> None:
    draw = getattr(np.random.default_rng(2), law)
    new = draw(size=20_000)
    rates = [np.mean(new > threshold(draw(size=16).tolist(), 0.01)) for _ in range(200)]
    assert 0.002 < np.mean(rates) < 0.02


def test_no_threshold_below_a_normal_frame_seen_when_none_is_expected_above() -> None:
    assert threshold([0.0] * 15 + [100.0], 0.01) >= 100


def test_identical_scores_still_give_a_usable_map() -> None:
    score_map = fit_score_map([0.3] * 10)
    assert mapped(score_map, 0.3) == pytest.approx(0.1)
    assert score_map.scale > 0


@given(st.lists(st.floats(-1e6, 1e6), min_size=MIN_FRAMES, max_size=50), st.floats(0.001, 0.5))
def test_every_map_is_increasing_and_puts_normals_low(scores: list[float], rate: float) -> None:
    score_map = fit_score_map(scores, rate)
    assert score_map.scale > 0
    assert mapped(score_map, float(np.median(scores))) <= 0.1 + 1e-6
    assert score_map.midpoint > np.median(scores)


@pytest.mark.parametrize(
    ("scores", "rate", "expected"),
    [
        ([0.1] * (MIN_FRAMES - 1), 0.01, "at least 8 normal frames, got 7"),
        ([0.1] * 9 + [math.nan], 0.01, "finite"),
        ([0.1] * 9, 0.0, "false-alarm rate"),
        ([0.1] * 9, 1.0, "false-alarm rate"),
    ],
)
def test_what_cannot_be_calibrated_is_said(scores: list[float], rate: float, expected: str) -> None:
    with pytest.raises(BadInputError, match=expected):
        fit_score_map(scores, rate)
