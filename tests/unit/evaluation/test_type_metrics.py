from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from inspector.evaluation.metrics import Metric
from inspector.evaluation.type_metrics import TypeMeter, upsampled

TYPES = ("crack", "hole", "stain")
Image = tuple[NDArray[np.float32], NDArray[np.uint8]]


def images(seed: int, used: tuple[int, ...] = (1, 2, 3, 255)) -> list[Image]:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(3):
        truth = rng.choice([0, 0, *used], (12, 16)).astype(np.uint8)
        logits = rng.normal(size=(4, 12, 16)) + 2 * (np.arange(4)[:, None, None] == truth)
        scores = np.exp(logits) / np.exp(logits).sum(axis=0)
        made.append((scores[1:].astype(np.float32), truth))
    return made


def measured(made: list[Image], exact_pixels: int = 10**6) -> TypeMeter:
    meter = TypeMeter(TYPES, exact_pixels)
    for scores, truth in made:
        meter.add(scores, truth)
    return meter


def flat(made: list[Image]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    truth = np.concatenate([t.ravel() for _, t in made])
    scores = np.concatenate([s.reshape(3, -1) for s, _ in made], axis=1)
    return truth[truth != 255], scores[:, truth != 255]


@pytest.mark.parametrize("exact_pixels", [10**6, 0])
@pytest.mark.parametrize("seed", range(3))
def test_macro_metrics_are_scikit_learns_over_pixels_of_known_type(seed: int, exact_pixels: int) -> None:
    made = images(seed)
    truth, scores = flat(made)
    meter = measured(made, exact_pixels)
    assert meter.method == ("exact" if exact_pixels else "binned, 4194304 bins")
    macro, types = meter.result()
    auroc = [roc_auc_score(truth == k, scores[k - 1]) for k in (1, 2, 3)]
    ap = [average_precision_score(truth == k, scores[k - 1]) for k in (1, 2, 3)]
    assert [types[name]["auroc"].value for name in TYPES] == pytest.approx(
        auroc, abs=1e-9 + max(types[name]["auroc"].error_bound for name in TYPES)
    )
    for name, expected in (("type_auroc", auroc), ("type_ap", ap)):
        assert macro[name].value == pytest.approx(np.mean(expected), abs=1e-9 + macro[name].error_bound)
        assert macro[name].error_bound == 0 if exact_pixels else macro[name].error_bound < 0.01
    defective, full = truth != 0, np.vstack((1 - scores.sum(axis=0), scores))
    among_types = f1_score(truth[defective], 1 + scores[:, defective].argmax(axis=0), average="macro")
    assert macro["type_macro_f1"].value == pytest.approx(among_types, abs=1e-12)
    assert macro["type_macro_f1_background"].value == pytest.approx(
        f1_score(truth, full.argmax(axis=0), average="macro"), abs=1e-12
    )


def test_a_type_that_does_not_occur_is_left_out_and_named() -> None:
    macro, types = measured(images(0, used=(1, 3))).result()
    assert types["hole"]["auroc"] == types["hole"]["f1"] == Metric(None, "no pixel of this type")
    for metric in macro.values():
        assert metric.value is not None
        assert metric.reason == "without hole: no pixel of this type"


def test_without_any_typed_pixel_there_is_no_macro() -> None:
    macro, _ = measured(images(0, used=(255,))).result()
    assert {metric.value for metric in macro.values()} == {None}


def test_one_type_alone_is_no_choice() -> None:
    meter = TypeMeter(["hole"], 10**6)
    meter.add(np.array([[[0.9, 0.2]]], np.float32), np.array([[1, 0]], np.uint8))
    macro, _ = meter.result()
    assert macro["type_macro_f1"] == Metric(None, "only one type to choose from")
    assert macro["type_macro_f1_background"].value == macro["type_auroc"].value == 1.0


def test_type_maps_of_patches_are_stretched_over_the_image() -> None:
    grid = np.array([[[0.0, 1.0], [0.0, 1.0]], [[1.0, 1.0], [0.0, 0.0]]], np.float32)
    full = upsampled(grid, 4, 8)
    assert full.shape == (2, 4, 8)
    assert full.dtype == np.float32
    assert (full[0, :, :2] == 0).all()
    assert (full[0, :, 6:] == 1).all()
    assert (full[1, 0] == 1).all()
