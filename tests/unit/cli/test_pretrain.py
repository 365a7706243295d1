"""`inspector pretrain` as a person types it: from nothing to a folder that serves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from command_line import one_line_problem, run
from PIL import Image

import inspector.apps.pretrain as verb
import inspector.training.pretraining.run as loop
import inspector.training.pretraining.scene_thresholds as scene_thresholds
from inspector.apps import model_wiring
from inspector.dapo.weights_file import verify_weights
from inspector.domain.frame import Frame, FrameMeta, FrameSource
from inspector.settings import load
from inspector.training.thresholds import UNMEASURED, measured
from inspector.vision.opencv import cv2

TINY_PATCHES_OF_16 = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 192, "layers": 4, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
SHORT = ("--images", "8", "--pairs", "2", "--teacher", "texture", "--out", "model")


@pytest.fixture
def settings(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``inspector.yaml`` with a tiny architecture in a folder; a validation of a few pictures."""
    (here / "tiny").mkdir()
    config = {"model_cfg": TINY_PATCHES_OF_16, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3}}
    (here / "tiny/open_clip_config.json").write_text(json.dumps(config))
    file = here / "inspector.yaml"
    file.write_text(json.dumps({"model": {"name": "local-dir:tiny", "image_size_px": 208, "threads": 1}}))
    monkeypatch.setattr(verb, "_VALIDATION_SCENES", 2)
    monkeypatch.setattr(verb, "_THRESHOLD_SCENES", 8)
    monkeypatch.setattr(loop, "_MOMENTS_PAIRS", 2)
    return file


def photographs(folder: Path, count: int) -> None:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(rng.integers(90, 150, (64, 64, 3), np.uint8)).save(folder / f"Stone{number}.png")


def test_it_writes_a_model_that_open_clip_loads_and_score_uses(settings: Path) -> None:
    photographs(Path("stones"), 24)
    done = run("pretrain", *SHORT, "--photographs", "stones")
    assert done.exit_code == 0, (done.output, done.exception)
    assert "validation after step 2: scenes/" in done.stderr
    assert "INSPECTOR_MODEL__NAME=local-dir:model" in done.stdout
    assert sorted(path.name for path in Path("model").iterdir()) == [
        "MODEL_CARD.md", "SHA256SUMS", "open_clip_config.json", "open_clip_model.safetensors", "prompts.safetensors",
    ]  # fmt: skip
    assert (Path("model.training") / "loss.svg").exists()
    card = Path("model/MODEL_CARD.md").read_text()
    assert "8 rendered, in 2 steps" in card
    assert "texture: hand-made" in card
    assert "processes: 1" in card

    clip = open_clip.create_model("local-dir:model", require_pretrained=True)
    assert clip.visual.image_size in (208, (208, 208))  # what it was trained at, not what the architecture says
    assert torch.isfinite(clip.encode_image(torch.zeros(1, 3, 208, 208))).all()
    prompts = verify_weights(Path("model/prompts.safetensors"))
    assert prompts.trained
    assert prompts.image_score == "mean"
    # Of good scenes' maps: a whole picture's mean is lower than the highest spots, and neither is the 0.5 of no answer.
    assert 0 < prompts.image_threshold < prompts.pixel_threshold < 1
    assert UNMEASURED not in (prompts.image_threshold, prompts.pixel_threshold)
    assert prompts.image_scale > 0

    photographs(Path("parts"), 1)
    serving = {"INSPECTOR_MODEL__NAME": "local-dir:model", "INSPECTOR_MODEL__IMAGE_SIZE_PX": ""}
    settings.write_text(json.dumps({"model": {"name": "local-dir:model", "threads": 1}}))
    scored = run("score", "parts", "--json")
    assert scored.exit_code == 0, (scored.output, scored.exception, serving)
    assert "freshly initialised" not in scored.stderr

    settings.write_text(json.dumps({"model": {"name": "local-dir:tiny", "image_size_px": 208, "threads": 1}}))
    Path("model/open_clip_model.safetensors").write_bytes(b"half")
    again = run("pretrain", *SHORT, "--photographs", "stones")  # no step is left: it only writes the model again
    assert again.exit_code == 0, again.output
    assert open_clip.create_model("local-dir:model", require_pretrained=True)


