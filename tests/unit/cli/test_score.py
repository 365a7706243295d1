"""``inspector score`` end to end, on images made here, with a tiny untrained model and a reference."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from command_line import one_line_problem, run

from inspector.pipeline.engine_ports import DecodedFrame, Verdict
from inspector.vision.engine import InspectionEngine
from inspector.vision.judge import RawScores
from inspector.vision.raw_scorer import RawScorer

SIDE = 96


def part(seed: int, mark: tuple[int, int] | None = None) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A grey plate with some noise, and a bright square where it is marked."""
    pixels = np.random.default_rng(seed).normal(90, 4, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
    if mark is not None:
        pixels[mark[1] : mark[1] + 24, mark[0] : mark[0] + 24] = (30, 240, 250)
    return pixels


def write(path: Path, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


@pytest.fixture
def photos(tiny_settings: Path) -> Path:
    """MVTec's layout in the current folder: train/good, test/{good,spot}, ground_truth/spot."""
    root = tiny_settings.parent / "set"
    for number in range(12):
        write(root / "train" / "good" / f"{number:03}.png", part(number))
    for number in range(3):
        write(root / "test" / "good" / f"{number:03}.png", part(100 + number))
        corner = (10 + 20 * number, 30)
        write(root / "test" / "spot" / f"{number:03}.png", part(200 + number, corner))
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[corner[1] : corner[1] + 24, corner[0] : corner[0] + 24] = 255
        write(root / "ground_truth" / "spot" / f"{number:03}_mask.png", mask)
    return root


def test_a_dataset_with_a_reference(photos: Path) -> None:
    result = run("score", "set/test", "--reference", "set/train/good", "--out", "out", "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    printed = json.loads(result.stdout)
    assert json.loads(Path("out/results.json").read_text()) == printed
    labels = {row["file"]: row["pred_label"] for row in printed["results"]}
    assert labels == {
        **{f"set/test/good/{number:03}.png": "normal" for number in range(3)},
        **{f"set/test/spot/{number:03}.png": "anomalous" for number in range(3)},
    }
    truth = printed["summary"]["truth"]
    assert truth["images"] == 6
    assert truth["image_auroc"] == 1.0
    assert truth["pixel_auroc"] > 0.9
    assert printed["summary"] | {"truth": None} == {"images": 6, "anomalous": 3, "failed": 0, "truth": None}
    for row in printed["results"]:
        if row["pred_label"] == "anomalous":
            assert cv2.imread(f"out/{row['overlay']}") is not None
            mask = cv2.imread(f"out/{row['mask']}", cv2.IMREAD_GRAYSCALE)
            assert mask is not None
            assert mask.shape == (SIDE, SIDE)
            assert row["defects"]
    assert "types are a guess" in result.stderr


def test_the_table_and_the_auroc_for_people(photos: Path) -> None:
    result = run("score", "set/test", "--reference", "set/train/good")
    assert result.exit_code == 0
    assert "image AUROC 1.0000" in result.stdout
    assert "6 images, 3 anomalous" in result.stdout
    assert result.stdout.count("anomalous") == 4


@pytest.fixture
def faint(photos: Path) -> Path:
    """``photos`` whose defects cannot be seen, and six good images more."""
    for number in range(3):
        write(photos / "test" / "spot" / f"{number:03}.png", part(200 + number))
    for number in range(6):
        write(photos / "test" / "good" / f"1{number:02}.png", part(300 + number))
    return photos


@pytest.mark.parametrize("how", [("--reference", "set/train/good"), ("--mutual",)], ids=["reference", "mutual"])
def test_the_summary_says_what_the_threshold_in_use_did(faint: Path, how: tuple[str, ...]) -> None:
    counts = ("found", "defective", "false_alarms", "good")
    for threshold, expected in (("0", (3, 3, 9, 9)), ("1", (0, 3, 0, 9))):
        result = run("score", "set/test", *how, "--image-threshold", threshold, "--json")
        assert result.exit_code == 0, (result.output, result.exception)
        printed = json.loads(result.stdout)
        assert tuple(printed["summary"]["truth"][name] for name in counts) == expected
        assert {row["image_threshold"] for row in printed["results"]} == {float(threshold)}
    told = run("score", "set/test", *how, "--image-threshold", "1").stdout
    assert "found 0 of 3 defective, 0 of 9 good alarmed" in told


def test_where_nothing_is_found_it_says_what_to_do(faint: Path) -> None:
    def remarks(*arguments: str) -> str:
        result = run("score", *arguments, "--reference", "set/train/good", "--image-threshold", "1")
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stderr

    told = remarks("set/test")
    assert "no image reaches the threshold, 1; the highest score is 0." in told
    assert "more normal images (12 now)" in told
    assert "--image-threshold" in told
    # Where all are known to be good there is nothing to find; of many that nobody knows, something should be.
    assert "no image reaches" not in remarks("set/test/good")
    for number in range(20):
        write(faint.parent / "new" / f"{number}.png", part(300 + number))
    assert "no image reaches" in remarks("new")
    assert "no image reaches" not in remarks("new/0.png")


def test_through_tiles_a_reference_and_its_defects_are_found_as_well(photos: Path) -> None:
    result = run("score", "set/test", "--reference", "set/train/good", "--tiles", "2", "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    truth = json.loads(result.stdout)["summary"]["truth"]
    assert truth["image_auroc"] == 1.0
    assert truth["pixel_auroc"] > 0.9
    assert run("score", "set/test", "--tiles", "9").exit_code == 2


def test_a_product_of_the_settings_brings_its_types_and_an_unknown_one_is_named(photos: Path) -> None:
    settings = json.loads(Path("inspector.yaml").read_text())
    Path("inspector.yaml").write_text(json.dumps(settings | {"products": {"lid": {"defects": [{"name": "graze"}]}}}))
    result = run("score", "set/test", "--reference", "set/train/good", "--product", "lid", "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    rows = json.loads(result.stdout)["results"]
    assert {defect["defect_type"] for row in rows for defect in row["defects"]} == {"graze"}
    problem = one_line_problem(run("score", "set/test", "--product", "cap"))
    assert "default, lid" in problem
    assert "cap" in problem


def test_masks_may_stand_elsewhere(photos: Path) -> None:
    (photos / "ground_truth").rename(photos.parent / "masks")
    result = run("score", "set/test", "--reference", "set/train/good", "--truth", "masks", "--json")
    assert json.loads(result.stdout)["summary"]["truth"]["pixel_auroc"] > 0.9


def test_without_masks_there_is_an_image_auroc_and_the_reason_why_no_pixel_auroc(photos: Path) -> None:
    (photos / "ground_truth").rename(photos.parent / "elsewhere")
    result = run("score", "set/test", "--reference", "set/train/good", "--json")
    truth = json.loads(result.stdout)["summary"]["truth"]
    assert truth["image_auroc"] == 1.0
    assert truth["pixel_auroc"] is None
    assert truth["without_mask"] == 3
    assert truth["notes"]


@pytest.mark.parametrize("given", ["set", "set/../set"])
def test_a_datasets_root_is_its_images_and_only_those_of_test_are_compared(photos: Path, given: str) -> None:
    result = run("score", given, "--reference", "set/train/good", "--json")
    summary = json.loads(result.stdout)["summary"]
    assert summary["images"] == 12 + 6
    assert summary["truth"]["images"] == 6


def test_a_folder_that_is_only_called_ground_truth_is_scored(photos: Path) -> None:
    (photos / "ground_truth").rename(photos.parent / "ground_truth")
    result = run("score", "ground_truth", "--reference", "set/train/good", "--json")
    assert json.loads(result.stdout)["summary"]["images"] == 3


def test_with_masks_elsewhere_a_defect_nobody_drew_counts_and_the_reference_does_not(photos: Path) -> None:
    (photos / "ground_truth").rename(photos.parent / "masks")
    Path("masks/spot/000_mask.png").unlink()
    result = run("score", "set", "--reference", "set/train/good", "--truth", "masks", "--json")
    truth = json.loads(result.stdout)["summary"]["truth"]
    assert (truth["images"], truth["without_mask"]) == (6, 1)


def test_every_image_is_scored_once(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[int] = []
    score = RawScorer.score

    def counted(self: RawScorer, pixels: Any, *rest: Any, **options: Any) -> Any:
        scored.append(len(pixels))
        return score(self, pixels, *rest, **options)

    monkeypatch.setattr(RawScorer, "score", counted)
    assert run("score", "set/test", "--json").exit_code == 0
    assert sum(scored) == 6


def test_the_default_product_of_the_settings_is_what_is_scored(photos: Path, tiny_settings: Path) -> None:
    settings = json.loads(tiny_settings.read_text())
    default = {"defects": ["blot"], "mm_per_px": 0.5, "ignore": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}
    everything = default | {"ignore": []}
    found = []
    for product in (everything, default):
        Path("other.json").write_text(json.dumps(settings | {"products": {"default": product}}))
        result = run("score", "set/test/spot", "--reference", "set/train/good", "--json", "-c", "other.json")
        found.append([defect for row in json.loads(result.stdout)["results"] for defect in row["defects"]])
    assert {defect["defect_type"] for defect in found[0]} == {"blot"}
    assert all(defect["area_mm2"] == defect["area_px"] * 0.25 for defect in found[0])
    assert found[1] == []


def test_a_picture_beside_a_folder_called_like_its_overlay(photos: Path) -> None:
    for name in ("a.png", "a.jpg/b.png", "A.PNG/b.png"):
        write(photos.parent / "mixed" / name, part(1, (20, 20)))
    result = run("score", "mixed", "--reference", "set/train/good", "--out", "out", "--json")
    assert result.exit_code == 0, result.stderr
    overlays = [row["overlay"] for row in json.loads(result.stdout)["results"]]
    assert len({overlay for overlay in overlays if Path("out", overlay).is_file()}) == 3


def test_untrained_and_without_a_reference_it_says_that_scores_mean_nothing(photos: Path) -> None:
    result = run("score", "set/test/good/000.png")
    assert result.exit_code == 0
    assert "mean nothing; give --reference" in result.stderr


def test_damaged_images_are_named_counted_and_the_rest_is_scored(photos: Path) -> None:
    whole = (photos / "test" / "good" / "000.png").read_bytes()
    (photos / "test" / "good" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (photos / "test" / "good" / "text.jpg").write_text("no image")
    result = run("score", "set/test", "--reference", "set/train/good", "--out", "out", "--format", "jsonl", "--json")
    assert result.exit_code == 1
    problem = result.stderr.splitlines()[-1]
    assert problem.startswith(
        "error: expected images that can be scored, got 2 of 8 that cannot, the first set/test/good/"
    )
    rows = [json.loads(line) for line in Path("out/results.jsonl").read_text().splitlines()]
    assert {row["file"] for row in rows if row["error"]} == {"set/test/good/cut.png", "set/test/good/text.jpg"}
    assert len(rows) == 8
    assert json.loads(result.stdout)["summary"]["failed"] == 2


def test_hostile_names_are_shown_escaped_and_write_inside_the_output_folder(photos: Path) -> None:
    evil = photos.parent / "evil"
    names = ["\x1b[2Jwipe.png", "[red]bold[/red].png", "a b.png", "=cmd.png"]
    for name in names:
        write(evil / name, part(1, (20, 20)))
    for folder in ("one", "two"):
        write(evil / folder / "same.png", part(2, (20, 20)))
    result = run("score", "evil", "--reference", "set/train/good", "--out", "deep/out", "--format", "csv")
    assert result.exit_code == 0, (result.output, result.exception)
    assert "\x1b" not in result.output
    assert "[red]bold[/red].png" in result.stdout
    with Path("deep/out/results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    pictures = [row["overlay"] for row in rows]
    assert len(set(pictures)) == len(names) + 2
    for picture in pictures:
        assert Path("deep/out", picture).resolve().is_relative_to(Path("deep/out").resolve())
        assert Path("deep/out", picture).is_file()


def test_overlays_of_an_earlier_run_are_no_input(photos: Path) -> None:
    for _ in range(2):
        result = run("score", "set/test", "--reference", "set/train/good", "--out", "set/test/out", "--json")
    assert json.loads(result.stdout)["summary"]["images"] == 6


def test_the_asked_for_defects_are_the_ones_reported(photos: Path) -> None:
    result = run("score", "set/test/spot", "--reference", "set/train/good", "--defects", "yellow spot, hole", "--json")
    types = {defect["defect_type"] for row in json.loads(result.stdout)["results"] for defect in row["defects"]}
    assert types
    assert types <= {"yellow spot", "hole"}


def types_found(*arguments: str) -> tuple[set[str], str]:
    result = run("score", "set/test/spot", "--reference", "set/train/good", "--json", *arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    rows = json.loads(result.stdout)["results"]
    return {defect["defect_type"] for row in rows for defect in row["defects"]}, result.stderr


def test_unless_types_are_chosen_those_of_trained_weights_are_looked_for(
    photos: Path, tiny_settings: Path, trained_weights: Path
) -> None:
    types, remarks = types_found("--weights", str(trained_weights))
    assert types
    assert types <= {"rust", "chip"}
    assert "those of the weights are looked for, rust, chip" in remarks
    assert "untrained" not in remarks
    types, remarks = types_found("--weights", str(trained_weights), "--defects", "hole")
    assert (types, remarks) == ({"hole"}, "")
    settings = json.loads(tiny_settings.read_text())
    for product, expected in (
        ({"defects": ["blot"]}, {"blot"}),
        ({"tiles": 1}, types_found("--weights", "w.safetensors")[0]),
    ):
        tiny_settings.write_text(json.dumps(settings | {"products": {"default": product}}))
        assert types_found("--weights", "w.safetensors")[0] == expected


def test_weights_of_a_flag_go_before_those_of_the_settings(
    photos: Path, tiny_settings: Path, trained_weights: Path
) -> None:
    settings = json.loads(tiny_settings.read_text())
    settings["model"]["weights"] = "nope.safetensors"
    tiny_settings.write_text(json.dumps(settings))
    assert "nope.safetensors" in one_line_problem(run("score", "set/test"))
    assert run("score", "set/test", "--weights", str(trained_weights)).exit_code == 0


def test_too_small_a_reference_is_refused(photos: Path) -> None:
    assert "8" in one_line_problem(run("score", "set/test/spot", "--reference", "set/test/good"))


def test_an_unfinished_run_leaves_no_results_file(photos: Path) -> None:
    (photos / "ground_truth" / "spot" / "000_mask.png").write_text("no image")
    result = run("score", "set/test", "--reference", "set/train/good", "--out", "out")
    assert result.exit_code == 1
    assert list(Path("out").glob("*results*")) == []
    assert list(Path("out").glob(".*")) == []


def test_unlabelled_images_find_the_odd_ones_among_themselves(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        write(photos / "test" / "good" / f"1{number:02}.png", part(300 + number))
    result = run("score", "set/test", "--mutual", "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    printed = json.loads(result.stdout)
    assert {row["mode"] for row in printed["results"]} == {"mutual"}
    assert printed["summary"]["truth"]["image_auroc"] == 1.0
    assert "scores of" not in result.stderr
    # In blocks, each of them spread over the folders.
    monkeypatch.setattr("inspector.apps.score._MUTUAL_BLOCK", 9)
    blocks = json.loads(run("score", "set/test", "--mutual", "--json").stdout)
    assert [row["file"] for row in blocks["results"]] != [row["file"] for row in printed["results"]]
    assert blocks["summary"]["images"] == 18
    assert blocks["summary"]["truth"]["image_auroc"] > 0.9


def test_tiled_images_are_compared_in_smaller_blocks_as_each_takes_more_memory(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        write(photos / "test" / "good" / f"1{number:02}.png", part(300 + number))
    blocks: list[int] = []
    compare = InspectionEngine.inspect_mutually

    def counted(engine: InspectionEngine, frames: Sequence[DecodedFrame]) -> list[tuple[Verdict, RawScores]]:
        blocks.append(len(frames))
        return compare(engine, frames)

    monkeypatch.setattr(InspectionEngine, "inspect_mutually", counted)
    assert run("score", "set/test", "--mutual", "--json").exit_code == 0
    assert run("score", "set/test", "--mutual", "--tiles", "3", "--json").exit_code == 0
    assert blocks == [36, 12, 12, 12]


def test_mutual_scoring_needs_images_enough_and_no_reference(photos: Path) -> None:
    assert "at least 8 different frames" in run("score", "set/test", "--mutual").stderr
    assert run("score", "set/test", "--mutual", "--reference", "set/train/good").exit_code == 2
