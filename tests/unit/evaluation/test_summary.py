"""Mean over classes first, then mean and spread over seeds."""

from __future__ import annotations

from dataclasses import replace
from statistics import stdev

import pytest
from made_up import unit

from inspector.domain.result import ScoreMode
from inspector.evaluation.metrics import Metric
from inspector.evaluation.summary import summarise
from inspector.evaluation.unit_result import UnitResult


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
