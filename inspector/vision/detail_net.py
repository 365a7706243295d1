"""What a frame looks like close up, to a network that learnt from photographs: EfficientNet-Lite0 up to a stride of 16.

Tan and Le, EfficientNet (ICML 2019), in the variant without squeeze-and-excitation (Liu et al., 2020), ImageNet
weights of its authors (Apache-2.0). Banks of such features are how PatchCore finds anomalies (Roth et al., CVPR 2022).
Its norms are folded into the convolutions when the file is written (``inspector.training.detail_weights``), which
halves the time on a CPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from inspector.dapo.model_folder import package_folder, verify_folder
from inspector.dapo.spec import Engine
from inspector.domain.errors import BadInputError

if TYPE_CHECKING:
    from inspector.vision.detail_graph import OnnxStages

NAME = "efficientnet-lite0"
WEIGHTS_FILE = "weights.safetensors"
STRIDES = (8, 16)
STAGES = (
    # expansion, kernel, stride, channels, blocks; table 1 of the paper, its first five stages
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
)
_STEM = 32
# Stages after which features are taken: the last ones at a stride of 8 and of 16, and for looks of 4 and of 8.
_TAKEN = (2, 4)
_LOOKED_AT = (1, 2)
# As the network was trained: bytes less 127, over 128.
_MIDDLE, _HALF = 127 / 255, 128 / 255
_ENLARGED = 2
# The deeper features tell what there is, the others how it looks, which is what defects change.
_DEEP_SHARE = 0.5
# Of the side of one frame: what convolutions hold is some 30 MB a frame of 512 px.
_PIXELS_AT_ONCE = 4 * 512 * 512
# Frames of many tiles go through in blocks of 1,024 px (a frame of one tile is smaller), each with what is around it.
_BLOCK_PX, _AROUND_PX = 1024, 128


class DetailNet(nn.Module):
    """Features of images at twice their size, in cells of 8 px of the image."""

    middle: Tensor
    scale: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """``mean`` and ``std`` are those the images were normalised with (pixels in 0..1). Weights are random."""
        super().__init__()
        self.stem = _Conv(3, _STEM, 3, 2)
        self.stages = nn.ModuleList()
        width = _STEM
        for expansion, kernel, stride, channels, blocks in STAGES:
            widths = (width, *[channels] * (blocks - 1))
            strides = (stride, *[1] * (blocks - 1))
            made = (_Block(w, channels, expansion, kernel, s) for w, s in zip(widths, strides, strict=True))
            self.stages.append(nn.Sequential(*made))
            width = channels
        shape = (1, 3, 1, 1)
        # Not saved: they are of the model that the frames are normalised for.
        self.register_buffer("scale", (torch.tensor(std) / _HALF).view(shape), persistent=False)
        self.register_buffer("middle", ((torch.tensor(mean) - _MIDDLE) / _HALF).view(shape), persistent=False)
        self.eval().requires_grad_(False)
        self._in_onnx: OnnxStages | None = None

    @classmethod
    def load(
        cls, mean: Sequence[float], std: Sequence[float], device: torch.device, engine: Engine = "torch"
    ) -> DetailNet:
        """Build the network with the weights of this package.

        ``engine`` runs the convolutions; ``onnx`` is for the CPU, and asks for onnx and onnxruntime.

        Raises:
            BadInputError: their file is damaged.
        """
        folder = package_folder(NAME)
        verify_folder(folder, [WEIGHTS_FILE])
        net = cls(mean, std)
        net.load_state_dict(_read(folder / WEIGHTS_FILE, net.state_dict()))
        if engine == "onnx":
            # Here, not above: both are slow to load, and a machine may be without them.
            from inspector.vision.detail_graph import OnnxStages

            net._in_onnx = OnnxStages(net.stem, net.stages, (_TAKEN, _LOOKED_AT))
        return net.to(device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """Return float32 [B, rows, columns, 152] of images float32 [B, 3, S, S], normalised; a cell is 8 px of these.

        Of the images at twice their size, 40 features of a stride of 8 and 112 of a stride of 16, of length 1 and of
        half of it: in dim light as in bright light, and neither part drowns the other.
        """
        side = cells(images.shape[-1]) * STRIDES[-1]
        return torch.cat([self._close_up(some, side) for some in self._in_parts(images, side)])

    @torch.inference_mode()
    def looks(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return how 8 px of images as above look at their own size, alone and with those around them.

        Float32 [B, rows, columns, 24], means of 2 x 2 features of a stride of 4, and [B, rows, columns, 40], means of
        3 x 3 features of a stride of 8, of length 1 each: a sixth of the work. Sides that are no multiple of 8 are
        brought to one.
        """
        side = max(1, round(images.shape[-1] / STRIDES[0])) * STRIDES[0]
        if side != images.shape[-1]:
            images = functional.interpolate(images, (side, side), mode="bilinear", align_corners=False)
        alone, around = zip(*(self._at_their_size(some) for some in self._in_parts(images, side)), strict=True)
        return torch.cat(alone), torch.cat(around)

    def _at_their_size(self, images: Tensor) -> tuple[Tensor, Tensor]:
        near, far = self._stages(images, _LOOKED_AT)
        alone = functional.avg_pool2d(near, 2)
        around = functional.avg_pool2d(far, 3, stride=1, padding=1, count_include_pad=False)
        alone, around = (functional.normalize(look, dim=1).permute(0, 2, 3, 1) for look in (alone, around))
        return alone, around

    def _close_up(self, images: Tensor, side: int) -> Tensor:
        enlarged = functional.interpolate(images, (side, side), mode="bicubic", align_corners=False)
        starts = range(0, side, _BLOCK_PX)
        rows = [torch.cat([self._block(enlarged, top, left) for left in starts], dim=3) for top in starts]
        return torch.cat(rows, dim=2).permute(0, 2, 3, 1)

    def _block(self, enlarged: Tensor, top: int, left: int) -> Tensor:
        """Return the features [B, 152, rows, columns] of a block of enlarged images, seen with what is around it."""
        corner = tuple(max(0, start - _AROUND_PX) for start in (top, left))
        rows, columns = (
            slice(begin, start + _BLOCK_PX + _AROUND_PX) for begin, start in zip(corner, (top, left), strict=True)
        )
        look, kind = self._stages(enlarged[:, :, rows, columns], _TAKEN)
        look = functional.normalize(functional.avg_pool2d(look, 2), dim=1)
        found = torch.cat((look, _DEEP_SHARE * functional.normalize(kind, dim=1)), dim=1)
        y, x = ((start - begin) // STRIDES[-1] for begin, start in zip(corner, (top, left), strict=True))
        cells_a_block = _BLOCK_PX // STRIDES[-1]
        return found[:, :, y : y + cells_a_block, x : x + cells_a_block]

    def _stages(self, images: Tensor, wanted: Sequence[int]) -> list[Tensor]:
        """Return what comes out of the ``wanted`` stages, [B, channels, rows, columns] each; no later one is run."""
        x = torch.addcmul(self.middle, images, self.scale)
        if self._in_onnx is not None:
            return self._in_onnx(x, wanted)
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.stem(x).clamp_(0, 6)
        found = []
        for number, stage in enumerate(self.stages[: wanted[-1] + 1]):
            x = stage(x)
            if number in wanted:
                found.append(x)
        return found

    def _in_parts(self, images: Tensor, side_px: int) -> Iterator[Tensor]:
        """Yield images on the network's device, so many at once as memory is meant for."""
        at_once = max(1, _PIXELS_AT_ONCE // side_px**2)
        if self._in_onnx is not None and at_once > 1:
            at_once = max(at_once, self._in_onnx.threads)
        for part in torch.split(images, at_once):
            yield part.to(self.middle.device)


class _Conv(nn.Conv2d):
    """A convolution that pads as TensorFlow does ("SAME"): with a stride of 2 more at the end than at the beginning."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(before, after, kernel, stride, 0 if stride > 1 else kernel // 2, groups=groups)
        total = kernel - stride
        # Pixels that are added on the left, on the right, above and below.
        self.around = (total // 2, total - total // 2) * 2

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self.stride == (1, 1) else functional.pad(x, self.around))


class _Block(nn.Module):
    """Widened, filtered channel by channel, narrowed again (Sandler et al., MobileNetV2, CVPR 2018)."""

    def __init__(self, before: int, after: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = before * expansion
        self.widen = _Conv(before, wide, 1) if expansion > 1 else None
        self.filter = _Conv(wide, wide, kernel, stride, groups=wide)
        self.narrow = _Conv(wide, after, 1)
        self.adds = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.widen is None else self.widen(x).clamp_(0, 6)
        narrow: Tensor = self.narrow(self.filter(wide).clamp_(0, 6))
        return narrow.add_(x) if self.adds else narrow


def cells(side_px: int) -> int:
    """Return how many cells a side images of ``side_px`` have."""
    return max(1, round(_ENLARGED * side_px / STRIDES[-1]))


def convolutions(net: DetailNet) -> list[str]:
    """Return the names of the convolutions in the order in which images go through them."""
    return [name for name, module in net.named_modules() if isinstance(module, _Conv)]


def _read(path: Path, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise BadInputError("the weights of details", f"{error} in {path}", "reinstall inspector") from error
    shapes, came = ({name: list(tensor.shape) for name, tensor in some.items()} for some in (wanted, tensors))
    if unlike := sorted(n for n in {*shapes, *came} if shapes.get(n) != came.get(n)):
        expected, got = (f"{unlike[0]} {some.get(unlike[0], 'absent')}" for some in (shapes, came))
        raise BadInputError(expected, f"{got} in {path}", "reinstall inspector")
    return {name: tensor.float() for name, tensor in tensors.items()}