def test_thresholds_are_of_scores_as_the_model_serves_them(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, Any] = {}

    def with_them(made: Any, spec: Any, good: Any, *rest: Any) -> Any:
        kept["good"] = good
        return scene_thresholds.with_scene_thresholds(made, spec, good, *rest)

    def of_them(manifest: Any, image_scores: Any, peaks: Any, rate: float) -> Any:
        kept.update(image=image_scores, pixel=peaks)
        return measured(manifest, image_scores, peaks, rate)

    monkeypatch.setattr(verb, "with_scene_thresholds", with_them)
    monkeypatch.setattr(scene_thresholds, "measured", of_them)
    assert run("pretrain", *SHORT).exit_code == 0
    settings.write_text(json.dumps({"model": {"name": "local-dir:model", "threads": 1, "engine": "torch"}}))
    serving = load(settings)
    engine = model_wiring.engine_of(serving, *model_wiring.prompt_weights(serving), {}, {}, allow_unknown=True)
    for number, pixels in enumerate(kept["good"]):
        png = cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()
        meta = FrameMeta(str(number), f"cam{number}", "line-1", "part", datetime(2026, 1, 1, tzinfo=UTC), "image/png")
        ((_, raw),) = engine.inspect_with_raw([engine.decode(Frame(meta, FrameSource("frames", 0, number), png))])
        # Weights are written in half precision.
        assert raw.image_score == pytest.approx(kept["image"][number], rel=0.02)
        assert raw.anomaly_map.max() == pytest.approx(kept["pixel"][number], rel=0.02)
    assert len(kept["good"]) == len(kept["image"]) == len(kept["pixel"]) == 8
    assert np.std(kept["image"]) > 0


def test_ctrl_c_while_thresholds_are_measured_writes_no_model(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(phase: Any, _stop: Any) -> Any:
        return stoppable(phase, lambda: True)

    stoppable = verb._stoppable
    monkeypatch.setattr(verb, "_stoppable", stopped)
    done = run("pretrain", *SHORT)
    assert done.exit_code == verb.STOPPED
    assert "repeat the command" in done.stderr
    assert not Path("model").exists()
    monkeypatch.setattr(verb, "_stoppable", stoppable)
    assert run("pretrain", *SHORT).exit_code == 0


def test_places_it_cannot_write_to_are_refused_before_torch_is_loaded(settings: Path) -> None:
    Path("thesis").mkdir()
    Path("thesis/chapter.tex").write_text("years")
    Path("finished").mkdir()
    Path("finished/MODEL_CARD.md").write_text("of a longer run")
    Path("notes").write_text("")
    refused = {
        "thesis": "chapter.tex in thesis",
        "finished": "got finished, which exists",
        "notes": "got notes",
        "typo/model": "got typo, which does not exist",
        ".": "a name of its own",
        "/": "a name of its own",
    }
    script = (
        "import sys\nfrom inspector.cli import app\nfor out in sys.argv[1:]:\n    try:\n"
        "        app(['pretrain', '--images', '8', '--teacher', 'texture', '--out', out])\n"
        "    except SystemExit as end:\n        print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, *refused], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["1 False"] * len(refused)
    for line, what in zip(done.stderr.splitlines(), refused.values(), strict=True):
        assert what in line
    assert not list(Path().glob("*.training"))


def test_a_model_of_other_patches_is_refused_in_one_line(settings: Path, tiny_model: str) -> None:
    problem = one_line_problem(run("pretrain", *SHORT, env={"INSPECTOR_MODEL__NAME": tiny_model}))
    assert "16 px patches" in problem


def test_ctrl_c_keeps_what_was_done_and_the_same_command_goes_on(settings: Path) -> None:
    command = [sys.executable, "-m", "inspector", "pretrain", *SHORT, "--images", "4000", "--render-processes", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    steps = 0
    for _ in range(2):
        # A group of its own, all of which hears of Ctrl-C, as in a terminal.
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
        ) as process:
            assert process.stderr is not None
            history = Path("model.training/history.jsonl")
            while not history.exists() or len(history.read_text().splitlines()) < steps + 1:
                assert process.poll() is None, process.stderr.read()
            os.killpg(process.pid, signal.SIGINT)
            said = process.stderr.read()
        assert process.returncode == 130, said
        assert "repeat the command to go on" in said
        assert "Traceback" not in said
        assert not Path("model").exists()
        made = [json.loads(line)["step"] for line in history.read_text().splitlines()]
        assert made == list(range(1, len(made) + 1))
        assert len(made) > steps
        steps = len(made)
    problem = one_line_problem(run("pretrain", *SHORT, "--images", "4"))
    assert f"expected {4 * steps} images or more" in problem


def test_fresh_text_is_refused_where_it_would_take_nothing_or_never_let_the_tower_learn(settings: Path) -> None:
    alone = run("pretrain", *SHORT, "--fresh-text")
    assert alone.exit_code == 2
    assert "--from-pretrained" in alone.stderr
    configured = json.loads(settings.read_text())
    assert configured["model"].get("pretrained") is None
    short = one_line_problem(run("pretrain", *SHORT, "--from-pretrained", "--fresh-text"))
    assert "more than 2400 images" in short
    settings.write_text(json.dumps({"model": configured["model"] | {"pretrained": "random"}}))
    assert "model.pretrained" in one_line_problem(run("pretrain", *SHORT, "--from-pretrained", "--fresh-text"))
    assert not Path("model").exists()
