"""How far the strangest spot of a frame is from everything else in it: needs no words, no reference and no training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

# A patch is held against the few that resemble it most: one alike may be another defect, and with many the mean is of
# what is ordinary in the frame, not of what is like the patch.
_ALIKE = 5
# Patches this near show parts of the same thing, a defect too.
_APART = 2
# A spot is two patches a side: one patch may be noise, and whether more were strange the map's mean tells.
_SPOT = 2
# Bounds the distances of one step to 1024 x the patches of the frame.
_QUERIES = 1024


def highest_contrast(taps: Sequence[Tensor], area: NDArray[np.bool_]) -> float:
    """Return how little the strangest spot of a frame resembles the rest of the frame, 0 (all alike) to 1.

    A patch's contrast is half its mean cosine distance to the five patches most like it, of those more than two patches
    away, a mean over the taps; a spot's is the mean of 2 x 2 patches. One frame as its own reference is how Aota et al.
    (WACV 2023) find defects of textures they never saw.

    Args:
        taps: features [rows, columns, D] of each tapped layer, on any device.
        area: bool [S, S], see ``inspected_area``. Patches that mostly lie outside neither count nor are compared with.
    """
    inspected = _on_grid(area, taps[0]).to(taps[0].device)
    if not inspected.any():
        return 0.0
    contrast = torch.stack([_contrast(tap, inspected) for tap in taps]).mean(0)
    window = (min(_SPOT, contrast.shape[0]), min(_SPOT, contrast.shape[1]))
    return float(functional.avg_pool2d(contrast[None, None], window, stride=1).amax())


def _on_grid(area: NDArray[np.bool_], tap: Tensor) -> Tensor:
    """Return bool [rows, columns]: which patches are inspected by half or more."""
    rows, columns = tap.shape[:2]
    share = functional.adaptive_avg_pool2d(torch.from_numpy(area.astype(np.float32))[None, None], (rows, columns))
    return share[0, 0] >= 0.5


def _contrast(tap: Tensor, inspected: Tensor) -> Tensor:
    """Return each patch's contrast [rows, columns], 0 where nothing may be compared."""
    rows, columns, _ = tap.shape
    features = functional.normalize(tap.float().flatten(0, 1), dim=1)
    place = torch.arange(len(features), device=tap.device)
    y, x = place // columns, place % columns
    found = []
    for start in range(0, len(features), _QUERIES):
        part = slice(start, start + _QUERIES)
        near = ((y[part, None] - y).abs() <= _APART) & ((x[part, None] - x).abs() <= _APART)
        distance = (1 - features[part] @ features.T).clamp_min(0) / 2
        distance = distance.masked_fill(near | ~inspected.flatten(), torch.inf)
        nearest = distance.topk(min(_ALIKE, len(features)), largest=False).values
        there = nearest.isfinite()
        found.append(nearest.where(there, 0).sum(1) / there.sum(1).clamp_min(1))
    return torch.cat(found).reshape(rows, columns) * inspected
