from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import auc, precision_recall_curve, roc_curve

from inspector.evaluation import exact_pixels
from inspector.evaluation.curves import Points
from inspector.evaluation.pixel_scores import PixelScores
from inspector.evaluation.ranking import rank_images


def samples(count: int = 20_000) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    truth = (rng.random((1, count)) < 0.1).astype(np.uint8)
    return (rng.normal(size=truth.shape) + truth).astype(np.float32), truth


def collected() -> PixelScores:
    pixels = PixelScores()
    pixels.add(*samples())
    return pixels


def area(points: Points) -> float:
    return float(auc(*np.transpose(points)))


@pytest.mark.parametrize("chunk", [100, 2**20])
def test_the_roc_curve_has_few_points_all_of_them_on_it(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(exact_pixels, "_CHUNK", chunk)
    ranking = collected().ranking()
    scores, truth = samples()
    fpr, tpr, _ = roc_curve(truth.ravel(), scores.ravel(), drop_intermediate=False)
    on_it = set(zip(fpr.round(9).tolist(), tpr.round(9).tolist(), strict=True))
    assert {(round(x, 9), round(y, 9)) for x, y in ranking.roc} <= on_it
    assert (ranking.roc[0], ranking.roc[-1]) == ((0, 0), (1, 1))
    assert 100 < len(ranking.roc) <= 205
    assert area(ranking.roc) == pytest.approx(ranking.auroc.value, abs=0.01)


def test_the_pro_curve_ends_at_the_limit_where_it_is_interpolated() -> None:
    ranking = collected().ranking()
    x, y = np.transpose(ranking.pro)
    assert (x[0], y[0]) == (0, 0)
    assert x[-1] == pytest.approx(0.3)
    assert len(x) <= 205
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    assert area(ranking.pro) / 0.3 == pytest.approx(ranking.aupro.value, abs=0.01)


def test_the_cut_off_lies_on_the_line_between_its_neighbours() -> None:
    # One tie of everything: a straight line from (0, 0) to (1, 1).
    pixels = PixelScores()
    pixels.add(np.zeros((2, 2), np.float32), np.array([[0, 0], [0, 1]], np.uint8))
    assert pixels.ranking().pro == ((0, 0), pytest.approx((0.3, 0.3)))


def test_the_pr_curve_has_precision_where_there_is_one() -> None:
    scores, truth = (array.ravel() for array in samples(2000))
    points = rank_images(scores.tolist(), truth.tolist()).pr
    precision, recall, _ = precision_recall_curve(truth, scores)
    on_it = set(zip(recall.round(9).tolist(), precision.round(9).tolist(), strict=True))
    assert {(round(x, 9), round(y, 9)) for x, y in points} <= on_it
    assert points[0][0] > 0
    assert points[-1][0] == 1
    assert len(points) <= 205


def test_a_curve_of_two_images() -> None:
    ranking = rank_images([0.9, 0.1], [True, False])
    assert ranking.roc == ((0, 0), (0, 1), (1, 1))
    assert ranking.pr == ((1, 1),)


def test_defects_below_everything_normal_still_end_at_one_one() -> None:
    assert rank_images([0.1, 0.2, 0.9], [True, True, False]).roc[-2:] == ((1, 0.5), (1, 1))
