"""The convolutional tower: open_clip's own network, seen at three strides on one grid; for regions alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from dapo_models import TINY
from torch.nn import functional

from inspector.dapo import clip as clip_models
from inspector.dapo.clip import build_clip, model_shape
from inspector.dapo.conv_tower import ConvTower, load_conv_tower
from inspector.dapo.prompt_weights import init_prompt_weights
from inspector.dapo.spec import REGION_TYPES_MODEL, ModelSpec
from inspector.dapo.visual_tower import load_visual_tower
from inspector.domain.errors import BadInputError
from inspector.domain.product import Vocabulary

SPEC = ModelSpec(REGION_TYPES_MODEL)
PICTURES = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_the_picture_as_a_whole_is_what_open_clip_makes_of_it() -> None:
    clip: Any = build_clip(SPEC)
    seen = ConvTower(clip.visual, model_shape(SPEC))(PICTURES)
    torch.testing.assert_close(seen.image, clip.encode_image(PICTURES), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_each_patch_is_seen_at_strides_of_8_and_16_and_32_px() -> None:
    tower, shape = load_conv_tower(SPEC), model_shape(SPEC)
    (tap,) = tower(PICTURES).taps
    assert tap.shape == (2, shape.grid[0] * shape.grid[1], shape.visual_width)
    trunk = tower.visual.trunk
    at_8 = trunk.blocks[:3](trunk.bn1(trunk.conv_stem(PICTURES)))
    at_16 = trunk.blocks[3:5](at_8)
    at_32 = trunk.blocks[5:](at_16)
    row, column = 5, 2
    patch = tap[1, row * 8 + column].split([40, 112, 320])
    four = at_8[1, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
    for mine, theirs in zip(
        patch, (four.mean((1, 2)), at_16[1, :, row, column], at_32[1, :, row // 2, column // 2]), strict=True
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-3)


def test_it_is_of_one_layer_which_takes_no_tokens_and_words_keep_theirs() -> None:
    shape = model_shape(SPEC)
    assert (shape.grid, shape.visual_layers, shape.taps, shape.visual_width) == ((8, 8), 1, (1,), 472)
    weights, manifest = init_prompt_weights(SPEC, Vocabulary(("scratch",)), 0)
    assert (weights.visual_tokens.shape, weights.text_tokens.shape) == ((1, 0, 472), (4, 4, 32))
    assert (manifest.visual_layer_tokens, manifest.text_layer_tokens) == (0, 4)


def test_a_name_alone_means_the_normalisation_the_network_was_trained_with() -> None:
    tower = load_conv_tower(SPEC)
    assert (tower.mean, tower.std) == ((0.5,) * 3, (0.5,) * 3)


def test_a_folder_says_its_own(tmp_path: Path) -> None:
    config = json.loads(
        (Path(clip_models.__file__).parent / "model_configs" / f"{REGION_TYPES_MODEL}.json").read_text()
    )
    said = {"model_cfg": config, "preprocess_cfg": {"mean": [0.1] * 3, "std": [0.25] * 3}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(said))
    tower = load_conv_tower(ModelSpec(f"local-dir:{tmp_path}"))
    assert (tower.mean, tower.std) == ((0.1,) * 3, (0.25,) * 3)


@torch.no_grad()
def test_looks_may_be_larger_by_the_coarsest_stride() -> None:
    larger = ModelSpec(REGION_TYPES_MODEL, image_size_px=160)
    (tap,) = load_conv_tower(larger)(functional.interpolate(PICTURES, 160)).taps
    assert (tap.shape[1], model_shape(larger).grid) == (100, (10, 10))
    with pytest.raises(BadInputError, match="multiple of inspector-s-types's 32 px"):
        model_shape(ModelSpec(REGION_TYPES_MODEL, image_size_px=144))


def test_it_scores_no_frames_and_a_vision_transformer_types_no_regions() -> None:
    with pytest.raises(BadInputError, match=r"own vision transformer, got one whose visual tower comes from timm"):
        load_visual_tower(SPEC)
    with pytest.raises(BadInputError, match=r"EfficientNet-Lite0, got a vision transformer.*pretrain-types wrote"):
        load_conv_tower(TINY)
