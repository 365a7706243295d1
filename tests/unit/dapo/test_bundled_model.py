"""What ships in the package is whole, small enough, the model that the default settings name, and described."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from inspector.dapo import clip, model_folder
from inspector.dapo.backbone import backbone_id
from inspector.dapo.clip import build_clip, model_shape
from inspector.dapo.downloads import download_of
from inspector.dapo.model_folder import bundled_prompts
from inspector.dapo.prompt_weights import init_prompt_weights
from inspector.dapo.spec import BUNDLED, REGION_TYPES_MODEL, ModelSpec
from inspector.dapo.text import encode_vocabularies, like_normal, serving_texts
from inspector.dapo.weights_file import load_weights, save_weights
from inspector.domain.errors import BadInputError
from inspector.domain.product import Vocabulary
from inspector.settings.sections import ModelSettings

SPEC, TYPES = ModelSpec("inspector-s", BUNDLED), ModelSpec(REGION_TYPES_MODEL, BUNDLED)
MODELS = Path(model_folder.__file__).parent.parent / "models"
FOLDER = MODELS / "inspector-s"
MOST_BYTES = 40 * 10**6


def test_the_default_settings_name_the_bundled_model_and_its_own_prompts() -> None:
    default = ModelSettings()
    assert ModelSpec(default.name, default.pretrained) == SPEC
    assert (default.weights, bundled_prompts(SPEC)) == (None, FOLDER / "prompts.safetensors")
    manifest = load_weights(FOLDER / "prompts.safetensors", SPEC)[1]
    assert (manifest.model, manifest.pretrained, manifest.backbone) == ("inspector-s", BUNDLED, backbone_id(SPEC))


def test_it_is_trained() -> None:
    manifest = load_weights(FOLDER / "prompts.safetensors", SPEC)[1]
    assert manifest.trained
    assert manifest.tuned_on
    assert {"scratch", "dent", "hole", "stain", "crack"} <= set(manifest.vocabulary)
    card = (FOLDER / "MODEL_CARD.md").read_text()
    assert all(part in card for part in ("## Data and licences", "## How it was made", "## Metrics", "## Limits"))
    assert all(part in card for part in ("untrained", "hand-made", "## Appendix", manifest.version))


@pytest.mark.parametrize("called", ["object", "metal plate", "woven fabric belt", "gear", "Deckel", "part no. 4711"])
def test_it_tells_defects_from_what_is_normal_whatever_the_product_is_called(called: str) -> None:
    words = Vocabulary(("scratch", "dent", "misaligned part", "flux residue"), called)
    prompts, manifest = load_weights(FOLDER / "prompts.safetensors", SPEC)
    text = serving_texts(SPEC, prompts, [words], manifest.text_mode)[words]
    assert like_normal(words, text) == ()


def test_it_is_small_and_holds_nothing_that_could_execute() -> None:
    assert sum(path.stat().st_size for path in MODELS.rglob("*")) <= MOST_BYTES
    for folder in (MODELS / spec.name for spec in (SPEC, TYPES)):
        weights = {"open_clip_model.safetensors", "prompts.safetensors"}
        assert {p.name for p in folder.iterdir()} == weights | {"open_clip_config.json", "SHA256SUMS", "MODEL_CARD.md"}


@pytest.mark.parametrize("spec", [SPEC, TYPES], ids=lambda spec: spec.name)
def test_its_architecture_is_the_one_of_the_name(spec: ModelSpec) -> None:
    config = json.loads((MODELS / spec.name / "open_clip_config.json").read_text())
    named = Path(clip.__file__).parent / f"model_configs/{spec.name}.json"
    assert config["model_cfg"] == json.loads(named.read_text())
    assert model_shape(spec) == model_shape(ModelSpec(spec.name))
    assert build_clip(spec).visual.image_mean == config["preprocess_cfg"]["mean"]


def test_what_names_regions_knows_its_words_apart_and_is_described() -> None:
    folder = MODELS / TYPES.name
    prompts, manifest = load_weights(folder / "prompts.safetensors", TYPES)
    assert manifest.trained
    words = Vocabulary(manifest.vocabulary)
    text = encode_vocabularies(TYPES, prompts, [words], manifest.text_mode)[words]
    others = (text[1:] @ text[1:].T).fill_diagonal_(-1)
    assert float(others.max()) < 0.95
    card = (folder / "MODEL_CARD.md").read_text()
    assert all(part in card for part in ("## Data and licences", "## How it was made", "## Metrics", "## Limits"))


@pytest.mark.parametrize("spec", [SPEC, TYPES], ids=lambda spec: spec.name)
def test_its_card_is_finished_and_says_what_the_files_are(spec: ModelSpec) -> None:
    folder = MODELS / spec.name
    card = (folder / "MODEL_CARD.md").read_text()
    assert not re.search(r"TODO|TBD|FIXME|XXX|\{\{|\}\}|\?\?\?", card)
    for name in ("open_clip_config.json", "open_clip_model.safetensors", "prompts.safetensors"):
        data = (folder / name).read_bytes()
        assert f"| `{name}` | {len(data)} | `{hashlib.sha256(data).hexdigest()}` |" in card


def test_weights_made_for_random_numbers_are_refused(tmp_path: Path) -> None:
    fresh = init_prompt_weights(ModelSpec("inspector-s"), Vocabulary(("scratch",)), 0)
    save_weights(tmp_path / "w", *fresh)
    with pytest.raises(BadInputError, match=r"expected weights made for inspector-s / bundled .* random, seed 0"):
        load_weights(tmp_path / "w", SPEC)


@pytest.mark.parametrize("name", ["open_clip_model.safetensors", "prompts.safetensors", "SHA256SUMS"])
def test_a_damaged_installation_says_to_reinstall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def use() -> None:
        bundled_prompts(SPEC)
        build_clip(SPEC)

    monkeypatch.setattr(model_folder, "_MODELS", tmp_path)
    file = tmp_path / "inspector-s" / name
    shutil.copytree(FOLDER, file.parent)
    use()
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(BadInputError, match="the file is damaged: reinstall inspector"):
        use()
    file.unlink()
    with pytest.raises(BadInputError, match="the file is damaged: reinstall inspector"):
        use()


def test_no_other_model_is_bundled() -> None:
    with pytest.raises(BadInputError, match=r"pretrained weights of ViT-B-16: random, .*openai.* got 'bundled'"):
        build_clip(ModelSpec("ViT-B-16", BUNDLED))
    with pytest.raises(BadInputError, match="pretrained weights of inspector-s: random, bundled, or a file"):
        build_clip(ModelSpec("inspector-s", "openai"))


def test_only_published_weights_that_are_not_here_are_to_be_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inspector.dapo.downloads.try_to_load_from_cache", lambda *_: None)
    large = ModelSpec("ViT-L-14-336-quickgelu", "openai")
    assert download_of(large) == "huggingface.co/timm/vit_large_patch14_clip_336.openai"
    assert [download_of(spec) for spec in (SPEC, ModelSpec("ViT-B-16"), ModelSpec("ViT-B-16", __file__))] == [None] * 3
    monkeypatch.setattr("inspector.dapo.downloads.try_to_load_from_cache", lambda *_: str(tmp_path / "cached"))
    assert download_of(large) is None
