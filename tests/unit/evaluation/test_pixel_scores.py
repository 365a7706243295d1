"""Exact pixel metrics against scikit-learn and the definitions, binned ones against the exact ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slow_metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from inspector.evaluation import binned_pixels, exact_pixels
from inspector.evaluation.metrics import Metric
from inspector.evaluation.pixel_scores import PixelScores
from inspector.evaluation.ranking import Ranking

Image = tuple[NDArray[np.float32], NDArray[np.uint8]]
NAMES = ("auroc", "ap", "f1_max", "aupro")


@st.composite
def class_images(draw: st.DrawFn) -> list[Image]:
    """A few small images: many ties or none, dense or sparse or no defects, defects on borders and of one pixel."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps = draw(st.sampled_from([1, 3, 1000]))
    made = []
    for share in draw(st.lists(st.sampled_from([0.0, 0.03, 0.3, 1.0]), min_size=1, max_size=3)):
        mask = (rng.random((6, 8)) < share).astype(np.uint8)
        scores = np.round((rng.normal(size=mask.shape) + mask) * steps) / steps
        made.append((scores.astype(np.float32), mask))
    return made


def collected(images: list[Image], exact_pixels: int = 10**6) -> PixelScores:
    pixels = PixelScores(exact_pixels)
    for scores, mask in images:
        pixels.add(scores, mask)
    return pixels


def values(ranking: Ranking) -> dict[str, float | None]:
    return {name: getattr(ranking, name).value for name in NAMES}


@pytest.mark.parametrize("chunk", [2, 2**20])
@given(images=class_images())
@settings(max_examples=30, deadline=None)
def test_exact_metrics_are_those_of_scikit_learn_and_of_the_definition(chunk: int, images: list[Image]) -> None:
    truth = np.concatenate([mask.ravel() for _, mask in images])
    scores = np.concatenate([s.ravel() for s, _ in images])
    pixels = collected(images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact_pixels, "_CHUNK", chunk)  # a tie may run over several chunks
        ranking, legacy = pixels.ranking(), pixels.legacy_aupro()
    assert pixels.method == "exact"
    if truth.all() or not truth.any():
        reason = f"no {'normal' if truth.any() else 'anomalous'} pixel among {truth.size}"
        assert {(metric.value, metric.reason) for metric in (ranking.auroc, ranking.aupro, legacy)} == {(None, reason)}
        return
    precision, recall, _ = precision_recall_curve(truth, scores)
    f1 = 2 * precision * recall / np.where(recall > 0, precision + recall, 1)
    assert values(ranking) == pytest.approx(
        {
            "auroc": roc_auc_score(truth, scores),
            "ap": average_precision_score(truth, scores),
            "f1_max": f1.max(),
            "aupro": slow_metrics.aupro(images),
        },
        abs=1e-9,
    )
    assert legacy.value == pytest.approx(slow_metrics.legacy_aupro(images), abs=1e-9)
    assert all(getattr(ranking, name).error_bound == 0 for name in NAMES)


