from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from inspector.evaluation.class_meter import ClassMeter, ClassMetrics, mean_of
from inspector.evaluation.metrics import Metric

TYPES = ("crack", "hole")
NAMES = {
    *("image_auroc", "image_ap", "image_f1_max", "pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro", "aupro_legacy"),
    "aupimo",
    *("type_auroc", "type_ap", "type_macro_f1", "type_macro_f1_background", "type_regions", "type_recall"),
}


def square(at: int = 2, side: int = 3) -> NDArray[np.uint8]:
    mask = np.zeros((12, 12), np.uint8)
    mask[at : at + side, at : at + side] = 1
    return mask


def scores_for(mask: NDArray[np.uint8], seed: int = 0, gain: float = 0.5) -> NDArray[np.float32]:
    return (0.4 * np.random.default_rng(seed).random(mask.shape) + gain * mask.astype(float)).astype(np.float32)


def add_good(meter: ClassMeter, seed: int = 0, **more: Any) -> None:
    meter.add(0.2, scores_for(np.zeros((12, 12), np.uint8), seed), None, anomalous=False, **more)


def add_defect(meter: ClassMeter, kind: str = "crack", seed: int = 1, **more: Any) -> None:
    mask = square()
    meter.add(0.8, scores_for(mask, seed), mask, anomalous=True, image_types=[kind], **more)


def type_scores(crack: float, hole: float) -> NDArray[np.float32]:
    return np.full((2, 3, 3), np.array([crack, hole])[:, None, None], np.float32)


def test_a_class_has_every_metric_thresholds_and_curves() -> None:
    meter = ClassMeter(TYPES, name="plate")
    add_good(meter, type_scores=type_scores(0.1, 0.1))
    add_defect(meter, "crack", type_scores=type_scores(0.6, 0.1))
    add_defect(meter, "hole", seed=2, type_scores=type_scores(0.1, 0.7))
    result = meter.result()
    assert set(result.values) == NAMES
    assert {name for name, metric in result.values.items() if metric.value is None} == {"aupimo"}  # 144 good pixels
    assert result.values["image_auroc"].value == result.values["pixel_auroc"].value == 1.0
    assert result.values["type_macro_f1"].value == 1.0
    assert result.thresholds["image_f1_max"] == 0.8
    assert 0.4 < result.thresholds["pixel_f1_max"] <= 0.9
    assert (result.images, result.anomalous_images, result.regions, result.without_mask) == (3, 2, 2, 0)
    assert (result.name, result.method) == ("plate", "exact")
    assert set(result.curves) == {"image_roc", "image_pr", "pixel_roc", "pixel_pr", "pixel_pro"}
    assert set(result.types) == set(TYPES)


def test_good_images_only_have_reasons_instead_of_values() -> None:
    meter = ClassMeter(TYPES)
    add_good(meter)
    result = meter.result()
    assert {metric.value for metric in result.values.values()} == {None}
    assert result.values["image_auroc"].reason == "no anomalous image among 1"
    assert result.values["aupro"].reason == "no anomalous pixel among 144"
    assert result.thresholds == {"image_f1_max": None, "pixel_f1_max": None}
    assert (result.curves, result.confusion) == ({}, None)


def test_defects_only_still_have_pixel_metrics() -> None:
    meter = ClassMeter(())
    add_defect(meter)
    result = meter.result()
    assert result.values["image_auroc"] == Metric(None, "no normal image among 1")
    assert result.values["image_ap"].value is None
    assert result.values["aupro"].value == pytest.approx(1.0)
    assert result.values["type_auroc"] == Metric(None, "no defect types")


def test_a_defect_nobody_drew_counts_for_the_image_alone() -> None:
    meter = ClassMeter(TYPES)
    add_good(meter)
    meter.add(0.9, np.full((12, 12), 9.0, np.float32), None, anomalous=True, type_scores=type_scores(1, 0))
    result = meter.result()
    assert result.values["image_auroc"].value == 1.0
    assert result.values["pixel_auroc"].reason == "no anomalous pixel among 144"
    assert result.without_mask == 1


def test_a_defect_too_small_for_the_map_is_no_good_image() -> None:
    meter = ClassMeter(TYPES)
    add_good(meter, type_scores=type_scores(0.1, 0.1))
    add_defect(meter, "crack", type_scores=type_scores(0.6, 0.1))
    empty = np.zeros((12, 12), np.uint8)
    meter.add(0.8, scores_for(empty), empty, anomalous=True, type_scores=type_scores(0.6, 0.1), type_mask=empty)
    confusion = meter.result().confusion
    assert confusion is not None
    assert confusion.sum(axis=1).tolist() == [1, 1, 0]


def test_confusion_counts_regions_found_missed_and_mistaken_and_good_images() -> None:
    meter = ClassMeter(TYPES)
    add_good(meter, type_scores=type_scores(0.2, 0.1))
    add_defect(meter, "crack", type_scores=type_scores(0.6, 0.1))
    add_defect(meter, "hole", type_scores=type_scores(0.6, 0.1))
    mask = square(at=8)
    meter.add(0.5, scores_for(mask, gain=-1), mask, anomalous=True, image_types=["hole"], type_scores=type_scores(0, 1))
    peak = scores_for(np.zeros((12, 12), np.uint8))
    peak[5, 5] = 3.0
    meter.add(0.5, peak, None, anomalous=False, type_scores=type_scores(0.1, 0.3))
    confusion = meter.result().confusion
    assert confusion is not None
    #                               normal crack hole
    assert confusion.tolist() == [[1, 0, 1], [0, 1, 0], [1, 1, 0]]


