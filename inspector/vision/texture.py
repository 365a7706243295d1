"""Hand-made texture features: local colour, local contrast and the energy of a Gabor filter bank, all as logarithms.

They need no training and see fine texture that a transformer's patches average away; with an untrained tower they
are the strongest level of the reference bank.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

_ORIENTATIONS = 4
_WAVELENGTHS_PX = (4.0, 8.0)
_KERNEL_PX = 11
# Every second pixel suffices for energies that are averaged over a cell, at a quarter of the cost.
_STRIDE = 2
# Added before the logarithm, of pixels in 0..1: below these a camera shows noise.
_DARKEST = 0.05
_FAINTEST = 0.005


class TextureFeatures(nn.Module):
    """Mean and deviation of each channel (6) and Gabor energies of the luminance (8), pooled to a grid of cells.

    Logarithms: light that brightens a place by a tenth adds the same to all of them, whatever is there, and a
    contrast counts by its ratio to what is usual.
    """

    filters: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """``mean`` and ``std`` are those the images were normalised with (pixels in 0..1)."""
        super().__init__()
        self.register_buffer("filters", _gabor_pairs())
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    @torch.inference_mode()
    def forward(self, images: Tensor, grid: tuple[int, int], stride: int = _STRIDE) -> Tensor:
        """Return float32 [B, rows, columns, 14] of normalised images [B, 3, S, S]; ``grid`` is rows and columns.

        ``stride``: every which pixel, a side, energies are taken at.
        """
        pixels = torch.addcmul(self.mean, images, self.std)
        mean = functional.adaptive_avg_pool2d(pixels, grid)
        variance = functional.adaptive_avg_pool2d(pixels * pixels, grid) - mean * mean
        grey = pixels.mean(dim=1, keepdim=True)
        even, odd = functional.conv2d(grey, self.filters, stride=stride, padding=_KERNEL_PX // 2).chunk(2, dim=1)
        energy = functional.adaptive_avg_pool2d(torch.hypot(even, odd), grid)
        contrast = torch.cat([variance.clamp_min(0).sqrt(), energy], dim=1)
        features = torch.cat([(mean.clamp_min(0) + _DARKEST).log(), (contrast + _FAINTEST).log()], dim=1)
        return features.permute(0, 2, 3, 1)


def _gabor_pairs() -> Tensor:
    """Quadrature pairs, [2N, 1, k, k]: N even filters, then their N odd partners; the even ones sum to zero."""
    reach = _KERNEL_PX // 2
    y, x = torch.meshgrid(torch.arange(-reach, reach + 1.0), torch.arange(-reach, reach + 1.0), indexing="ij")
    even, odd = [], []
    for wavelength in _WAVELENGTHS_PX:
        envelope = torch.exp(-(x * x + y * y) / (2 * (wavelength / 2) ** 2))
        envelope /= envelope.sum()
        for i in range(_ORIENTATIONS):
            angle = math.pi * i / _ORIENTATIONS
            phase = 2 * math.pi / wavelength * (x * math.cos(angle) + y * math.sin(angle))
            wave = torch.cos(phase)
            even.append(envelope * (wave - (envelope * wave).sum()))
            odd.append(envelope * torch.sin(phase))
    return torch.stack(even + odd)[:, None]
