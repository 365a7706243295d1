"""A person can tell which model is active without a line: by doctor, and by what the weights say of themselves."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import run, run_alone

NOBODY = {"INSPECTOR_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1", "INSPECTOR_REDIS__URL": "redis://127.0.0.1:1/0"}


def found(env: dict[str, str]) -> dict[str, tuple[str, str]]:
    findings = json.loads(run_alone("doctor", "--json", env=NOBODY | env).stdout)["findings"]
    return {entry["check"]: (entry["status"], entry["found"]) for entry in findings}


def test_doctor_names_the_bundled_model_by_its_content(here: Path) -> None:
    shown = json.loads(run("weights", "show", "--json").stdout)
    said = found({})
    status, model = said["model"]
    digest = shown["backbone"].removeprefix("sha256 ")[:12]
    assert (status, model) == ("ok", f"inspector-s / bundled at 256 px, 16x16 patches, sha256 {digest}")
    assert f"bundled, version {shown['version'][:12]}" in said["weights"][1]
    assert run("weights", "verify").exit_code == 0


def test_doctor_says_that_weights_would_be_downloaded_and_does_not_do_it(here: Path) -> None:
    empty = {"HF_HOME": str(here / "nothing"), "HF_HUB_CACHE": str(here / "nothing")}
    model = {"INSPECTOR_MODEL__NAME": "ViT-B-16-quickgelu", "INSPECTOR_MODEL__PRETRAINED": "openai"}
    status, words = found(model | empty)["model"]
    assert status == "warn"
    assert "the first start downloads them from huggingface.co/timm/vit_base_patch16_clip_224.openai" in words
    assert not (here / "nothing").exists()


def test_doctor_says_that_a_model_for_regions_scores_nothing(here: Path) -> None:
    status, words = found({"INSPECTOR_MODEL__NAME": "inspector-s-types"})["model"]
    assert status == "fail"
    assert "which types regions alone" in words


def test_without_bundled_weights_there_is_no_file_to_show(tiny_settings: Path) -> None:
    assert "set model.weights" in run("weights", "show").stderr
