"""Hand-made texture features of each patch: local colour and the energy of a Gabor filter bank.

They need no training and see fine texture that a transformer's patches average away; with an untrained tower they
are the strongest level of the reference bank.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

_ORIENTATIONS = 4
_WAVELENGTHS_PX = (4.0, 8.0)
_KERNEL_PX = 11
# Every second pixel suffices for energies that are averaged over a patch, at a quarter of the cost.
_STRIDE = 2


class TextureFeatures(nn.Module):
    """Mean and standard deviation of each channel (6) and Gabor energies of the luminance (8), pooled to a grid."""

    filters: Tensor

    def __init__(self, grid: tuple[int, int]) -> None:
        super().__init__()
        self._grid = grid
        self.register_buffer("filters", _gabor_pairs())

    @property
    def channels(self) -> int:
        """Features of a patch."""
        return 6 + _ORIENTATIONS * len(_WAVELENGTHS_PX)

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """Return float32 [B, P, 14] of normalised images [B, 3, S, S]; P runs along the grid's rows."""
        mean = functional.adaptive_avg_pool2d(images, self._grid)
        variance = functional.adaptive_avg_pool2d(images * images, self._grid) - mean * mean
        grey = images.mean(dim=1, keepdim=True)
        even, odd = functional.conv2d(grey, self.filters, stride=_STRIDE, padding=_KERNEL_PX // 2).chunk(2, dim=1)
        energy = functional.adaptive_avg_pool2d(torch.hypot(even, odd), self._grid)
        return torch.cat([mean, variance.clamp_min(0).sqrt(), energy], dim=1).flatten(2).transpose(1, 2)


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
