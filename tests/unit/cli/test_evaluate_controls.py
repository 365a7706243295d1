"""``inspector evaluate --controls``: the model beside itself untrained and beside hand-made features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import one_line_problem, run
from spotted_parts import dataset
from typer.testing import Result

from inspector.apps.evaluate.session import Session


@pytest.fixture
def parts(tiny_settings: Path) -> Path:
    return dataset(tiny_settings.parent / "parts")


def evaluate(*arguments: str) -> Result:
    return run("evaluate", "parts", "--shots", "0,2", "--seeds", "2", "--out", "out", *arguments)


def systems() -> dict[tuple[str, str], dict[str, Any]]:
    document = json.loads(Path("out/comparison.json").read_text())
    assert document["schema"] == "inspection.comparison/1"
    return {(system["name"], system["setting"]): system for system in document["systems"]}


def test_controls_stand_beside_the_model_and_are_not_measured_twice(
    parts: Path, trained_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = evaluate("--controls", "--weights", str(trained_weights))
    assert result.exit_code == 0, (result.output, result.exception)
    found = systems()
    assert set(found) == {
        ("model", "zero-shot"), ("model", "2-shot"),
        ("untrained", "zero-shot"), ("untrained", "2-shot"),
        ("hand-made features", "2-shot"),
    }  # fmt: skip
    untrained = found["untrained", "zero-shot"]["mean"]["pixel_auroc"]
    assert untrained["seeds"] == 2
    assert untrained["std"] > 0, "each seed has weights of its own"
    assert found["model", "zero-shot"]["mean"]["pixel_auroc"]["std"] is None
    assert found["hand-made features", "2-shot"]["datasets"]["parts"]["image_auroc"]["mean"] == 1.0
    table = Path("out/comparison.md").read_text()
    assert "| lead over the best control |" in table
    assert table.strip() in result.stdout

    monkeypatch.setattr(Session, "_measure", lambda *_: pytest.fail("all of it was there"))
    assert evaluate("--controls", "--weights", str(trained_weights)).exit_code == 0
    assert systems() == found


def test_another_comparison_stands_beside_this_one_under_its_files_name(parts: Path) -> None:
    assert evaluate("--controls").exit_code == 0
    Path("out/comparison.json").rename("last year.json")
    result = evaluate("--beside", "last year.json")
    assert result.exit_code == 0, (result.output, result.exception)
    assert {name for name, _ in systems()} == {"model", "untrained", "hand-made features", "last year"}

    Path("else.json").write_text("{}")
    problem = one_line_problem(evaluate("--beside", "else.json"))
    assert "comparison" in problem


def test_a_restart_measures_controls_anew(parts: Path) -> None:
    assert evaluate("--controls").exit_code == 0
    old = set(Path("out/controls").rglob("*.json"))
    before = {file: file.stat().st_mtime_ns for file in old}
    assert evaluate("--controls", "--restart").exit_code == 0
    assert all(file.stat().st_mtime_ns != before[file] for file in old)
