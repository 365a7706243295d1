"""What is usual of the distances of a camera's frames: over a whole frame, and at each place where it stands still.

An edge that parts never hit alike is no defect.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Median absolute deviation -> standard deviation, where values are normal.
_MAD_TO_STD = 1.4826
# Share of the mean deviation, which is 0.8 of a normal law's standard deviation: ordinary parts keep their spread.
_MEAN_SHARE = 1 / 3
# Keeps identical frames, which have no spread at all, finite.
_LEAST_SPREAD = 1e-6
# Share of a map whose mean is its peak, and how much higher those of fine texture may be than those of texture. Of 32
# frames: boards, plates, a belt and ball screws under cameras that stand still 0.7 to 1.2, cookies laid down by hand
# 1.7 to 1.8; of 16 frames 0.7 to 1.7, and 1.8 to 2.5.
_PEAK = 0.0003
_FINER_AT_MOST = 1.5
_STILL_FINER_AT_MOST = 1.6


def usual_of_all(distances: Tensor) -> tuple[float, float]:
    """Return median and spread of all distances, of any shape; a few bad patches move neither."""
    middle = distances.median()
    away = (distances - middle).abs()
    spread = _MAD_TO_STD * float(away.median())
    # Where more than half of a part is bare, as on a printed board, the median deviation is that of bare patches, next
    # to nothing: the others then scored in millions, and differently from one measuring to the next.
    spread = max(spread, _MEAN_SHARE * float(away.mean()))
    # Identical frames have no spread at all: any difference from them is then large, but finite.
    return float(middle), max(spread, 1e-3 * float(middle), _LEAST_SPREAD)


def usual_of_places(distances: Tensor) -> tuple[Tensor, Tensor]:
    """Return median and spread [rows, columns] of distances [F, rows, columns]; a few bad frames move neither.

    A spread is that of a place and its eight neighbours, as few frames say little of one place, and never much below
    that of the whole frame: where frames never differed yet, the first difference is none of a hundred spreads.
    """
    middle = distances.median(0).values
    return middle, _steadied(_MAD_TO_STD * (distances - middle).abs().median(0).values)


def unusual_of_normals(distances: Tensor, mean: Tensor, std: Tensor, count: int, among: Tensor) -> Tensor:
    """Return how unusual distances [B, rows, columns] are at each place, in spreads, where frames are known to be good.

    Mean and deviation tell more of few frames than median and spread do.

    Args:
        mean, std: of ``count`` good frames at each place, [rows, columns]; the deviation is that of a sample.
        among: bool [B], whether a frame is one of these. It is left out then: beside what it made itself no frame of
            eight could be further off than 2.5 deviations, and thresholds would be as low.
    """
    away = distances - mean
    # Mean and variance without one value, from those with it.
    mean_without = mean - away / (count - 1)
    variance_without = (std.square() * (count - 1) - away.square() * count / (count - 1)) / (count - 2)
    own = among[:, None, None]
    middle = torch.where(own, mean_without, mean)
    spread = torch.where(own, variance_without.clamp_min(0).sqrt(), std)
    return (distances - middle) / _steadied(spread)


def _steadied(spread: Tensor) -> Tensor:
    """Return spreads [..., rows, columns] averaged over 3 x 3 places, and never much below that of all places."""
    grids = spread.reshape(-1, 1, *spread.shape[-2:])
    around = functional.avg_pool2d(functional.pad(grids, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return torch.hypot(around, around.mean((2, 3), keepdim=True)).clamp_min(_LEAST_SPREAD).reshape(spread.shape)


def shows_more_finer(texture: Tensor, fine: Tensor, *, already: bool = False) -> bool:
    """Say whether frames that are compared in place should be compared at a finer size as well.

    Where parts lie a little differently in each frame, or are never quite alike, fine texture differs somewhere in
    every good frame, and its peaks would hide what coarser levels find. Said by the median frame's peak, in spreads.

    Args:
        texture: mutual distances [F, rows, columns] of the frames' texture.
        fine: those of their fine texture, smoothed, on a finer grid.
        already: whether they are now; at the limit they then stay so.
    """
    middle, spread = usual_of_all(texture)
    places, spreads = usual_of_places(fine)
    coarse, finer = (_median_peak(values) for values in ((texture - middle) / spread, (fine - places) / spreads))
    return finer <= (_STILL_FINER_AT_MOST if already else _FINER_AT_MOST) * coarse


def _median_peak(maps: Tensor) -> float:
    flat = maps.flatten(1)
    return float(flat.topk(max(1, round(_PEAK * flat.shape[1])), 1).values.mean(1).median())
