"""What a network that has seen photographs finds in a picture: the student must go on telling textures apart.

Rendered defects alone teach a tower to forget everything that is no defect, and a reference bank lives by that. So each
tapped layer also predicts, by one linear map, the features of an ImageNet network (distillation; Hinton et al. 2015,
dense as in Romero et al., FitNets, ICLR 2015). The teacher is needed while pretraining only.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from inspector.domain.errors import BadInputError
from inspector.training.imagenet import INSTALL, NETWORK, efficientnet_lite0
from inspector.vision.texture import TextureFeatures

STRIDE_PX = 16
_WITHOUT = "choose --teacher texture"


class Teacher(Protocol):
    """Pictures float [B, 3, S, S], RGB 0..1, S a multiple of 16 -> targets float32 [B, (S / 16)^2, ``width``]."""

    width: int
    lineage: str
    """Whose knowledge it hands on, for the model card."""

    def __call__(self, pictures: Tensor) -> Tensor:
        """Return what there is to see in each patch of 16 px."""
        ...


class EfficientNetTeacher(nn.Module):
    """EfficientNet-Lite0 (Apache-2.0, trained on ImageNet), features at strides of 8 and 16 px: 4 x 40 + 112."""

    width = 272
    lineage = f"distilled from {NETWORK}"

    def __init__(self) -> None:
        """Load the weights out of their package, without unpickling code.

        Raises:
            BadInputError: the packages are not installed.
        """
        super().__init__()
        try:
            package: Any = importlib.import_module("efficientnet_lite_pytorch")
        except ImportError as error:
            raise BadInputError("the teacher's packages", str(error), f"{INSTALL}, or {_WITHOUT}") from error
        net = package.EfficientNet.from_name("efficientnet-lite0")
        net.load_state_dict(efficientnet_lite0(_WITHOUT))
        self.stem = nn.Sequential(net._conv_stem, net._bn0, nn.ReLU6())
        stages = _stages(list(net._blocks))
        self.to_8, self.to_16 = nn.Sequential(*stages[0]), nn.Sequential(*stages[1])
        self.eval().requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # a quarter faster on a CPU, and twice under bf16

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        """Return [B, (S / 16)^2, 272]."""
        scaled = ((pictures * 255 - 127) / 128).contiguous(memory_format=torch.channels_last)
        at_8 = self.to_8(self.stem(scaled))
        at_16 = self.to_16(at_8)
        return torch.cat([functional.pixel_unshuffle(at_8, 2), at_16], dim=1).flatten(2).transpose(1, 2).float()


class TextureTeacher:
    """The bank's hand-made texture, where no other teacher can be had: 4 cells of 8 px a patch."""

    lineage = "hand-made texture features; no other network or its data had a part"

    def __init__(self) -> None:
        self._texture = TextureFeatures((0.0,) * 3, (1.0,) * 3)
        self.width = 4 * self._texture(torch.zeros(1, 3, 64, 64), (8, 8)).shape[-1]

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        """Return [B, (S / 16)^2, width]."""
        side = pictures.shape[-1] // 8
        cells = self._texture.to(pictures.device)(pictures, (side, side)).permute(0, 3, 1, 2)
        return functional.pixel_unshuffle(cells, 2).flatten(2).transpose(1, 2).float()


TEACHERS: dict[str, type[EfficientNetTeacher] | type[TextureTeacher]] = {
    "efficientnet-lite0": EfficientNetTeacher,
    "texture": TextureTeacher,
}


class Standardised:
    """A teacher whose features have mean 0 and deviation 1 over some pictures, held within +-4."""

    def __init__(self, teacher: Teacher, pictures: Tensor) -> None:
        """Take the moments from ``pictures``, float [B, 3, S, S], 0..1."""
        self._teacher = teacher
        seen = teacher(pictures).flatten(0, 1)
        self._mean, self._deviation = seen.mean(0), seen.std(0).clamp_min(1e-3)

    def __call__(self, pictures: Tensor) -> Tensor:
        """Return float32 [B, patches, width]."""
        return ((self._teacher(pictures) - self._mean) / self._deviation).clamp(-4, 4)


def _stages(blocks: list[Any]) -> tuple[list[Any], list[Any]]:
    """Split the blocks after the last one of stride 8, and drop those beyond stride 16; the stem has stride 2."""
    strides, total = [], 2
    for block in blocks:
        stride = block._depthwise_conv.stride
        total *= stride if isinstance(stride, int) else stride[0]
        strides.append(total)
    return [b for b, s in zip(blocks, strides, strict=True) if s <= 8], [
        b for b, s in zip(blocks, strides, strict=True) if s == STRIDE_PX
    ]
