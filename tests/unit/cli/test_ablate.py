"""``inspector ablate`` end to end, on images made here, with a tiny untrained model."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from command_line import one_line_problem, run
from spotted_parts import SPOTS, dataset
from typer.testing import Result

from inspector.apps.evaluate.session import Session
from inspector.vision.engine import InspectionEngine


@pytest.fixture
def parts(tiny_settings: Path) -> Path:
    return dataset(tiny_settings.parent / "parts", normals=26)


def ablate(*arguments: str) -> Result:
    return run("ablate", "parts", "--out", "out", *arguments)


def rows() -> dict[str, dict[str, Any]]:
    document = json.loads(Path("out/ablation.json").read_text())
    return {row["row"]: row for row in document["rows"]}


def test_each_row_stands_beside_its_groups_default_over_the_seeds(parts: Path) -> None:
    result = ablate("--only", "zero-shot/fused,bank/tower,bank/1-shot", "--seeds", "2")
    assert result.exit_code == 0, (result.output, result.exception)
    found = rows()
    assert list(found) == ["zero-shot/default", "zero-shot/fused", "bank/default", "bank/1-shot", "bank/tower"]
    for name, row in found.items():
        assert row["seeds"] == 2
        assert row["values"]["pixel_auroc"]["std"] is not None
        assert bool(row["change"]) is not name.endswith("default")
    assert found["bank/default"]["values"]["image_auroc"]["mean"] == 1.0, "a bank sees bright squares on grey plates"
    # Fused or not, zero-shot maps are the same to rounding; only the score of the image may move.
    assert found["zero-shot/fused"]["change"]["pixel_auroc"] == pytest.approx({"mean": 0, "std": 0}, abs=1e-6)
    change = found["bank/tower"]["change"]["pixel_auroc"]["mean"]
    values = [found[name]["values"]["pixel_auroc"]["mean"] for name in ("bank/tower", "bank/default")]
    assert change == pytest.approx(values[0] - values[1])
    table = list(csv.DictReader(Path("out/ablation.csv").read_text().splitlines()))
    assert [f"{row['group']}/{row['row']}" for row in table] == list(found)
    assert "untrained" in result.stderr
    lines = [line.split(";")[0] for line in result.stderr.splitlines() if line.startswith("row ")]
    assert (lines[0], len(lines)) == ("row 1 of 5, seed 1 of 2: zero-shot/default", 10)
    assert "unit 1" not in result.stderr
    (why,) = [line for line in result.stderr.splitlines() if "no type F1" in line]
    assert why.startswith("all rows: "), "what the data lack is said once, not in each row"


def test_another_aim_of_calibration_changes_verdicts_and_no_ranking(parts: Path) -> None:
    result = ablate("--only", "bank/aim-10", "--seeds", "1")
    assert result.exit_code == 0, (result.output, result.exception)
    change = rows()["bank/aim-10"]["change"]
    assert change["image_auroc"]["mean"] == change["pixel_auroc"]["mean"] == 0
    units = [json.loads(file.read_text()) for file in sorted(Path("out/units/bank").rglob("*.json"))]
    lower, usual = (unit["thresholds"]["in_use"] for unit in units)
    assert lower < usual, "who accepts more false alarms has a lower threshold"


def test_a_row_that_cannot_be_measured_says_why(tiny_settings: Path) -> None:
    dataset(tiny_settings.parent / "parts", normals=14)
    result = ablate("--only", "bank/1-shot", "--seeds", "1")
    assert result.exit_code == 0, (result.output, result.exception)
    assert rows()["bank/default"]["values"] == {}
    assert "14" in rows()["bank/default"]["missing"]["image_auroc"], "it has fewer normal images than 16"
    assert "bank/default: no image AUROC" in result.stderr


def test_tuning_makes_weights_for_each_recipe_and_seed_once(parts: Path) -> None:
    arguments = ("--only", "training/untrained", "--train", "parts", "--epochs", "2", "--lr", "0.01", "--seeds", "1")
    result = ablate(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    found = rows()
    assert list(found) == ["training/default", "training/untrained"]
    # Measured on what it was tuned on: it must have learnt something of that.
    assert found["training/untrained"]["change"]["pixel_auroc"]["mean"] < -0.1
    weights = sorted(Path("out/weights").glob("*.safetensors"))
    assert len(weights) == 2
    made = [file.stat().st_mtime_ns for file in weights]
    assert ablate(*arguments).exit_code == 0
    assert [file.stat().st_mtime_ns for file in weights] == made


def test_a_second_run_measures_nothing_again(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ablate("--only", "bank/1-shot", "--seeds", "1").exit_code == 0
    before = Path("out/ablation.json").read_bytes()

    def fail(*_arguments: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(InspectionEngine, "inspect_with_raw", fail)
    assert ablate("--only", "bank/1-shot", "--seeds", "1").exit_code == 0
    assert Path("out/ablation.json").read_bytes() == before


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Session.measure_missing

    def interrupted(session: Any, stop: Any) -> None:
        original(session, stop)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Session, "measure_missing", interrupted)
    result = ablate("--only", "zero-shot/fused", "--seeds", "1")
    assert result.exit_code == 130, (result.output, result.exception)
    assert "run again to go on" in result.stderr
    assert not Path("out/ablation.json").exists()
    assert len(list(Path("out/units").rglob("*.json"))) == 1


def test_tuning_on_what_is_measured_is_said(parts: Path, tiny_settings: Path) -> None:
    arguments = ("--only", "training/untrained", "--epochs", "1", "--seeds", "1")
    result = ablate(*arguments, "--train", "parts")
    assert f"{2 * SPOTS} of the test images are also tuned on" in result.stderr
    assert json.loads(Path("out/ablation.json").read_text())["test_images_tuned_on"] == 2 * SPOTS
    dataset(tiny_settings.parent / "others")
    result = ablate(*arguments, "--train", "others")
    assert result.exit_code == 0, (result.output, result.exception)
    assert "tuned on" not in result.stderr


def test_given_weights_score_zero_shot_alike_whatever_the_seed(parts: Path, tiny_settings: Path) -> None:
    """Equal repeats would show a spread of zero, beside which every change looks certain."""
    assert ablate("--only", "training/untrained", "--train", "parts", "--epochs", "1", "--seeds", "1").exit_code == 0
    (weights, *_) = sorted(Path("out/weights").glob("*.safetensors"))
    content = json.loads(tiny_settings.read_text())
    tiny_settings.write_text(json.dumps(content | {"model": {**content["model"], "weights": str(weights)}}))
    result = ablate("--only", "zero-shot/fused,bank/1-shot", "--seeds", "2")
    assert result.exit_code == 0, (result.output, result.exception)
    found = rows()
    assert [found[name]["seeds"] for name in ("zero-shot/default", "zero-shot/fused", "bank/1-shot")] == [1, 1, 2]
    assert found["zero-shot/fused"]["change"]["image_auroc"]["std"] is None
    assert found["bank/1-shot"]["change"]["image_auroc"]["std"] is not None


def test_a_row_scores_as_it_says_whatever_the_settings_say(parts: Path, tiny_settings: Path) -> None:
    assert ablate("--only", "bank/texture", "--seeds", "1").exit_code == 0
    before = rows()
    content = json.loads(tiny_settings.read_text())
    tiny_settings.write_text(json.dumps(content | {"scoring": {"bank_levels": "texture"}}))
    result = ablate("--only", "bank/texture", "--seeds", "1")
    assert "scoring.* of the settings is left aside" in result.stderr
    assert rows() == before


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(("--only", "zero-shoot"), "zero-shoot"), (("--only", "training"), "--train"), (("--classes", "nuts"), "nuts")],
)
def test_what_cannot_be_measured_is_said_in_one_line(parts: Path, arguments: tuple[str, ...], word: str) -> None:
    assert word in one_line_problem(ablate(*arguments))


@pytest.mark.parametrize("option", ["--only", "--classes"])
def test_a_list_of_nothing_is_wrong_usage(parts: Path, option: str) -> None:
    assert ablate(option, " ,").exit_code == 2
    assert not Path("out").exists()
