"""``inspector evaluate`` end to end, on images made here, with a tiny untrained model."""

from __future__ import annotations

import csv
import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import one_line_problem, run
from spotted_parts import SIDE, SPOTS, dataset, write
from typer.testing import Result

from inspector.apps.evaluate import session
from inspector.domain.result import ScoreMode
from inspector.evaluation.unit_result import UnitKey
from inspector.vision.engine import InspectionEngine

# By the SHA-256 of "0/train/good/000.png" and so on; worked out apart from the code under test.
SHOTS_OF_SEED_0 = {f"train/good/{number}.png" for number in ("001", "005", "007", "013")}


@pytest.fixture
def parts(tiny_settings: Path) -> Path:
    return dataset(tiny_settings.parent / "parts")


def evaluate(*arguments: str) -> Result:
    return run("evaluate", *arguments, "--out", "out")


def metrics() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path("out/metrics.json").read_text())
    return document


@pytest.fixture
def inspected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the images that the engine has scored for a verdict, as they come."""
    seen: list[str] = []
    original = InspectionEngine.inspect_with_raw

    def watched(engine: InspectionEngine, frames: Any) -> Any:
        seen.extend(frame.frame.meta.frame_id for frame in frames)
        return original(engine, frames)

    monkeypatch.setattr(InspectionEngine, "inspect_with_raw", watched)
    return seen


def test_zero_shot_and_shots_leave_metrics_scores_and_a_report(parts: Path) -> None:
    result = evaluate("parts", "--shots", "0,2", "--seeds", "2")
    assert result.exit_code == 0, (result.output, result.exception)

    found = metrics()["datasets"]["parts"]
    zero_shot, two_shot = found["classes"]["parts"], found["shots"]["2"]["mean"]
    assert found["mean"]["image_auroc"] == zero_shot["image_auroc"]
    assert 0 <= zero_shot["aupro"] <= 1
    assert two_shot["image_auroc"]["mean"] == 1.0, "a bank sees bright squares on grey plates"
    assert two_shot["pixel_auroc"]["mean"] > 0.9
    assert two_shot["pixel_auroc"]["seeds"] == 2
    assert two_shot["pixel_auroc"]["std"] is not None

    rows = list(csv.DictReader(Path("out/metrics.csv").read_text().splitlines()))
    assert [(row["mode"], row["shots"], row["seed"]) for row in rows] == [
        ("zero_shot", "0", "0"), ("bank", "2", "0"), ("bank", "2", "1"),
    ]  # fmt: skip
    assert float(rows[0]["pixel_auroc"]) == zero_shot["pixel_auroc"]

    # The bank's verdicts at a threshold of other good images; also where somebody only looks at the terminal.
    assert two_shot["found"] == {"mean": 1.0, "std": 0.0, "seeds": 2}
    assert [float(row["found"]) for row in rows[1:]] == [1.0, 1.0]
    assert zero_shot["false_alarms"] is not None
    assert {"false alarms", "found"} <= set(re.split(r"\s{2,}", result.stdout.splitlines()[1].strip()))

    scores = [json.loads(line) for line in Path("out/scores.jsonl").read_text().splitlines()]
    assert len(scores) == 3 * 2 * SPOTS
    spots = [score for score in scores if score["mode"] == "bank" and score["anomalous"]]
    assert {tuple(score["types"]) for score in spots} == {("spot",)}
    assert all(score["label"] == "anomalous" and score["regions"] for score in spots), "calibrated on the other images"

    assert Path("out/mistakes-zero-shot.jpg").stat().st_size > 1000, "untrained, it ranks some images on the wrong side"
    assert not Path("out/mistakes-2-shot.jpg").exists(), "a bank ranks all of them right"

    page = Path("out/report.html").read_text()
    assert "test/spot/000.png" in page
    assert "untrained" in page
    assert "parts" in result.stdout


def test_a_seed_chooses_the_same_shots_always_and_fewer_are_some_of_the_more(parts: Path) -> None:
    assert evaluate("parts", "--shots", "1,4", "--seeds", "2").exit_code == 0
    units = [json.loads(file.read_text()) for file in Path("out/units").iterdir()]
    shots = {(unit["key"]["shots"], unit["key"]["seed"]): set(unit["shots_used"]) for unit in units}
    assert all(len(used) == k for (k, _), used in shots.items())
    assert shots[1, 0] < shots[4, 0]
    assert shots[1, 1] < shots[4, 1]
    # Chosen by hash, not by a generator or the order of a folder: these hold on every machine.
    assert shots[4, 0] == SHOTS_OF_SEED_0


def test_a_second_run_takes_finished_units_up(parts: Path, inspected: list[str]) -> None:
    assert evaluate("parts", "--shots", "0", "--seeds", "1").exit_code == 0
    assert len(inspected) == 2 * SPOTS
    first, before = metrics(), {file: file.stat().st_mtime_ns for file in Path("out/units").iterdir()}

    assert evaluate("parts", "--shots", "0", "--seeds", "1").exit_code == 0
    assert len(inspected) == 2 * SPOTS, "nothing was scored again"
    assert {file: file.stat().st_mtime_ns for file in Path("out/units").iterdir()} == before
    assert metrics() == first

    assert evaluate("parts", "--shots", "0,1", "--seeds", "1").exit_code == 0
    assert len(inspected) == 4 * SPOTS, "only the new unit was"


def changed_mask(root: Path) -> None:
    write(root / "ground_truth" / "spot" / "000_mask.png", np.full((SIDE, SIDE), 255, np.uint8))


def other_weights(root: Path) -> None:
    settings = root.parent / "inspector.yaml"
    content = json.loads(settings.read_text())
    settings.write_text(json.dumps({"model": {**content["model"], "seed": 7}}))


def damaged_unit(root: Path) -> None:
    (file,) = (root.parent / "out" / "units").iterdir()
    file.write_bytes(file.read_bytes()[:100])


def other_limits(root: Path) -> None:
    settings = root.parent / "inspector.yaml"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"limits": {"max_frame_pixels": 1_000_000}}))


@pytest.mark.parametrize("change", [changed_mask, other_weights, damaged_unit, other_limits])
def test_a_unit_made_from_something_else_is_measured_anew(
    parts: Path, inspected: list[str], change: Callable[[Path], None]
) -> None:
    assert evaluate("parts", "--shots", "0", "--seeds", "1").exit_code == 0
    change(parts)
    # What an interrupted run left: units, and no report that could be in the way.
    Path("out/metrics.json").unlink()
    assert evaluate("parts", "--shots", "0", "--seeds", "1").exit_code == 0
    assert len(inspected) == 4 * SPOTS


@pytest.mark.parametrize(
    ("change", "word"), [(other_weights, "weights"), (other_limits, "settings: limits"), (None, "says neither")]
)
def test_a_report_of_something_else_is_not_replaced_unasked(
    parts: Path, change: Callable[[Path], None] | None, word: str
) -> None:
    assert evaluate("parts", "--shots", "0,1", "--seeds", "1").exit_code == 0
    if change is None:
        Path("out/metrics.json").write_text("[1, 2")
    else:
        change(parts)
    before = {file: file.read_bytes() for file in Path("out").rglob("*") if file.is_file()}
    problem = one_line_problem(evaluate("parts", "--shots", "0", "--seeds", "1"))
    assert word in problem
    assert "--restart" in problem
    assert {file: file.read_bytes() for file in Path("out").rglob("*") if file.is_file()} == before

    assert evaluate("parts", "--shots", "0", "--seeds", "1", "--restart").exit_code == 0
    assert len(list(Path("out/units").iterdir())) == 1, "units of the earlier run were left"
    assert metrics()["datasets"]["parts"]["shots"] == {}


def test_a_restart_measures_anew_and_touches_no_file_of_anybody_else(parts: Path, inspected: list[str]) -> None:
    assert evaluate("parts", "--shots", "0", "--seeds", "1").exit_code == 0
    Path("out/notes.txt").write_text("mine")
    assert evaluate("parts", "--shots", "0", "--seeds", "1", "--restart").exit_code == 0
    assert len(inspected) == 4 * SPOTS
    assert Path("out/notes.txt").read_text() == "mine"


def test_figures_on_what_the_weights_were_tuned_on_are_marked(parts: Path) -> None:
    dataset(parts.parent / "others")
    assert run("train", "others", "--out", "w.safetensors", "--epochs", "1").exit_code == 0
    result = evaluate("parts", "others", "--weights", "w.safetensors", "--shots", "0", "--seeds", "1")
    assert result.exit_code == 0, (result.output, result.exception)
    (remark,) = [line for line in result.stderr.splitlines() if "were tuned on this data set" in line]
    assert remark.startswith("others: ")
    assert {name: found["tuned_on"] for name, found in metrics()["datasets"].items()} == {
        "parts": False,
        "others": True,
    }
    assert Path("out/report.html").read_text().count("The weights were tuned on this data set") == 1


def test_without_a_terminal_each_unit_is_a_line(parts: Path) -> None:
    result = evaluate("parts", "--shots", "0,1", "--seeds", "1")
    lines = [line.split(";")[0] for line in result.stderr.splitlines() if line.startswith("unit ")]
    assert lines == ["unit 1 of 2: parts, zero-shot, seed 0", "unit 2 of 2: parts, 1-shot, seed 0"]


def test_ctrl_c_keeps_what_is_done_and_a_later_run_goes_on(
    parts: Path, inspected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = session.measure

    def then_interrupted(*arguments: Any) -> Any:
        measured = measure(*arguments)
        signal.raise_signal(signal.SIGINT)
        return measured

    monkeypatch.setattr(session, "measure", then_interrupted)
    result = evaluate("parts", "--shots", "0,1,2", "--seeds", "1")
    assert result.exit_code == 130
    assert "1 of 3 units are kept in out; run again to go on" in result.stderr
    assert not Path("out/report.html").exists()

    monkeypatch.setattr(session, "measure", measure)
    assert evaluate("parts", "--shots", "0,1,2", "--seeds", "1").exit_code == 0
    assert len(inspected) == 3 * 2 * SPOTS
    assert not [file for file in Path("out").rglob("*") if file.name.startswith(".")], "halves of files were left"


def test_corrupt_images_and_masks_are_named_and_the_rest_is_measured(parts: Path) -> None:
    (parts / "test" / "spot" / "001.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    write(parts / "ground_truth" / "spot" / "002_mask.png", np.full((10, 70), 255, np.uint8))
    result = evaluate("parts", "--shots", "0", "--seeds", "1")
    problem = one_line_problem_at_end(result)
    assert "2 that cannot" in problem
    failures = metrics()["datasets"]["parts"]["failures"]
    assert [failure["file"] for failure in failures] == ["test/spot/001.png", "test/spot/002.png"]
    assert all(failure["reason"] for failure in failures)
    assert metrics()["datasets"]["parts"]["images"]["parts"] == {"images": 6, "defective": 2, "without_mask": 0}
    assert "2 files could not be used" in Path("out/report.html").read_text()
    assert len(Path("out/scores.jsonl").read_text().splitlines()) == 6


def one_line_problem_at_end(result: Result) -> str:
    """Like one_line_problem, after the remark that the weights are untrained."""
    assert result.exit_code == 1, (result.output, result.exception)
    problems = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(problems) == 1
    return problems[0]


def test_a_class_of_one_kind_has_no_auroc_and_says_why(parts: Path) -> None:
    for file in (parts / "test" / "good").iterdir():
        file.unlink()
    assert evaluate("parts", "--shots", "0", "--seeds", "1").exit_code == 0
    found = metrics()["datasets"]["parts"]["classes"]["parts"]
    assert found["image_auroc"] is None
    assert "no normal image" in found["reasons"]["image_auroc"]
    assert found["pixel_auroc"] is not None
    assert "no normal image" in Path("out/report.html").read_text()


def test_defects_nobody_drew_are_told_where_the_pixels_are_measured(parts: Path) -> None:
    (parts / "ground_truth" / "spot" / "001_mask.png").unlink()
    assert evaluate("parts", "--shots", "0", "--seeds", "1").exit_code == 0
    assert metrics()["datasets"]["parts"]["images"]["parts"]["without_mask"] == 1
    assert "1 defective image has no mask and no part in figures of pixels" in Path("out/report.html").read_text()


def test_folders_with_hostile_names_are_only_names(tiny_settings: Path) -> None:
    name = "<img src=x onerror=alert(1)>"
    root = tiny_settings.parent / "shop"
    dataset(root / name, defect="<b>spot")
    dataset(root / "plain")
    result = evaluate("shop", "--shots", "0", "--seeds", "1")
    assert result.exit_code == 0, (result.output, result.exception)
    assert set(metrics()["datasets"]["shop"]["classes"]) == {name, "plain"}
    page = Path("out/report.html").read_text()
    assert "<img src=x" not in page
    assert "<b>" not in page
    assert all(file.parent == Path("out/units") for file in Path("out").rglob("*.json") if file.name != "metrics.json")


def test_maps_may_be_compared_at_the_masks_own_size(parts: Path) -> None:
    assert evaluate("parts", "--shots", "2", "--seeds", "1", "--resolution", "full", "--json").exit_code == 0
    full = metrics()
    assert full["settings"]["resolution"] == "full"
    assert evaluate("parts", "--shots", "2", "--seeds", "1", "--json", "--restart").exit_code == 0
    model = metrics()["datasets"]["parts"]["shots"]["2"]["mean"]["pixel_auroc"]["mean"]
    assert full["datasets"]["parts"]["shots"]["2"]["mean"]["pixel_auroc"]["mean"] != model


def test_the_stream_may_be_its_own_reference(parts: Path) -> None:
    assert evaluate("parts", "--shots", "0", "--mutual", "--seeds", "2").exit_code == 0
    found = metrics()["datasets"]["parts"]["mutual"]["mean"]
    assert found["image_auroc"]["seeds"] == 2
    assert found["image_auroc"]["mean"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere",), "nowhere"),
        (("parts", "--classes", "screw"), "screw"),
        (("parts", "parts"), "data sets of different names"),
    ],
)
def test_what_cannot_be_evaluated_is_said_before_the_model_is_loaded(
    parts: Path, arguments: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("inspector.apps.model_wiring.prompt_weights")
    assert words in one_line_problem(evaluate(*arguments))


@pytest.mark.parametrize("shots", ["0,x", "-1", ""])
def test_shots_that_are_no_numbers_are_wrong_usage(parts: Path, shots: str) -> None:
    assert evaluate("parts", "--shots", shots).exit_code == 2


def test_too_few_images_for_a_mode_have_no_figures_and_say_why(parts: Path) -> None:
    for file in sorted((parts / "test").rglob("*.png"))[4:]:
        file.unlink()
    assert evaluate("parts", "--shots", "16", "--mutual", "--seeds", "1").exit_code == 0
    found = metrics()["datasets"]["parts"]
    shots, stream = found["shots"]["16"], found["mutual"]
    for setting, reason in ((shots, "14 normal training images, 16 are asked for"), (stream, "4 images, too few")):
        assert setting["mean"]["pixel_auroc"]["mean"] is None
        assert reason in setting["classes"]["parts"]["reasons"]["pixel_auroc"]


def test_more_types_than_a_mask_holds_are_said_before_the_model_is_loaded(parts: Path) -> None:
    for number in range(254):
        write(parts / "test" / f"kind {number}" / "000.png", np.zeros((SIDE, SIDE, 3), np.uint8))
    assert "255 in parts" in one_line_problem(evaluate("parts", "--shots", "0"))


def test_examples_keep_to_their_budget_and_no_class_goes_without() -> None:
    """A report of 30 classes in 7 settings would have 630 pictures if each unit had one of each group."""
    settings = [(ScoreMode.ZERO_SHOT, 0), *((ScoreMode.BANK, shots) for shots in (1, 2, 4, 8, 16))]
    keys = [UnitKey("many", f"{number:02}", *setting) for number in range(30) for setting in settings]
    shown = session._examples_of(keys)
    assert sum(shown.values()) * 3 <= 150
    assert all(UnitKey("many", f"{number:02}", ScoreMode.ZERO_SHOT) in shown for number in range(30))
    assert set(session._examples_of(keys[:2]).values()) == {5}


def test_settings_that_a_data_set_cannot_have_are_told_before_the_work(parts: Path) -> None:
    result = evaluate("parts", "--shots", "0,2,500", "--seeds", "1")
    assert result.exit_code == 0, (result.output, result.exception)
    assert "no 500-shot: 14 good images" in result.stderr
    assert "2-shot:" not in result.stderr
