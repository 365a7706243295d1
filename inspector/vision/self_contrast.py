"""How far the strangest spot of a frame is from everything else in it: needs no words, no reference and no training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

# A detail is held against the few that resemble it most: one alike may be another defect, and with many the mean is of
# what is ordinary in the frame, not of what is like the detail.
_ALIKE = 3
# Details this near show parts of the same thing, a defect too.
_APART = 4
# Sides of spots, in details: one may be noise, and whether more were strange the map's mean tells.
_SPOTS = (2, 3)
# Details a side; those of frames of more than two tiles a side are averaged to so many.
_MOST = 64
# Bounds the distances of one step to about 1024 x the details of the frame.
_QUERIES = 1024


def highest_contrast(looks: Sequence[Tensor], area: NDArray[np.bool_]) -> float:
    """Return how little the strangest spot of a frame resembles the rest of the frame, 0 (all alike) to 1.

    Returned is the geometric mean over ``looks``, what is seen of each place alone and with its surroundings: what is
    strange in one way alone is often only strange to it.

    Args:
        looks: features [rows, columns, D], of length 1, of the frame in cells of 8 px; see ``DetailNet.looks``.
        area: bool [S, S], see ``inspected_area``. Details that mostly lie outside neither count nor are compared with.
    """
    # On a grid this small nothing lies far enough from anything to be compared with it.
    large = [detail for detail in looks if max(detail.shape[:2]) > _APART + 1] or looks
    return math.prod(_highest(detail, area) for detail in large) ** (1 / len(large))


def _highest(detail: Tensor, area: NDArray[np.bool_]) -> float:
    """Return the contrast of the strangest spot of details [rows, columns, D].

    A detail's contrast is half its mean cosine distance to the three most like it, of every second one of those more
    than four details away; a spot's is the mean over 2 x 2 or 3 x 3 details. Returned is the geometric mean of the
    strangest spot's of either size. One frame as its own reference is how Aota et al. (WACV 2023) find defects of
    textures they never saw.
    """
    detail = _bounded(detail)
    inspected = _on_grid(area, detail).to(detail.device)
    if not inspected.any():
        return 0.0
    contrast = _contrast(detail, inspected)[None, None]
    sides = [(min(side, detail.shape[0]), min(side, detail.shape[1])) for side in _SPOTS]
    spots = torch.stack([functional.avg_pool2d(contrast, side, stride=1).amax() for side in sides])
    return float(spots.prod() ** (1 / len(spots)))


def _bounded(detail: Tensor) -> Tensor:
    """Return details [rows, columns, D] of at most ``_MOST`` a side: the work grows with the fourth power of it."""
    sides = (min(detail.shape[0], _MOST), min(detail.shape[1], _MOST))
    if sides == tuple(detail.shape[:2]):
        return detail
    smaller = functional.adaptive_avg_pool2d(detail.float().permute(2, 0, 1), sides).permute(1, 2, 0)
    return functional.normalize(smaller, dim=-1)


def _on_grid(area: NDArray[np.bool_], detail: Tensor) -> Tensor:
    """Return bool [rows, columns]: which details are inspected by half or more."""
    rows, columns = detail.shape[:2]
    if area.all():
        return torch.ones(rows, columns, dtype=torch.bool)
    share = functional.adaptive_avg_pool2d(torch.from_numpy(area.astype(np.float32))[None, None], (rows, columns))
    return share[0, 0] >= 0.5


def _contrast(detail: Tensor, inspected: Tensor) -> Tensor:
    """Return each detail's contrast [rows, columns], 0 where nothing may be compared."""
    rows, columns, _ = detail.shape
    features = detail.float().flatten(0, 1)
    kept = _kept(rows, columns).to(detail.device)
    others, left_out = features[kept], ~inspected.flatten()[kept]
    at_once = max(1, _QUERIES // columns)
    found = []
    for top in range(0, rows, at_once):
        cosines = features[top * columns : (top + at_once) * columns] @ others.T
        incomparable = _near(top, min(top + at_once, rows), rows, columns).to(detail.device)
        cosines.masked_fill_(incomparable | left_out if left_out.any() else incomparable, -torch.inf)
        alike = cosines.topk(min(_ALIKE, len(others)), sorted=False).values
        there = alike.isfinite()
        distance = ((1 - alike).clamp_min(0) / 2).where(there, 0)
        found.append(distance.sum(1) / there.sum(1).clamp_min(1))
    return torch.cat(found).reshape(rows, columns) * inspected


@lru_cache(maxsize=32)
@torch.inference_mode(False)
def _kept(rows: int, columns: int) -> Tensor:
    """Number the details that others are compared with: every second one, as on a chessboard, tells as much as all."""
    y, x = torch.arange(rows), torch.arange(columns)
    return ((y[:, None] + x) % 2 == 0).flatten().nonzero()[:, 0]


# Frames of one size follow each other, and to find out costs more than all the rest.
@lru_cache(maxsize=32)
@torch.inference_mode(False)
def _near(top: int, bottom: int, rows: int, columns: int) -> Tensor:
    """Say which kept details lie near those of some rows: bool [(bottom - top) x columns, kept]."""
    y, x = torch.arange(rows), torch.arange(columns)
    near_y = (y[top:bottom, None] - y).abs() <= _APART
    near_x = (x[:, None] - x).abs() <= _APART
    near = (near_y[:, None, :, None] & near_x[None, :, None, :]).flatten(2, 3).flatten(0, 1)
    return near[:, _kept(rows, columns)]
