"""Mean over classes first, then mean and spread over seeds."""

from __future__ import annotations

from dataclasses import replace
from statistics import stdev

import pytest
from made_up import unit

from inspector.domain.result import ScoreMode
from inspector.evaluation.metrics import Metric
from inspector.evaluation.summary import summarise
from inspector.evaluation.unit_result import Thresholds, UnitResult


def valued(class_name: str, seed: int, value: float | None) -> UnitResult:
    made = unit(class_name, ScoreMode.BANK, shots=4, seed=seed)
    return replace(made, metrics={"aupro": Metric(value, None if value is not None else "no mask")})


def test_the_spread_is_that_of_the_mean_over_classes() -> None:
    # Each class swings by 0.2 from seed to seed, their mean does not at all.
    units = [valued("a", 0, 0.6), valued("a", 1, 0.8), valued("b", 0, 0.8), valued("b", 1, 0.6)]
    (summary,) = summarise(units)
    assert summary.classes["a"]["aupro"].std == pytest.approx(stdev([0.6, 0.8]))
    assert summary.mean["aupro"].mean == pytest.approx(0.7)
    assert summary.mean["aupro"].std == pytest.approx(0)
    assert summary.mean["aupro"].seeds == 2


def test_a_class_without_the_metric_is_left_out_and_named() -> None:
    (summary,) = summarise([valued("a", 0, 0.6), valued("b", 0, None)])
    assert summary.mean["aupro"].mean == 0.6
    assert summary.mean["aupro"].reason == "without b: no mask"
    assert summary.mean["aupro"].std is None
    assert summary.classes["b"]["aupro"].mean is None


def test_settings_come_in_the_order_of_the_field() -> None:
    shots = [unit(mode=ScoreMode.BANK, shots=k) for k in (16, 2)]
    units = [unit(mode=ScoreMode.MUTUAL), *shots, unit()]
    assert [s.setting.label for s in summarise(units)] == ["zero-shot", "2-shot", "16-shot", "mutual"]


def judged(seed: int, labels: str, in_use: float | None = 0.5, mode: ScoreMode = ScoreMode.BANK) -> UnitResult:
    """A unit of four good images, then four defective ones, each called anomalous (x) or normal."""
    made = unit("a", mode, shots=4, seed=seed)
    kinds = zip(labels, made.images[:4] + made.images[-4:], strict=True)
    images = tuple(replace(image, label="anomalous" if label == "x" else "normal") for label, image in kinds)
    return replace(made, images=images, thresholds=Thresholds(0.6, 0.5, in_use, "none: too few images"))


def test_what_verdicts_found_stands_beside_how_well_they_rank() -> None:
    """A high AUROC with a threshold that finds nothing is no inspection."""
    (summary,) = summarise([judged(0, "x...xxxx"), judged(1, "x...xx..")])
    for found in (summary.classes["a"], summary.mean):
        assert (found["false_alarms"].mean, found["false_alarms"].std) == (0.25, 0)
        assert found["found"].mean == 0.75
        assert found["found"].std == pytest.approx(stdev([1, 0.5]))


def test_labels_of_a_bank_without_a_threshold_count_for_nothing() -> None:
    (summary,) = summarise([judged(0, "x...xxxx", in_use=None)])
    assert summary.classes["a"]["found"].mean is None
    assert summary.classes["a"]["found"].reason == "threshold: none: too few images"
    (stream,) = summarise([judged(0, "x...xxxx", in_use=None, mode=ScoreMode.MUTUAL)])
    assert stream.classes["a"]["found"].mean == 1, "a stream finds its threshold as it goes"


def test_a_mode_with_too_few_images_said_nothing_and_kinds_that_are_not_there_have_no_share() -> None:
    few = Metric(None, "4 images, too few for mode mutual")
    metrics = dict.fromkeys(("image_auroc", "pixel_auroc"), few)
    assert replace(judged(0, "x...xxxx", mode=ScoreMode.MUTUAL), metrics=metrics).figures["found"] == few
    good = judged(0, "x...xxxx")
    good = replace(good, images=good.images[:4])
    assert good.figures["false_alarms"] == Metric(0.25)
    assert good.figures["found"] == Metric(None, "no defective image")
