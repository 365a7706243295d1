"""A bounded choice of reference patches that still covers all of them."""

from __future__ import annotations

import torch
from torch import Tensor

# Distances survive a random projection to few dimensions (Johnson-Lindenstrauss), and each step costs that much less.
_PROJECTED_DIMENSIONS = 32


def coreset(features: Tensor, size: int, seed: int = 0) -> Tensor:
    """Return the indices [min(N, size)] of a greedy k-centre choice from ``features`` [N, D], the same for a seed.

    Each step takes the patch farthest from all taken so far, as in PatchCore (Roth et al., CVPR 2022, algorithm 1),
    after a random projection.
    """
    if len(features) <= size:
        return torch.arange(len(features))
    generator = torch.Generator().manual_seed(seed)
    points = features.float().cpu()
    if points.shape[1] > _PROJECTED_DIMENSIONS:
        points = points @ torch.randn(points.shape[1], _PROJECTED_DIMENSIONS, generator=generator)
    taken = torch.empty(size, dtype=torch.long)
    taken[0] = torch.randint(len(points), (1,), generator=generator)
    distance = torch.full((len(points),), torch.inf)
    for i in range(1, size):
        distance = torch.minimum(distance, (points - points[taken[i - 1]]).square().sum(1))
        taken[i] = distance.argmax()
    return taken