@pytest.mark.parametrize("shift", [16, 20, 23])  # coarse enough to hold many of so few scores
@given(images=class_images(), exact_pixels=st.sampled_from([0, 60]))
@settings(max_examples=40, deadline=None)
def test_the_true_value_lies_within_the_bound_of_the_binned_one(
    shift: int, images: list[Image], exact_pixels: int
) -> None:
    exact = collected(images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(binned_pixels, "_SHIFT", np.uint32(shift))
        patch.setattr(binned_pixels, "BINS", 2 ** (32 - shift))
        binned = collected(images, exact_pixels)
        ranking, legacy = binned.ranking(), binned.legacy_aupro()
    if exact_pixels == 0:
        assert binned.method == "binned, 4194304 bins"
    for name in NAMES:
        assert_within(getattr(exact.ranking(), name), getattr(ranking, name))
    if legacy.value is not None:  # bins may be too wide to tell whether it exists
        assert_within(exact.legacy_aupro(), legacy)


def assert_within(exact: Metric, binned: Metric) -> None:
    if exact.value is None or binned.value is None:
        assert exact == binned
    else:
        assert abs(exact.value - binned.value) <= binned.error_bound + 1e-9


def noisy(seed: int, count: int = 4, side: int = 64) -> list[Image]:
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        mask = np.zeros((side, side), np.uint8)
        mask[5 : 9 + number, 0 : 12 * number] = 1
        made.append(((0.4 + 0.1 * rng.random(mask.shape) + 0.05 * mask).astype(np.float32), mask))
    return made


def test_bins_are_fine_enough_for_the_third_decimal() -> None:
    images = noisy(0, count=8)
    pixels = collected(images, 0)
    for metric in (*(getattr(pixels.ranking(), name) for name in NAMES), pixels.legacy_aupro()):
        assert 0 < metric.error_bound < 2e-3


def test_what_was_kept_exactly_is_counted_when_it_becomes_too_much() -> None:
    images = noisy(1)
    late, early = collected(images, 2 * 64 * 64), collected(images, 0)
    assert late.method.startswith("binned")
    assert replace(late.ranking(), aupro=early.ranking().aupro) == early.ranking()  # sums of shares round differently
    assert late.ranking().aupro.value == pytest.approx(early.ranking().aupro.value, abs=1e-12)
    assert late.regions == early.regions


@pytest.mark.parametrize(("defective", "method"), [(0, "exact"), (1, "binned, 4194304 bins")])
def test_a_defective_pixel_takes_the_room_of_two(defective: int, method: str) -> None:
    image = np.zeros((10, 10), np.float32), np.full((10, 10), defective, np.uint8)
    assert collected([image], exact_pixels=150).method == method


def test_a_result_may_be_asked_for_in_between() -> None:
    images = noisy(2)
    pixels = PixelScores()
    for scores, mask in images:
        pixels.add(scores, mask)
        pixels.ranking()
        pixels.legacy_aupro()
    assert pixels.ranking() == collected(images).ranking()
    assert pixels.legacy_aupro() == collected(images).legacy_aupro()


@pytest.mark.parametrize("exact_pixels", [10**6, 0])
def test_a_map_that_is_the_same_everywhere_ranks_nothing(exact_pixels: int) -> None:
    mask = np.zeros((10, 10), np.uint8)
    mask[4:6, 4:6] = 1
    pixels = collected([(np.full((10, 10), 0.25, np.float32), mask)], exact_pixels)
    ranking = pixels.ranking()
    assert ranking.auroc.value == pytest.approx(0.5)
    assert ranking.ap.value == pytest.approx(0.04)
    assert ranking.aupro.value == pytest.approx(0.15)  # a straight line to (1, 1), up to 0.3
    assert pixels.legacy_aupro() == Metric(None, "all pixels have the same score")


def test_pixels_that_touch_at_a_corner_are_one_region() -> None:
    # Two pixels, one of them found: as one region half of it, as two regions one of two: the same mean. The third
    # pixel tells: 1/2 of two regions if corners join, 1/3 of three if not.
    mask = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]], np.uint8)
    scores = np.where(mask, 0.0, 0.5).astype(np.float32)
    scores[0, 3] = 1.0
    assert collected([(scores, mask)]).ranking().aupro.value == pytest.approx(1 / 2)


def test_a_small_region_counts_as_much_as_a_large_one() -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[0, 0] = 1
    mask[5:15, 5:15] = 1
    scores = np.where(mask, 0.0, 0.5).astype(np.float32)
    scores[0, 0] = 1.0
    assert collected([(scores, mask)]).ranking().aupro.value == pytest.approx(1 / 2)


def test_images_may_differ_in_size_and_scores_in_sign() -> None:
    small = np.array([[-2.0, -0.5]], np.float32), np.array([[0, 1]], np.uint8)
    large = np.array([[-1.0, -0.0], [0.0, 3.0]], np.float32), np.array([[0, 0], [0, 1]], np.uint8)
    assert collected([small, large]).ranking().auroc.value == pytest.approx(6 / 8)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_map_with_a_score_that_is_no_number_is_an_error_and_leaves_the_rest(bad: float) -> None:
    images = noisy(3)
    pixels = collected(images)
    scores, mask = images[0][0].copy(), images[0][1]
    scores[3, 3] = bad
    with pytest.raises(ValueError, match="finite"):
        pixels.add(scores, mask)
    assert pixels.ranking() == collected(images).ranking()


def test_a_mask_of_another_shape_is_an_error() -> None:
    with pytest.raises(ValueError, match="one shape"):
        PixelScores().add(np.zeros((2, 3), np.float32), np.zeros((3, 2), np.uint8))
