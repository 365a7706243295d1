"""A convolutional network as the visual tower of a CLIP model: it looks closer at regions (decision 32)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from inspector.dapo.clip import ModelShape, build_clip, model_shape
from inspector.dapo.spec import ModelSpec
from inspector.dapo.visual_tower import VisualFeatures
from inspector.domain.errors import BadInputError

_STAGES = [2, 3, 4]  # of timm's five, from 0: those that end at strides of 8, 16 and 32 px


class ConvTower(nn.Module):
    """Open_clip's ``TimmModel`` around an EfficientNet.

    ``mean`` and ``std`` are the image normalisation the model was trained with.
    """

    def __init__(self, visual: Any, shape: ModelShape) -> None:
        """Take the visual tower of a CLIP model.

        Raises:
            BadInputError: it is a vision transformer.
        """
        super().__init__()
        if not shape.convolutional:
            raise BadInputError(
                "a model that types regions, whose visual tower is an EfficientNet-Lite0",
                "a vision transformer",
                "set model.region_types to bundled, to none, or to a folder that this release's pretrain-types wrote",
            )
        self.visual = visual
        self.shape = shape
        self.mean: tuple[float, ...] = tuple(visual.image_mean)
        self.std: tuple[float, ...] = tuple(visual.image_std)

    def forward(self, images: Tensor) -> VisualFeatures:
        """Encode ``images``, float [B, 3, S, S] normalised.

        The one tap holds what the network sees at strides of 8, 16 and 32 px, side by side on patches of 16 px:
        float [B, P, 40 + 112 + 320].
        """
        images = images.contiguous(memory_format=torch.channels_last)  # several times faster on a CPU
        last, (fine, middle, coarse) = self.visual.trunk.forward_intermediates(images, indices=_STAGES)
        coarse = functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
        patches = torch.cat([functional.avg_pool2d(fine, 2), middle, coarse], dim=1)
        image: Tensor = self.visual.head(self.visual.trunk.forward_head(last))
        return VisualFeatures(image, (patches.flatten(2).transpose(1, 2),))


def load_conv_tower(spec: ModelSpec) -> ConvTower:
    """Build the visual tower of ``spec`` on its device, leaving the text tower behind.

    Raises:
        BadInputError: it is a vision transformer, or as ``build_clip``.
        InspectorError: as ``build_clip``.
    """
    return ConvTower(build_clip(spec).visual, model_shape(spec)).eval().to(spec.device)
