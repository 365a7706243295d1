"""What the demo says about its line is counted from what the line made."""

from __future__ import annotations

import io
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from demo_log import is_ready
from demo_names import Names
from demo_truth import CameraScore, Inspected, TrueFrame, compare, read_truth
from demo_view import AlertWatch, CameraRow, live, quantile
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from inspector.domain.defect import Box, Defect
from inspector.domain.frame import FrameSource
from inspector.domain.result import InspectionResult, PredLabel, ScoreMode
from inspector.settings import load


def result(frame_id: str, camera_id: str, anomalous: bool, *defects: Defect) -> InspectionResult:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    return InspectionResult(
        frame_id=frame_id,
        camera_id=camera_id,
        line_id="line-1",
        product="plate",
        captured_at=now,
        inspected_at=now,
        anomaly_score=0.9 if anomalous else 0.1,
        pred_label=PredLabel.ANOMALOUS if anomalous else PredLabel.NORMAL,
        image_threshold=0.5,
        mode=ScoreMode.BANK,
        weights_version="w",
        model="m",
        source=FrameSource("frames", 0, 0),
        timings_ms={},
        width_px=64,
        height_px=64,
        defects=defects,
    )


def test_every_frame_that_was_made_is_counted_once_also_without_a_result() -> None:
    truth = {
        "good": TrueFrame("a", ()),
        "false alarm": TrueFrame("a", ()),
        "found": TrueFrame("a", ("scratch", "dent")),
        "overlooked": TrueFrame("a", ("dent",)),
        "lost": TrueFrame("a", ("dent",)),
        "lost too": TrueFrame("b", ()),
    }
    results = {
        frame_id: result(frame_id, "a", anomalous)
        for frame_id, anomalous in {"good": 0, "false alarm": 1, "found": 1, "overlooked": 0, "of others": 1}.items()
    }
    scores = compare(truth, results)
    assert scores["a"] == CameraScore(1, 2, 1, found={"scratch": 1, "dent": 0}, made={"scratch": 1, "dent": 1})
    assert scores["a"].recall == 0.5
    assert scores["b"] == CameraScore(missing=1)
    assert scores["b"].recall is None


def test_the_type_that_counts_is_that_of_the_gravest_defect() -> None:
    def defect(name: str, severity: int) -> Defect:
        return Defect(name, 0.9, severity, 9, 0.1, Box(0, 0, 3, 3), (), "")

    truth = {name: TrueFrame("a", ("scratch", "dent")) for name in ("right", "wrong", "no region", "overlooked")}
    results = {
        "right": result("right", "a", True, defect("stain", 100), defect("dent", 700)),
        "wrong": result("wrong", "a", True, defect("dent", 100), defect("stain", 700)),
        "no region": result("no region", "a", True),
        "overlooked": result("overlooked", "a", False, defect("dent", 700)),
    }
    assert compare(truth, results)["a"].right_type == 1


def test_counts_stay_when_the_store_forgets() -> None:
    kept = {"1": result("1", "a", True), "2": result("2", "a", False)}
    inspected = Inspected(kept.get)
    inspected.update(["1", "2", "3"])
    assert inspected.counts("a") == (2, 1)
    kept.clear()
    kept["3"] = result("3", "a", True)
    inspected.update(["1", "2", "3"])
    assert inspected.counts("a") == (3, 2)
    assert inspected.counts("b") == (0, 0)


def test_truth_is_read_up_to_the_line_that_is_being_written(tmp_path: Path) -> None:
    lines = [
        json.dumps({"frame_id": name, "camera_id": "a", "defects": [{"defect_type": "dent"}] * number})
        for number, name in enumerate(("x", "y", "z"))
    ]
    (tmp_path / "plate").mkdir()
    (tmp_path / "plate" / "truth.jsonl").write_text("\n".join(lines)[:-5])
    assert read_truth(tmp_path) == {"x": TrueFrame("a", ()), "y": TrueFrame("a", ("dent",))}


def test_an_inspector_that_refused_a_bank_is_not_ready() -> None:
    took = {"event": "took configuration", "what": "bank/cam-plate"}
    refused = {"event": "refused configuration, what was in use stays", "what": "bank/cam-belt"}
    log = "\n".join(["plain words", json.dumps(took), json.dumps(refused), '{"event": "took conf'])
    ready = f'{log}\n{{"event": "inspecting"}}'
    assert is_ready(ready, {"bank/cam-plate"})
    assert is_ready(ready, set())
    assert not is_ready(ready, {"bank/cam-plate", "bank/cam-belt"})
    assert not is_ready(log, set())


def test_on_servers_of_others_every_name_is_of_this_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    names = Names("demo-ab12-")
    for variable, value in names.environment().items():
        monkeypatch.setenv(variable, value)
    settings = load(Path(__file__).parents[2] / "deploy" / "demo.yaml")
    kafka = settings.kafka
    used = [kafka.group, *kafka.topics.values()]
    assert all(name.startswith("demo-ab12-") for name in used)
    assert settings.cameras.by_id()["demo-ab12-cam-plate"].product == "plate"


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_at_most_the_share_lies_below_the_quantile(values: list[float], share: float) -> None:
    found = quantile(values, share)
    assert found in values
    assert sum(value < found for value in values) <= share * len(values)
    assert sum(value <= found for value in values) >= min(len(values), int(share * len(values)) + 1)


def test_quantiles_of_a_hundred() -> None:
    assert quantile(range(100), 0.5) == 50
    assert quantile(range(100), 0.99) == 99
    assert quantile([], 0.5) is None


@pytest.mark.parametrize(("lag", "told"), [(120, True), (3, False), (0, False), (None, False)])
def test_a_long_queue_is_told_as_what_it_is(lag: int | None, told: bool) -> None:
    rows = [CameraRow("cam1", 50, 10.0, 2, Counter())]
    shown = Console(width=300, file=io.StringIO(), record=True)
    shown.print(live(rows, published=200, lag=lag, watch=AlertWatch(), elapsed_s=5))
    assert ("each waits about 12 s" in shown.export_text()) is told
