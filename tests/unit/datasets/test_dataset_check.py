from __future__ import annotations

import json
import shutil
from pathlib import Path

import miniatures
import pytest
from local_services import PHOTOGRAPHS
from typer.testing import CliRunner, Result

from inspector.cli import app
from inspector.datasets.checking import Findings, check
from inspector.datasets.opening import open_dataset


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["dataset", "check", *arguments], prog_name="inspector")


def findings(root: Path) -> Findings:
    return check(open_dataset(root))


@pytest.fixture
def lid(tmp_path: Path) -> Path:
    return miniatures.mvtec_class(tmp_path / "lid", ["dent", "scratches"])


def test_a_sound_data_set_has_no_problems_and_its_counts(lid: Path) -> None:
    found = findings(lid)
    (facts,) = found.classes
    assert (found.problems, found.remarks, found.vocabulary) == ((), (), ("dent", "scratch"))
    assert facts.train == {"good": 3}
    assert facts.test == {"good": 3, "dent": 2, "scratch": 2}
    assert (facts.defective, facts.drawn) == (4, 4)


@pytest.mark.parametrize("build", [miniatures.mvtec_ad, miniatures.mpdd, miniatures.mad, miniatures.visa])
def test_miniatures_of_the_published_sets_have_no_problems(build: object, tmp_path: Path) -> None:
    assert callable(build)
    found = findings(build(tmp_path))
    assert (found.problems, found.remarks) == ((), ())


def test_real_iads_masks_beside_its_images_are_no_images(tmp_path: Path) -> None:
    found = findings(miniatures.real_iad(tmp_path))
    assert (found.problems, found.remarks) == ((), ())


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda lid: (lid / "ground_truth/dent/001_mask.png").unlink(), "missing mask: test/dent/001.png"),
        (
            lambda lid: (lid / "test/dent/001.png").unlink(),
            "mask without an image: ground_truth/dent/001_mask.png",
        ),
        (
            lambda lid: miniatures.drawing(lid / "ground_truth/dent/001_mask.png", size=(16, 16)),
            "misfitting mask: test/dent/001.png has 24 x 16 pixels, its mask 16 x 16",
        ),
        (
            lambda lid: miniatures.drawing(lid / "ground_truth/dent/001_mask.png", [0]),
            "empty mask of a defect: test/dent/001.png",
        ),
        (
            lambda lid: (lid / "ground_truth/dent/001_mask.png").write_bytes(b"no picture"),
            "unreadable mask: ",
        ),
        (
            lambda lid: (lid / "test/good/001.png").write_bytes(b"\x89PNG\r\n\x1a\n"),
            "unreadable image: test/good/001.png",
        ),
        (lambda lid: (lid / "train/good/001.png").write_bytes(b""), "unreadable image: train/good/001.png"),
        (
            lambda lid: shutil.copy(lid / "test/good/001.png", lid / "test/dent/001.png"),
            "the same picture both good and defective: test/dent/001.png, test/good/001.png",
        ),
    ],
)
def test_what_is_wrong_with_one_file_is_one_problem(lid: Path, spoil: object, problem: str) -> None:
    assert callable(spoil)
    spoil(lid)
    (found,) = findings(lid).problems
    assert found.startswith(problem)


def test_many_missing_masks_are_one_problem_and_all_are_named_for_machines(lid: Path) -> None:
    for number in range(100, 104):
        miniatures.picture(lid / "test" / "dent" / f"{number}.png")
    found = findings(lid)
    names = [f"test/dent/{number}.png" for number in range(100, 104)]
    assert found.problems == (f"4 missing masks: {', '.join(names[:3])} and 1 more",)
    assert found.classes[0].missing_masks == tuple(names)


def test_types_that_a_run_cannot_take_are_problems(lid: Path) -> None:
    for name in ("dent " * 20, *(f"kind {number}" for number in range(254))):
        miniatures.picture(lid / "test" / name / "000.png")
    found = [problem for problem in findings(lid).problems if problem.startswith("lid: ")]
    assert found[0] == "lid: 257 types of defects, of which 254 can be told apart"
    assert found[1].startswith("lid: expected a type's name of 1 to 80 printable characters, got 'dent dent")


def test_an_image_that_a_list_names_and_nobody_has_is_a_problem(tmp_path: Path) -> None:
    miniatures.visa(tmp_path)
    (tmp_path / "pcb1/Data/Images/Normal/0000.JPG").unlink()
    assert findings(tmp_path).problems == (
        "unreadable image: pcb1/Data/Images/Normal/0000.JPG: No such file or directory",
    )


