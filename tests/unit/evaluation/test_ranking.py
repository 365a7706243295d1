from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve, roc_auc_score

from inspector.evaluation.ranking import rank_images

Pairs = list[tuple[int, bool]]
tied_pairs = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=60)


@given(tied_pairs)
def test_image_metrics_are_scikit_learns_with_ties(pairs: Pairs) -> None:
    scores, truth = np.array([p[0] / 7 for p in pairs]), np.array([p[1] for p in pairs])
    ranking = rank_images(scores.tolist(), truth.tolist())
    if truth.all() or not truth.any():
        reason = f"no {'normal' if truth.any() else 'anomalous'} image among {len(pairs)}"
        for metric in (ranking.auroc, ranking.ap, ranking.f1_max):
            assert (metric.value, metric.reason) == (None, reason)
        assert ranking.threshold is None
        return
    precision, recall, _ = precision_recall_curve(truth, scores)
    f1 = 2 * precision * recall / np.where(recall > 0, precision + recall, 1)
    assert ranking.auroc.value == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert ranking.ap.value == pytest.approx(average_precision_score(truth, scores), abs=1e-12)
    assert ranking.f1_max.value == pytest.approx(f1.max(), abs=1e-12)
    assert f1_score(truth, scores >= ranking.threshold) == pytest.approx(f1.max(), abs=1e-12)
    assert ranking.auroc.error_bound == ranking.ap.error_bound == ranking.f1_max.error_bound == 0


def test_images_have_no_regions_so_no_aupro() -> None:
    ranking = rank_images([0.1, 0.2], [False, True])
    assert (ranking.aupro.value, ranking.aupro.reason, ranking.pro) == (None, "no regions", ())


def test_scores_that_differ_only_in_float64_are_told_apart() -> None:
    assert rank_images([1.0, 1.0 + 1e-12], [False, True]).auroc.value == 1.0


def test_no_image_at_all_gives_no_value() -> None:
    assert rank_images([], []).auroc.value is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_an_error(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        rank_images([0.1, bad], [True, False])


def test_a_score_without_a_truth_is_an_error() -> None:
    with pytest.raises(ValueError, match="truth for each"):
        rank_images([0.1, 0.2], [True])
