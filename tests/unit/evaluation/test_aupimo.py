from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector.evaluation import aupimo
from inspector.evaluation.aupimo import AupimoMeter
from inspector.evaluation.class_meter import ClassMeter
from inspector.evaluation.metrics import Metric

Map = NDArray[np.float32]
Mask = NDArray[np.uint8]

SHAPE = (250, 400)  # a single pixel is 1e-5 of a good image


def mask_of(top: int = 20, side: int = 40) -> Mask:
    mask = np.zeros(SHAPE, np.uint8)
    mask[top : top + side, top : top + side] = 1
    return mask


def noise(seed: int) -> Map:
    return np.random.default_rng(seed).random(SHAPE).astype(np.float32)


def measured(good: Sequence[Map], defective: Sequence[tuple[Map, Mask]]) -> Metric:
    meter = AupimoMeter(10**6)
    for scores in good:
        meter.add(scores, np.zeros(scores.shape, np.uint8), anomalous=False)
    for scores, mask in defective:
        meter.add(scores, mask, anomalous=True)
    return meter.result()


def test_a_map_that_finds_all_has_1_and_one_that_says_nothing_almost_0() -> None:
    mask = mask_of()
    assert measured([noise(0)], [(noise(1) + 2 * mask, mask)]).value == pytest.approx(1.0)
    useless = [(noise(seed), np.ones(SHAPE, np.uint8)) for seed in range(5, 15)]
    expected = 9e-5 / np.log(10)  # T = F
    assert measured([noise(seed) for seed in range(5)], useless).value == pytest.approx(expected, rel=0.3)


def test_half_found_is_half_and_each_image_counts_alike_however_large_its_defect() -> None:
    large, small = mask_of(side=100), mask_of(side=2)
    half = mask_of(side=100)
    half[70:] = 0  # rows 20 to 69 of 20 to 119
    assert measured([noise(0)], [(2 * half.astype(np.float32), large)]).value == pytest.approx(0.5)
    found = noise(1) + 2 * small
    assert measured([noise(0)], [(2 * half.astype(np.float32), large), (found, small)]).value == pytest.approx(0.75)


def test_by_hand_between_thresholds_the_line_is_straight_over_the_logarithm() -> None:
    good = np.zeros(SHAPE, np.float32)
    good.flat[:1], good.flat[1:10] = 3, 2  # F is 1e-5 at 3, 1e-4 at 2
    scores, mask = np.zeros(SHAPE, np.float32), mask_of(side=2)
    scores[mask == 1] = [3, 2.5, 2, 1]
    # From the two above 2, where F is still 1e-5, to the three at 2 or above.
    assert measured([good], [(scores, mask)]).value == pytest.approx((2 / 4 + 3 / 4) / 2)
    good.flat[:100] = 2
    good.flat[:1] = 3  # from 1e-5 the line now goes on to 1e-3, and is cut half way
    assert measured([good], [(scores, mask)]).value == pytest.approx((2 / 4 + (2 / 4 + 3 / 4) / 2) / 2)


def test_false_positives_in_defective_images_do_not_count_and_those_in_one_good_image_are_a_share_of_all() -> None:
    mask = mask_of()
    scores = noise(0) + 2 * mask
    spotted = np.where(noise(1) > 0.9, 9, scores * (1 - mask) + 2 * mask).astype(np.float32)
    assert measured([noise(2)], [(spotted, mask)]).value == pytest.approx(1.0)
    bad = noise(3)
    bad.flat[:3] = 9  # 3e-5 of one image, 1e-5 of the pixels of three
    assert measured([noise(2), noise(4), bad], [(scores, mask)]).value == pytest.approx(1.0)


def test_good_images_of_different_sizes_count_alike() -> None:
    small, large = np.zeros((100, 100), np.float32), np.zeros((1000, 1000), np.float32)
    small.flat[:1] = 2  # 1e-4 of it
    large.flat[:10] = 3  # 1e-5 of it
    large.flat[10:20] = 2.5  # 2e-5 of it, 1e-5 in the mean of both
    mask = mask_of(side=2)
    scores = np.zeros(SHAPE, np.float32)
    scores[mask == 1] = [2.6, 2.2, 1, 1]
    # From 1e-5 to 6e-5 (at 2) two of four are found, from there on, as soon as the threshold is below 2, all.
    expected = (np.log(6) * 2 / 4 + np.log(10 / 6)) / np.log(10)
    assert measured([small, large], [(scores, mask)]).value == pytest.approx(expected)


def test_the_highest_scores_of_good_images_are_all_that_has_to_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    good, mask = [noise(seed) for seed in range(4)], mask_of()
    defective = [((1 - 2e-4 * noise(9)) * mask, mask)]  # among the highest of good ones
    everything = measured(good, defective)
    assert everything.value is not None
    assert 0.1 < everything.value < 0.9
    monkeypatch.setattr(aupimo, "KEPT_NORMAL", 50)
    assert measured(good, defective) == everything
    monkeypatch.setattr(aupimo, "KEPT_NORMAL", 20)
    reason = measured(good, defective).reason
    assert reason is not None
    assert "reach only 5e-05" in reason


@pytest.mark.parametrize(
    ("good", "defective", "reason"),
    [
        ([], [(noise(0), mask_of())], "no good image with a map"),
        ([noise(0)], [], "no defective pixel"),
        ([noise(0)], [(noise(1), np.zeros(SHAPE, np.uint8))], "no defective pixel"),
        ([np.ones(SHAPE, np.float32)], [(noise(1), mask_of())], "is that of 1 of their pixels"),
        ([noise(0)[:100, :100]], [(noise(1), mask_of())], "is that of 0.0001 of their pixels, more than 1e-05"),
        ([noise(0)], [(noise(1), np.ones(SHAPE, np.uint8))] * 11, "more than 1000000 defective pixels"),
    ],
)
def test_where_there_is_none_it_says_why(good: list[Map], defective: list[tuple[Map, Mask]], reason: str) -> None:
    metric = measured(good, defective)
    assert metric.value is None
    assert reason in str(metric.reason)


def test_a_defect_too_small_for_the_map_has_no_part() -> None:
    mask = mask_of()
    found, vanished = (noise(1) + 2 * mask, mask), (noise(2), np.zeros(SHAPE, np.uint8))
    assert measured([noise(0)], [found, vanished]).value == pytest.approx(1.0)


def test_a_class_has_it_and_a_defect_nobody_drew_has_no_part() -> None:
    meter = ClassMeter((), name="plate")
    mask = mask_of()
    meter.add(0.1, noise(0), None, anomalous=False)
    meter.add(0.9, noise(1) + 2 * mask, mask, anomalous=True)
    meter.add(0.9, noise(2), None, anomalous=True)
    assert meter.result().values["aupimo"].value == pytest.approx(1.0)