def test_a_given_regions_type_is_judged_whatever_its_score() -> None:
    meter = ClassMeter(TYPES)
    add_good(meter, type_scores=type_scores(0.2, 0.1))
    for name in ("crack", "crack", "hole"):
        add_defect(meter, name, type_scores=type_scores(0.6, 0.1))
    mask = square(at=8)
    meter.add(
        0.5, scores_for(mask, gain=-1), mask, anomalous=True, image_types=["crack"], type_scores=type_scores(0, 1)
    )
    values = meter.result().values
    # Two of three cracks are right, the hole is taken for a crack.
    assert values["type_regions"].value == pytest.approx(2 / 4)
    assert values["type_recall"].value == pytest.approx((2 / 3 + 0) / 2)


def test_one_type_alone_says_nothing_of_regions() -> None:
    meter = ClassMeter(["crack"])
    add_good(meter)
    add_defect(meter, "crack", type_scores=type_scores(0.6, 0.1)[:1])
    assert meter.result().values["type_regions"].reason == "only one type to choose from"


def test_a_type_mask_tells_types_of_one_image_apart() -> None:
    meter = ClassMeter(TYPES)
    mask = square(1) | square(8)
    types = (square(1) + 2 * square(8)).astype(np.uint8)
    scores = np.zeros((2, 12, 12), np.float32)
    scores[0, :6], scores[1, 6:] = 0.7, 0.7
    meter.add(1.0, scores_for(mask), mask, type_scores=scores, type_mask=types, anomalous=True, image_types=TYPES)
    result = meter.result()
    assert result.values["type_macro_f1"].value == 1.0
    assert result.confusion is not None
    assert result.confusion.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("image_types", [["rust"], ["crack", "hole"], []])
def test_a_mask_of_no_one_known_type_has_no_part_in_type_metrics(image_types: list[str]) -> None:
    meter = ClassMeter(TYPES)
    mask = square()
    meter.add(1.0, scores_for(mask), mask, type_scores=type_scores(0.5, 0.2), anomalous=True, image_types=image_types)
    result = meter.result()
    assert result.values["type_auroc"].value is None
    assert result.values["pixel_auroc"].value == 1.0
    assert result.confusion is None


def test_it_goes_over_to_bins_and_says_so() -> None:
    meter = ClassMeter(TYPES, exact_pixels=150)
    add_good(meter)
    assert meter.result().method == "exact"
    add_defect(meter, type_scores=type_scores(0.5, 0.2))
    assert meter.result().method == "binned, 4194304 bins"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_score": float("nan")}, "finite image score"),
        ({"anomaly_map": np.full((12, 12), np.inf, np.float32)}, "finite scores"),
        ({"mask": np.ones((6, 6), np.uint8), "type_scores": None}, "one shape"),
        ({"anomalous": False}, "good image"),
        ({"type_scores": np.zeros((3, 2, 2), np.float32)}, r"\[2, h, w\]"),
        ({"type_scores": np.full((2, 2, 2), np.nan, np.float32)}, "finite type scores"),
        ({"type_mask": np.full((12, 12), 3, np.uint8)}, "types up to 2"),
        ({"type_mask": np.full((6, 6), 1, np.uint8)}, "one shape"),
    ],
)
def test_what_does_not_fit_is_an_error_and_not_added(change: dict[str, Any], message: str) -> None:
    meter = ClassMeter(TYPES)
    add_good(meter)
    given = {
        "image_score": 0.5,
        "anomaly_map": scores_for(square()),
        "mask": square(),
        "type_scores": type_scores(0.5, 0.1),
        "anomalous": True,
        "image_types": ["hole"],
    }
    with pytest.raises(ValueError, match=message):
        meter.add(**(given | change))
    result = meter.result()
    assert (result.images, result.regions) == (1, 0)
    assert result.values["pixel_auroc"].reason == "no anomalous pixel among 144"


@pytest.mark.parametrize("types", [("hole", "hole"), tuple(str(i) for i in range(255))])
def test_types_that_a_mask_cannot_hold_are_an_error(types: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="different types"):
        ClassMeter(types)


def one_class(name: str, anomalous_scores: list[float], side: int) -> ClassMetrics:
    meter = ClassMeter((), name=name)
    mask = np.zeros((side, side), np.uint8)
    meter.add(0.5, np.zeros((side, side), np.float32), mask, anomalous=False)
    for score in anomalous_scores:
        meter.add(score, np.zeros((side, side), np.float32), mask, anomalous=True)
    return meter.result()


def test_the_mean_is_over_classes_not_over_their_images() -> None:
    classes = [one_class("few", [0.9], 4), one_class("many", [0.1] * 9, 8), one_class("good", [], 4)]
    mean = mean_of(classes)["image_auroc"]
    assert mean.value == pytest.approx(0.5)  # pooled: 0.1
    assert roc_auc_score([0, 0, 1, *[1] * 9], [0.5, 0.5, 0.9, *[0.1] * 9]) == pytest.approx(0.1)
    assert mean.reason == "without good: no anomalous image among 1"
    assert mean_of(classes)["aupro"].value is None
    assert "few: no anomalous pixel among 32" in str(mean_of(classes)["aupro"].reason)


def test_a_class_given_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="twice"):
        mean_of([one_class("a", [], 4), one_class("a", [], 4)])
