"""The towers are CLIP's own: with no layer tokens they give what open_clip gives; what is not CLIP's ViT is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import weakref
from pathlib import Path

import open_clip
import pytest
import torch
from dapo_models import BOARD, PLATE, TINY, lively_weights
from safetensors.torch import save_file

import inspector.dapo.text as text_module
from inspector.dapo.clip import build_clip, model_shape
from inspector.dapo.prompt_weights import init_prompt_weights
from inspector.dapo.spec import ModelSpec
from inspector.dapo.text import encode_vocabularies, encode_vocabulary
from inspector.dapo.text_tower import TextTower, load_text_tower
from inspector.dapo.visual_tower import load_visual_tower
from inspector.domain.errors import BadInputError, InspectorError
from inspector.domain.product import Vocabulary

_VISION = {"image_size": 32, "layers": 4, "width": 32, "head_width": 16, "patch_size": 8}
_TEXT = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1}


def _folder(path: Path, vision: dict[str, object] | None = None, text: dict[str, object] | None = None) -> str:
    config = {"embed_dim": 24, "vision_cfg": _VISION | (vision or {}), "text_cfg": _TEXT | (text or {})}
    (path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    return f"local-dir:{path}"


@pytest.mark.parametrize(
    "vision",
    [
        {},
        {"pool_type": "avg"},
        {"pool_type": "avg", "final_ln_after_pool": True},
        {"no_ln_pre": True, "ls_init_value": 0.3},
        {"qk_norm": True},
    ],
    ids=str,
)
def test_without_tokens_the_visual_tower_is_open_clips(tmp_path: Path, vision: dict[str, object]) -> None:
    spec = ModelSpec(_folder(tmp_path, vision))
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        features = load_visual_tower(spec)(images, torch.empty(4, 0, 32))
        expected = build_clip(spec).encode_image(images)
    torch.testing.assert_close(features.image, expected)


@pytest.mark.parametrize("custom_text", [False, True])
def test_without_tokens_the_text_tower_is_open_clips(tmp_path: Path, custom_text: bool) -> None:
    spec = ModelSpec(_folder(tmp_path))
    config_path = tmp_path / "open_clip_config.json"
    config = json.loads(config_path.read_text())
    config["model_cfg"]["custom_text"] = custom_text
    config_path.write_text(json.dumps(config))
    with torch.no_grad():
        got = load_text_tower(spec)("bent lead anomaly object", torch.empty(1, 0, 16), torch.empty(1, 0, 16), "causal")
        ids = open_clip.tokenize(["bent lead anomaly object"], context_length=16)
        expected = build_clip(spec).encode_text(ids)
    torch.testing.assert_close(got, expected)


def test_gradients_reach_every_prompt_weight_and_no_clip_weight() -> None:
    weights = lively_weights(TINY, contexts=2).requires_grad_(True)
    tower, visual = load_text_tower(TINY), load_visual_tower(TINY)
    text = encode_vocabulary(tower, weights, PLATE, "causal")
    features = visual(torch.randn(1, 3, 32, 32), weights.visual_tokens)
    pixels = sum(
        (adapter(tap) @ text.T).square().sum() for adapter, tap in zip(weights.adapters, features.taps, strict=True)
    )
    (pixels + (features.image @ text.T).sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in weights.parameters())
    assert all(p.grad is None for p in (*tower.parameters(), *visual.parameters()))


def test_each_vocabulary_is_encoded_once_and_the_text_tower_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    towers: list[weakref.ref[TextTower]] = []
    phrases: list[str] = []
    forward = TextTower.forward

    def load(spec: ModelSpec) -> TextTower:
        tower = load_text_tower(spec)
        towers.append(weakref.ref(tower))
        return tower

    def counted(self: TextTower, phrase: str, *rest: object) -> torch.Tensor:
        phrases.append(phrase)
        return forward(self, phrase, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(text_module, "load_text_tower", load)
    monkeypatch.setattr(TextTower, "forward", counted)
    texts = encode_vocabularies(TINY, lively_weights(TINY, contexts=1), [PLATE, BOARD, PLATE])
    assert [len(t) for t in texts.values()] == [3, 6]
    assert len(phrases) == 3 + 6
    assert len(towers) == 1
    assert towers[0]() is None


def test_random_initialisation_is_the_same_in_another_process_whatever_its_threads() -> None:
    program = (
        "import torch; torch.set_num_threads(1 if torch.get_num_threads() > 1 else 2);"
        "from inspector.dapo.spec import ModelSpec;"
        "from inspector.dapo.prompt_weights import init_prompt_weights;"
        "from inspector.domain.product import Vocabulary;"
        "print(init_prompt_weights(ModelSpec('inspector-s'), Vocabulary(('dent',)), seed=4)[1].version)"
    )
    elsewhere = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    here = init_prompt_weights(ModelSpec("inspector-s"), Vocabulary(("dent",)), seed=4)[1].version
    assert elsewhere.strip() == here


def test_random_initialisation_follows_the_seed_and_leaves_the_callers_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (build_clip(ModelSpec("dapo-tiny", seed=s)).state_dict() for s in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["visual.conv1.weight"], other["visual.conv1.weight"])


def test_pretrained_position_embedding_is_interpolated_to_another_image_size(tmp_path: Path) -> None:
    random = build_clip(TINY)
    weights_file = tmp_path / "clip.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in random.state_dict().items()}, weights_file)
    larger = load_visual_tower(ModelSpec("dapo-tiny", str(weights_file), image_size_px=64))
    assert larger.shape.grid == (8, 8)
    own, resized = random.visual.positional_embedding, larger.vit.positional_embedding
    assert resized.shape == (65, 32)
    torch.testing.assert_close(resized[0], own[0])
    torch.testing.assert_close(larger.vit.conv1.weight, random.visual.conv1.weight)


def test_reference_backbone_has_the_papers_dimensions() -> None:
    shape = model_shape(ModelSpec("ViT-L-14-336-quickgelu", "openai", image_size_px=518))
    assert shape.grid == (37, 37)
    assert shape.taps == (6, 12, 18, 24)
    assert (shape.visual_width, shape.text_width, shape.embed_dim, shape.text_layers) == (1024, 768, 768, 12)
    assert model_shape(ModelSpec("ViT-B-16")).taps == (3, 6, 9, 12)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (ModelSpec("RN50"), "ResNet"),
        (ModelSpec("ViT-B-16-SigLIP"), "timm"),
        (ModelSpec("coca_ViT-B-32"), "attention"),
        (ModelSpec("xlm-roberta-base-ViT-B-32"), "Hugging Face"),
        (ModelSpec("no-such-model"), "no-such-model"),
        (ModelSpec("hf-hub:someone/something"), "hf-hub:someone/something"),
        (ModelSpec("local-dir:/no/such/folder"), "No such file"),
        (ModelSpec("ViT-B-16", "no-such-tag"), "no-such-tag"),
        (ModelSpec("dapo-tiny", image_size_px=30), "multiple"),
        (ModelSpec("dapo-tiny", __file__), "dapo-tiny"),
    ],
    ids=lambda v: f"{v.name}-{v.pretrained[:12]}" if isinstance(v, ModelSpec) else "",
)
def test_what_is_no_usable_model_is_refused_with_a_reason(spec: ModelSpec, says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        build_clip(spec)


def test_the_wrong_activation_for_pretrained_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("open_clip.factory.download_pretrained", lambda *_, **__: "unused")
    with pytest.raises(BadInputError, match="activation"):
        build_clip(ModelSpec("ViT-B-16", "openai"))


def test_a_failed_download_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise OSError("name resolution failed")

    monkeypatch.setattr("open_clip.factory.download_pretrained", fail)
    with pytest.raises(InspectorError, match=r"name resolution failed.*check the network"):
        build_clip(ModelSpec("ViT-B-16-quickgelu", "openai"))


def test_a_folder_without_weights_is_not_taken_for_a_trained_one(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="weights"):
        build_clip(ModelSpec(_folder(tmp_path), pretrained="folder"))


def test_a_pickle_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, (f"open({str(tmp_path / 'sprung')!r}, 'w')",)

    trap = tmp_path / "trap.pt"
    torch.save({"state_dict": Trap()}, trap)
    with pytest.raises(BadInputError):
        build_clip(ModelSpec("dapo-tiny", str(trap)))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("vocabulary", "says"),
    [
        (Vocabulary(()), "at least one defect type"),
        (Vocabulary(("scratch", " ")), "blank"),
        (Vocabulary(("very " * 80 + "long scratch",)), "at most 70 tokens"),
    ],
    ids=["empty", "blank", "too long"],
)
def test_unusable_words_are_refused(vocabulary: Vocabulary, says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        encode_vocabularies(TINY, lively_weights(TINY, contexts=1), [vocabulary])


def test_the_longest_prompt_that_fits_is_encoded() -> None:
    longest = Vocabulary(("very " * 67 + "dent",))  # 67 + 1 + "anomaly object" = 70 tokens
    with pytest.raises(BadInputError):
        encode_vocabularies(TINY, lively_weights(TINY, contexts=1), [Vocabulary(("very " * 68 + "dent",))])
    assert encode_vocabularies(TINY, lively_weights(TINY, contexts=1), [longest])[longest].isfinite().all()
