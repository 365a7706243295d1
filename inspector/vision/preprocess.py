"""Decoded pixels -> what the vision tower takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray


def preprocess(
    images: Sequence[NDArray[np.uint8]],
    mean: Sequence[float],
    std: Sequence[float],
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Return ``images`` (uint8 [S, S, 3] RGB each) as one normalised float32 tensor [B, 3, S, S] on ``device``.

    ``mean`` and ``std`` are per channel, of pixels in 0..1. Bytes, not floats, travel to the device, and scaling
    and normalising are one multiply-add.
    """
    batch = torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2)
    scale = torch.tensor([1 / (255 * s) for s in std], device=device).view(1, 3, 1, 1)
    offset = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=device).view(1, 3, 1, 1)
    return torch.addcmul(offset, batch.to(torch.float32, memory_format=torch.contiguous_format), scale)
