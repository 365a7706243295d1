"""A trained model goes into a folder, and serves from there as it did in memory."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import open_clip
import pytest
import torch
from torch import nn

from inspector import files
from inspector.dapo.backbone import backbone_id
from inspector.dapo.clip import build_clip, model_shape
from inspector.dapo.prompt_weights import PromptWeights, init_prompt_weights
from inspector.dapo.scorer import VisualScorer
from inspector.dapo.spec import BUNDLED, RANDOM, ModelSpec
from inspector.dapo.text import encode_vocabularies
from inspector.dapo.weights_file import load_weights, save_weights
from inspector.domain.errors import BadInputError
from inspector.domain.product import Vocabulary
from inspector.domain.weights import WeightsManifest
from inspector.training.model_folder import copy_model_folder, write_card, write_model_folder

PLATE = Vocabulary(("scratch", "dent"))
ARCHITECTURE = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 4, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
CONFIG = {"model_cfg": ARCHITECTURE, "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}}
Made = tuple[ModelSpec, nn.Module, tuple[PromptWeights, WeightsManifest]]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A model that was never on disk but as a configuration, and weights beside it."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "open_clip_config.json").write_text(json.dumps(CONFIG))
    spec = ModelSpec(f"local-dir:{source}", RANDOM, seed=5)
    return spec, build_clip(spec), init_prompt_weights(spec, PLATE, 1)


def _write(folder: Path, made: Made) -> tuple[ModelSpec, WeightsManifest]:
    return ModelSpec(f"local-dir:{folder}", BUNDLED), write_model_folder(
        folder, made[1], CONFIG, made[2], "# A model\n"
    )


def _maps(spec: ModelSpec, weights: PromptWeights) -> torch.Tensor:
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    text = encode_vocabularies(spec, weights, [PLATE])[PLATE].expand(3, -1, -1)
    scored = VisualScorer.load(spec, weights).score(images, text, torch.ones(3, 3, dtype=torch.bool))
    return torch.as_tensor(scored.type_grid)


def test_what_was_written_scores_as_the_model_in_memory_to_fp16_rounding(tmp_path: Path, made: Made) -> None:
    spec, _ = _write(tmp_path / "m", made)
    weights, _ = load_weights(tmp_path / "m" / "prompts.safetensors", spec)
    before, after = _maps(made[0], made[2][0]), _maps(spec, weights)
    assert before.std() > 0.01
    torch.testing.assert_close(after, before, atol=5e-3, rtol=0)


def test_open_clip_reads_the_folder_as_any_other(tmp_path: Path, made: Made) -> None:
    _write(tmp_path / "m", made)
    model = open_clip.create_model(f"local-dir:{tmp_path / 'm'}")
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}
    assert model.visual.image_std == (0.25, 0.25, 0.25) or model.visual.image_std == [0.25, 0.25, 0.25]
    torch.testing.assert_close(dict(model.state_dict()), dict(made[1].state_dict()), atol=2e-3, rtol=2e-3)


def test_it_serves_at_another_image_size(tmp_path: Path, made: Made) -> None:
    spec, _ = _write(tmp_path / "m", made)
    grid = dict(build_clip(replace(spec, image_size_px=96)).state_dict())["visual.positional_embedding"]
    assert grid.shape == (1 + 12 * 12, 64)


def test_weights_know_the_content_and_not_the_place(tmp_path: Path, made: Made) -> None:
    spec, manifest = _write(tmp_path / "m", made)
    assert (manifest.model, manifest.pretrained) == ("inspector-s", "bundled")
    assert manifest.backbone == backbone_id(spec)
    (tmp_path / "m").rename(tmp_path / "moved")
    moved = ModelSpec(f"local-dir:{tmp_path / 'moved'}", BUNDLED)
    assert load_weights(tmp_path / "moved" / "prompts.safetensors", moved)[1] == manifest
    (tmp_path / "moved" / "MODEL_CARD.md").write_text("# Better words")
    assert backbone_id(moved) == manifest.backbone
    with pytest.raises(BadInputError, match="frozen weights: random, seed 0"):
        load_weights(tmp_path / "moved" / "prompts.safetensors", replace(moved, pretrained=RANDOM))


@pytest.mark.parametrize("name", ["open_clip_model.safetensors", "open_clip_config.json"])
def test_a_damaged_file_is_refused_before_it_is_used(tmp_path: Path, made: Made, name: str) -> None:
    spec, _ = _write(tmp_path / "m", made)
    data = bytearray((tmp_path / "m" / name).read_bytes())
    data[-3] ^= 1
    (tmp_path / "m" / name).write_bytes(data)
    with pytest.raises(BadInputError, match=rf"sha256 [0-9a-f]+ for {name}.*the file is damaged"):
        build_clip(spec)


def test_the_checksums_are_those_of_sha256sum_and_the_card_lists_them(tmp_path: Path, made: Made) -> None:
    _write(tmp_path / "m", made)
    write_card(tmp_path / "m", "# A model\n\nNew words.\n\n## Files\n\nold table")
    card = (tmp_path / "m" / "MODEL_CARD.md").read_text()
    assert "New words." in card
    assert "old table" not in card
    listed = (tmp_path / "m" / "SHA256SUMS").read_text().splitlines()
    assert len(listed) == 3
    for line in listed:
        digest, name = line.split("  ")
        data = (tmp_path / "m" / name).read_bytes()
        assert digest == hashlib.sha256(data).hexdigest()
        assert f"| `{name}` | {len(data)} | `{digest}` |" in card


def test_prompts_tuned_beside_a_folder_make_it_another_model_of_the_same_name(tmp_path: Path, made: Made) -> None:
    spec, first = _write(tmp_path / "m", made)
    weights, manifest = init_prompt_weights(spec, PLATE, 7)
    save_weights(tmp_path / "tuned", weights, replace(manifest, trained=True, tuned_on=("parts",)))
    second = copy_model_folder(tmp_path / "m", tmp_path / "tuned", tmp_path / "n")
    assert (second.model, second.pretrained, second.backbone) == (first.model, first.pretrained, first.backbone)
    assert (second.trained, second.tuned_on) == (True, ("parts",))
    served = ModelSpec(f"local-dir:{tmp_path / 'n'}", BUNDLED)
    assert load_weights(tmp_path / "n" / "prompts.safetensors", served)[1] == second
    build_clip(served)
    save_weights(tmp_path / "others", *made[2])
    with pytest.raises(BadInputError, match="weights made for"):
        copy_model_folder(tmp_path / "m", tmp_path / "others", tmp_path / "n")


def test_what_cannot_be_written_leaves_the_folder_as_it_was(
    tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "m"
    _write(folder, made)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_whole", full)
    with pytest.raises(OSError, match="No space"):
        write_model_folder(folder, made[1], CONFIG, made[2], "# Another")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "source"]


def test_a_folder_of_other_things_is_not_replaced(tmp_path: Path, made: Made) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "thesis.tex").write_text("years")
    with pytest.raises(BadInputError, match=r"thesis\.tex"):
        _write(tmp_path / "m", made)


def test_weights_that_fp16_does_not_hold_are_refused(tmp_path: Path, made: Made) -> None:
    with torch.no_grad():
        dict(made[1].named_parameters())["visual.conv1.weight"].fill_(1e6)
    with pytest.raises(BadInputError, match="NaN or infinity"):
        _write(tmp_path / "m", made)
    assert not (tmp_path / "m").exists()


def test_a_configuration_of_another_normalisation_is_refused(tmp_path: Path, made: Made) -> None:
    wrong = {**CONFIG, "preprocess_cfg": {"mean": [0.0, 0.0, 0.0], "std": [0.25, 0.25, 0.25]}}
    with pytest.raises(BadInputError, match="the mean that the model was trained with"):
        write_model_folder(tmp_path / "m", made[1], wrong, made[2], "# A model")


def test_the_shape_is_read_from_the_folder(tmp_path: Path, made: Made) -> None:
    assert model_shape(_write(tmp_path / "m", made)[0]).embed_dim == 32
