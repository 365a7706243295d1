"""The bench's comparison of engines: every choice that can run here, and a word where another would serve better."""

from __future__ import annotations

import numpy as np
import pytest

from inspector import settings
from inspector.apps.bench.engines import EngineRow, choices, measure_engines, verdict
from inspector.apps.bench.measure import Cost
from inspector.dapo.spec import ModelSpec


def row(engine: str, precision: str, ratio: float, difference: float = 0.0, in_use: bool = False) -> EngineRow:
    return EngineRow(engine, precision, Cost(10, 10 / ratio), ratio, difference, in_use)


def test_every_engine_and_precision_of_the_device_is_a_choice() -> None:
    found = {(spec.engine, spec.precision) for spec in choices(ModelSpec())}
    assert found == {("torch", "fp32"), ("torch", "bf16"), ("onnx", "fp32"), ("onnx", "int8")}
    assert {spec.engine for spec in choices(ModelSpec(device="cuda"))} == {"torch"}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row("torch", "fp32", 1), row("onnx", "int8", 1.9, 0.004, in_use=True)], None),
        ([row("torch", "fp32", 1, in_use=True), row("onnx", "int8", 1.05, 0.004)], None),  # not worth a word
        ([row("torch", "fp32", 1, in_use=True), row("onnx", "int8", 1.9, 0.03)], None),  # too far off
        ([row("torch", "fp32", 1, in_use=True), row("onnx", "int8", 1.9, 0.004)], "onnx int8 is 1.9 times as fast"),
        ([row("torch", "fp32", 1), row("onnx", "int8", 1.9, 0.03, in_use=True)], "up to 0.030 from"),
    ],
)
def test_the_verdict_names_what_is_faster_and_near_enough(rows: list[EngineRow], said: str | None) -> None:
    found = verdict(rows)
    assert found is None if said is None else said in str(found)


def test_choices_are_measured_on_the_same_frames_against_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INSPECTOR_MODEL__PRECISION", raising=False)
    model = {"name": "inspector-s", "pretrained": "random", "image_size_px": 32}
    pixels = [np.full((32, 32, 3), 60 * number, np.uint8) for number in range(2)]
    rows = measure_engines(settings.load(None, {"model": model}), pixels, repeats=1)
    by_name = {row.name: row for row in rows}
    assert rows[0].name == "torch fp32"
    assert (rows[0].ratio, rows[0].map_difference) == (1.0, 0.0)
    assert by_name["onnx fp32"].map_difference < 1e-4
    assert 0 < by_name["onnx int8"].map_difference < 0.02
    assert [row.name for row in rows if row.in_use] == ["onnx fp32"]
