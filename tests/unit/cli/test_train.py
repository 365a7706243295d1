"""`inspector train` as a person types it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import one_line_problem, run
from PIL import Image

from inspector.apps.weights import threshold_text
from inspector.dapo.weights_file import verify_weights

WEIGHTS = Path("w.safetensors")
WORK = Path("w.safetensors.training")


@pytest.fixture
def plate(here: Path, tiny_settings: Path) -> Path:
    """A data set of one class: 9 good images and 3 of a scratch to tune on, 2 good ones kept for training."""
    rng = np.random.default_rng(0)
    mask = np.zeros((64, 64), np.uint8)
    mask[16:32, 16:48] = 255
    for name, count in (("train/good", 2), ("test/good", 9), ("test/scratch", 3)):
        for number in range(count):
            pixels = rng.integers(90, 150, (64, 64, 3), np.uint8)
            if "scratch" in name:
                pixels[mask > 0] = 255
                save(here / "plate/ground_truth/scratch" / f"{number}_mask.png", mask)
            save(here / "plate" / name / f"{number}.png", pixels)
    return here / "plate"


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


SHORT = ("--out", str(WEIGHTS), "--epochs", "1", "--batch-size", "6")


def test_it_writes_weights_thresholds_and_a_plot(plate: Path) -> None:
    done = run("train", str(plate), *SHORT)
    assert done.exit_code == 0, (done.output, done.exception)
    manifest = verify_weights(WEIGHTS)
    assert (manifest.trained, manifest.vocabulary) == (True, ("scratch",))
    assert manifest.tuned_on == ("plate",)
    assert manifest.image_threshold != 0.5
    assert manifest.created_at
    assert manifest.version in done.stdout
    assert "epoch 1/1 loss " in done.stderr
    assert "12 images, 3 of them defective" in done.stderr
    assert "9 good images: thresholds that 0.01 of such exceed are extrapolated, a guess" in done.stderr
    assert Path("w.loss.svg").read_text().startswith("<?xml")
    assert sorted(path.name for path in WORK.iterdir()) == ["history.jsonl", "lock"]

    assert "w.safetensors" in one_line_problem(run("train", str(plate), *SHORT))  # not overwritten unasked
    plate.rename("dish")
    assert run("train", "dish", *SHORT, "--restart", "--from", str(WEIGHTS)).exit_code == 0
    assert verify_weights(WEIGHTS).version != manifest.version
    assert verify_weights(WEIGHTS).tuned_on == ("plate", "dish")
    assert "tuned on" in (shown := run("weights", "show", str(WEIGHTS)).stdout)
    assert "plate, dish" in shown


def test_a_corrupt_image_is_named_and_the_rest_is_trained_on(plate: Path) -> None:
    (plate / "test/scratch/1.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    done = run("train", str(plate), *SHORT)
    assert done.exit_code == 1
    left_out, *_, problem = done.stderr.splitlines()
    assert left_out.startswith("left out: test/scratch/1.png")
    assert problem.startswith("error: expected images that can be read, got 1 that cannot")
    assert verify_weights(WEIGHTS).trained


def test_defects_are_painted_where_there_are_none(plate: Path) -> None:
    for file in (plate / "test/scratch").iterdir():
        file.unlink()
    assert "--synthetic" in one_line_problem(run("train", str(plate), *SHORT))
    done = run("train", str(plate), *SHORT, "--synthetic", "6")
    assert done.exit_code == 0, done.output
    assert "scratch" in verify_weights(WEIGHTS).vocabulary
    assert "3 good images, fewer than 8: thresholds stay at 0.5" in done.stderr


def test_a_good_image_that_cannot_be_painted_on_is_named_and_ends_in_an_error(plate: Path) -> None:
    (plate / "train/good/1.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    done = run("train", str(plate), *SHORT, "--synthetic", "4")
    assert done.exit_code == 1
    first, *_, problem = done.stderr.splitlines()
    assert "train/good/1.png: not painted on: " in first
    assert problem.startswith("error: expected images that can be read, got 1 that cannot")
    assert verify_weights(WEIGHTS).trained


def test_frames_are_as_large_for_painting_as_the_settings_allow(plate: Path) -> None:
    done = run("train", str(plate), *SHORT, "--synthetic", "4", env={"INSPECTOR_LIMITS__MAX_FRAME_PIXELS": "4095"})
    assert done.exit_code == 1
    assert "expected at least one readable image of a good part" in done.stderr
    assert "64 x 64 pixels, at most 4095 are taken" in done.stderr


def test_a_folder_to_write_into_is_refused_before_hours_are_spent(plate: Path) -> None:
    Path("weights").mkdir()
    for out in ("weights", ".", "/"):
        problem = one_line_problem(run("train", str(plate), "--out", out, "--epochs", "1", "--restart"))
        assert "a folder" in problem
        assert "epoch" not in problem


def test_a_folder_that_does_not_exist_is_not_made(plate: Path) -> None:
    problem = one_line_problem(run("train", str(plate), "--out", "wieghts/w.safetensors", "--epochs", "1"))
    assert "got wieghts, which does not exist" in problem
    assert not Path("wieghts").exists()
    Path("notes").write_text("")
    assert "got notes, no folder" in one_line_problem(run("train", str(plate), "--out", "notes/w.safetensors"))


def test_a_file_that_exists_is_refused_before_torch_is_loaded(plate: Path) -> None:
    WEIGHTS.write_text("of someone")
    WORK.mkdir()
    (WORK / "run.json").write_text("{}")  # of a run that learnt nothing
    script = (
        "import sys\nfrom inspector.cli import app\n"
        f"try:\n    app(['train', {str(plate)!r}, '--out', {str(WEIGHTS)!r}])\n"
        "except SystemExit as end:\n    print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "got w.safetensors, which exists" in done.stderr
    assert done.stdout.split() == ["1", "False"]
    assert WEIGHTS.read_text() == "of someone"


def test_after_a_model_that_cannot_be_loaded_the_corrected_command_runs(plate: Path) -> None:
    Path("damaged.safetensors").write_bytes(b"no tensors")
    wrong = {"INSPECTOR_MODEL__PRETRAINED": "damaged.safetensors"}
    one_line_problem(run("train", str(plate), *SHORT, env=wrong))
    assert (WORK / "run.json").exists()
    done = run("train", str(plate), *SHORT)
    assert done.exit_code == 0, done.output


def test_a_threshold_next_to_1_is_not_written_as_1() -> None:
    assert [threshold_text(value) for value in (0.5, 0.99994, 0.999984, 1 - 2**-24, 1.0)] == [
        "0.5", "0.9999", "1 - 1.6e-05", "1 - 6e-08", "1",
    ]  # fmt: skip


def test_layer_tokens_are_those_of_the_weights_one_goes_on_from(plate: Path) -> None:
    assert run("weights", "init", "four.safetensors").exit_code == 0
    problem = one_line_problem(run("train", str(plate), *SHORT, "--from", "four.safetensors", "--layer-tokens", "0"))
    assert "0 layer tokens" in problem
    assert "--layer-tokens 4" in problem


def test_weights_for_another_model_are_refused(plate: Path) -> None:
    assert run("weights", "init", "other.safetensors", env={"INSPECTOR_MODEL__IMAGE_SIZE_PX": "128"}).exit_code == 0
    assert "at 128 px" in one_line_problem(run("train", str(plate), *SHORT, "--from", "other.safetensors"))
    assert not WEIGHTS.exists()


def test_ctrl_c_keeps_what_was_done_and_the_same_command_goes_on(plate: Path) -> None:
    command = [sys.executable, "-m", "inspector", "train", str(plate), "--out", str(WEIGHTS), "--batch-size", "2"]
    long = [*command, "--epochs", "200"]
    with subprocess.Popen(long, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}) as first:
        assert first.stderr is not None
        while not first.stderr.readline().startswith("epoch 1/"):
            assert first.poll() is None
        first.send_signal(signal.SIGINT)
        said = first.stderr.read()
    assert first.returncode == 130
    assert "repeat the command to go on" in said
    assert not WEIGHTS.exists()
    assert (WORK / "checkpoint.safetensors").exists()

    problem = one_line_problem(run("train", str(plate), *SHORT))
    assert "epochs 1" in problem
    assert "--restart" in problem
    steps = len((WORK / "history.jsonl").read_text().splitlines())
    with subprocess.Popen(
        long, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as second:
        assert second.stderr is not None
        while not (line := second.stderr.readline()).startswith("epoch "):
            assert second.poll() is None
        second.send_signal(signal.SIGTERM)
        second.stderr.read()
    assert second.returncode == 130
    assert int(line.split("/")[0].removeprefix("epoch ")) >= steps // 6
    assert len((WORK / "history.jsonl").read_text().splitlines()) > steps
