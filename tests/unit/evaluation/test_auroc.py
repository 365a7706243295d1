from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from inspector.evaluation.metrics import PixelAuroc, image_auroc


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=60))
def test_image_auroc_is_scikit_learns_with_ties(pairs: list[tuple[int, bool]]) -> None:
    scores, truth = np.array([p[0] / 7 for p in pairs]), np.array([p[1] for p in pairs])
    metric = image_auroc(scores, truth)
    if truth.all() or not truth.any():
        assert metric.value is None
        assert metric.reason == f"no {'normal' if truth.any() else 'anomalous'} image among {len(pairs)}"
    else:
        assert metric.value == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
        assert metric.error_bound == 0


def test_no_image_at_all_gives_no_value() -> None:
    assert image_auroc(np.array([]), np.array([], bool)).value is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_an_error(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        image_auroc(np.array([0.1, bad]), np.array([True, False]))


@given(seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([1.0, 1e-2, 1e-4]), dtype=st.sampled_from(["f2", "f4"]))
def test_pixel_auroc_over_images_is_scikit_learns_within_its_bound(seed: int, spread: float, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    maps = [(0.5 + spread * (rng.random((16, 24)) - 0.5)).astype(dtype) for _ in range(3)]
    masks = [rng.random((16, 24)) < share for share in (0.0, 0.1, 0.3)]
    auroc = PixelAuroc()
    for anomaly_map, mask in zip(maps, masks, strict=True):
        auroc.add(anomaly_map, mask.astype(np.uint8) * 255)
    metric = auroc.result()
    exact = roc_auc_score(np.concatenate(masks).ravel(), np.concatenate(maps).astype(float).ravel())
    assert metric.value is not None
    assert abs(metric.value - exact) <= metric.error_bound + 1e-12


def test_scores_at_both_ends_are_counted() -> None:
    auroc = PixelAuroc()
    auroc.add(np.array([[0.0, 1.0]]), np.array([[0, 1]]))
    assert auroc.result().value == 1.0
    assert auroc.result().error_bound == 0.0


def test_only_good_pixels_give_no_value_and_say_so() -> None:
    auroc = PixelAuroc()
    auroc.add(np.zeros((2, 3)), np.zeros((2, 3), np.uint8))
    assert auroc.result().value is None
    assert auroc.result().reason == "no anomalous pixel among 6"


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1])
def test_a_map_outside_its_range_is_an_error(bad: float) -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        PixelAuroc().add(np.array([[0.5, bad]]), np.array([[0, 1]]))


def test_a_mask_of_another_shape_is_an_error() -> None:
    with pytest.raises(ValueError, match="one shape"):
        PixelAuroc().add(np.zeros((2, 3)), np.zeros((3, 2)))