@pytest.mark.parametrize(
    ("spoil", "remark"),
    [
        (
            lambda lid: miniatures.drawing(lid / "ground_truth/dent/001_mask.png", size=(12, 8)),
            "mask of another size, which will be scaled: test/dent/001.png has 24 x 16 pixels, its mask 12 x 8",
        ),
        (lambda lid: shutil.rmtree(lid / "ground_truth"), "lid: no masks: metrics of pixels will not exist"),
        (lambda lid: shutil.rmtree(lid / "train"), "lid: no good images for training: no reference bank from them"),
        (lambda lid: shutil.rmtree(lid / "test" / "good"), "lid: only defective images to test on: ranking metrics"),
        (
            lambda lid: shutil.copy(lid / "train/good/000.png", lid / "test/good/000.png"),
            "the same picture for training and for testing: train/good/000.png, test/good/000.png",
        ),
        (
            lambda lid: [shutil.copy(lid / "test/good/000.png", lid / f"test/good/{n}.png") for n in range(4)],
            "the same picture 5 times: test/good/0.png, test/good/000.png, test/good/1.png and 2 more",
        ),
    ],
)
def test_what_a_run_survives_is_a_remark(lid: Path, spoil: object, remark: str) -> None:
    assert callable(spoil)
    spoil(lid)
    found = findings(lid)
    assert found.problems == ()
    (first,) = found.remarks
    assert first.startswith(remark)


def test_a_class_with_good_images_only_has_no_metrics(lid: Path) -> None:
    for kind in ("dent", "scratches"):
        shutil.rmtree(lid / "test" / kind)
        shutil.rmtree(lid / "ground_truth" / kind)
    assert findings(lid).remarks == ("lid: only good images to test on: ranking metrics will not exist",)


def test_plain_folders_say_which_metrics_will_not_exist(tmp_path: Path) -> None:
    found = findings(miniatures.normal_defect(tmp_path / "cap", "good", "bad"))
    assert found.problems == ()
    assert [remark.split(":")[1].strip() for remark in found.remarks] == ["no masks", "no good images for training"]


def plain_folders(root: Path, *folders: str) -> Path:
    for folder in folders:
        for number in range(2):
            miniatures.picture(root / folder / f"{number}.png")
    return root


def test_folders_of_types_beside_the_good_one_are_read(tmp_path: Path) -> None:
    found = findings(plain_folders(tmp_path / "cap", "good", "cracked", "dent"))
    assert found.problems == ()
    assert found.classes[0].test == {"good": 2, "crack": 2, "dent": 2}


@pytest.mark.parametrize(
    ("folders", "problem"),
    [
        (("good", "bad", "cracked"), "2 images in cracked/ are not read: the layout normal-defect has no place there"),
        (("good", "cracked/monday"), "2 images in cracked/monday/ are not read: "),
        (("good", "cracked", "masks"), "2 images in masks/ are not read: "),
        (("good", "cracked", "."), "2 images in the folder itself are not read: "),
        (("cap/good", "cap/cracked", "lid/cracked"), "2 images in lid/cracked/ are not read: "),
        (("train/good", "test/good", "test/dent", "validation/good"), "2 images in validation/good/ are not read: "),
    ],
)
def test_a_folder_of_images_that_nobody_reads_is_a_problem(
    tmp_path: Path, folders: tuple[str, ...], problem: str
) -> None:
    (found,) = findings(plain_folders(tmp_path / "shop", *folders)).problems
    assert found.startswith(problem)


def test_a_folder_one_level_too_deep_is_a_problem(lid: Path) -> None:
    (found,) = findings(lid / "test").problems
    assert found == "test/ is one part of lid/: check lid/, or its other images and its masks are not read"


def test_the_command_prints_what_there_is_and_ends_with_0(tmp_path: Path) -> None:
    result = run(str(miniatures.mvtec_ad(tmp_path)))
    assert result.exit_code == 0, result.output
    first, *_ = result.stdout.splitlines()
    assert first == "MVTec AD: layout mvtec-ad, licence CC BY-NC-SA 4.0, 30 images, 3 classes"
    assert "damaged thread 2" in result.stdout
    assert "vocabulary: scratch, damaged thread, hole" in result.stdout
    assert result.stdout.splitlines()[-1] == "no problems"


def test_problems_are_one_line_each_bounded_and_end_with_1(lid: Path) -> None:
    for number in range(32):
        miniatures.drawing(lid / "ground_truth" / "dent" / f"{number + 100}_mask.png")
    result = run(str(lid))
    assert result.exit_code == 1
    problems = [line for line in result.stdout.splitlines() if line.startswith("problem: ")]
    assert len(problems) == 21
    assert problems[-1] == "problem: and 12 more (--json lists all)"
    printed = json.loads(run(str(lid), "--json").stdout)
    assert len(printed["problems"]) == 32
    assert printed["classes"][0]["test"] == {"good": 3, "dent": 2, "scratch": 2}
    assert (printed["layout"], printed["licence"], printed["images"]) == ("mvtec-layout", None, 10)


def test_hostile_names_are_shown_escaped(lid: Path) -> None:
    (lid / "test" / "good" / "\x1b[2J.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = run(str(lid))
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    assert "\\x1b[2J.png" in result.stdout


def test_own_words_and_a_named_layout(lid: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.yaml"
    words.write_text("mark: [scratch]\n")
    assert "vocabulary: dent, mark" in run(str(lid), "--vocabulary", str(words)).stdout
    refused = run(str(lid), "--layout", "visa")
    assert refused.exit_code == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith("error: expected CLASS/Data/Images")


@pytest.mark.shared
@pytest.mark.parametrize("name", ["ball_screw", "cookie", "printed_board"])
def test_real_folders_have_no_problems(name: str) -> None:
    assert findings(PHOTOGRAPHS / name).problems == ()
