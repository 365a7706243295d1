"""What a frame looks like to its reference: details, the tower's features, hand-made texture, what the text says."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from inspector.domain.scoring import BankLevels, Fusion, ScoringSettings
from inspector.vision.preprocess import preprocess
from inspector.vision.texture import TextureFeatures

LOWER = "lower"
DETAIL = "detail"
TEXTURE = "texture"
FINE = "fine"
ZERO_SHOT = "zero_shot"
# Share of each level in the score, where it counts: without details, and with them, beside which texture tells no more
# than whether the camera stands still. See deploy/decisions/0032 and 0034, and tests/bench/level_shares.py for what
# others give.
_SHARES: Mapping[str, float] = MappingProxyType({LOWER: 0.5, TEXTURE: 0.4, ZERO_SHOT: 0.2})
_SHARES_BESIDE_DETAIL: Mapping[str, float] = MappingProxyType({LOWER: 1.5, DETAIL: 1.0, FINE: 0.35, ZERO_SHOT: 0.02})
LEVELS = (LOWER, DETAIL, TEXTURE, FINE, ZERO_SHOT)
# Which of the tapped layers, from 0, is compared: half way up the tower. Lower ones see too little of what is around a
# patch, and higher ones forget how it looks.
_LOWER_TAP = 1
# Cells of the fine level, a side: 8 px of a frame of FINE_PX each.
FINE_CELLS = 128
# Frames whose fine pixels are held as floats at once, 13 MB each with what filters make of them.
_FINE_AT_ONCE = 4
# Energies at every fourth pixel, a side, tell as much here as at every second one, for two thirds of the time.
_FINE_STRIDE = 4
_COMPARED: Mapping[BankLevels, tuple[str, ...]] = MappingProxyType(
    {
        "all": (LOWER, DETAIL, TEXTURE, FINE),
        "detail": (LOWER, DETAIL, TEXTURE),
        "coarse": (LOWER, TEXTURE),
        "tower": (LOWER,),
        "texture": (TEXTURE,),
    }
)


def chosen_levels(choice: BankLevels, fusion: Fusion) -> tuple[str, ...]:
    """Return the names of the levels that count: those compared with references, and the zero-shot map if fused."""
    return (*_COMPARED[choice], ZERO_SHOT) if fusion == "zero_shot" else _COMPARED[choice]


def only_in_place(levels: Collection[str]) -> frozenset[str]:
    """Return those of some levels that count only where frames are matched in place: FINE, and LOWER beside DETAIL."""
    return frozenset({FINE, LOWER} if DETAIL in levels else {FINE}).intersection(levels)


def counting_levels(levels: Iterable[str], *, in_place: bool, finer: bool) -> tuple[str, ...]:
    """Return those of some levels that count for frames matched in place or not, compared at a finer size or not.

    Beside details the tower's level counts where parts lie a little differently in each frame, and fine texture in its
    place where they do not; where parts lie anywhere neither does: details alone tell a defect from what is elsewhere.
    """
    there = tuple(levels)
    unwanted = only_in_place(there)
    if in_place:
        unwanted -= {FINE} if finer else {LOWER}
    return tuple(name for name in there if name not in unwanted)


def level_shares(levels: Collection[str]) -> dict[str, float]:
    """Return the share in the score of each of these levels that has one; their sum is 1."""
    shares = _SHARES_BESIDE_DETAIL if DETAIL in levels else _SHARES
    counted = {name: shares[name] for name in levels if name in shares}
    return {name: share / sum(counted.values()) for name, share in counted.items()}


def peak_fraction(scoring: ScoringSettings, levels: Iterable[str]) -> float:
    """Return the share of a map of these levels whose mean is the image score."""
    return scoring.fine_peak_fraction if FINE in levels else scoring.peak_fraction


def finest_grid(features: Iterable[Tensor]) -> tuple[int, int]:
    """Return rows and columns of the finest of levels [B, rows, columns, ...]."""
    rows, columns = max(values.shape[1:3] for values in features)
    return rows, columns


def bank_features(
    taps: tuple[Tensor, ...], grid: tuple[int, int], images: Tensor, texture: TextureFeatures
) -> dict[str, Tensor]:
    """Return what the first look at a batch tells: the levels LOWER and TEXTURE, float32 [B, rows, columns, D_level].

    ``grid`` is of the taps. Levels of the tower are of length 1, so that their distances are those of cosines; texture
    has a grid of its own, and the bank whitens it.
    """
    # Finer than the tower's patches: small defects fill a cell of half the side.
    cells = texture(images, (2 * grid[0], 2 * grid[1]))
    lower = of_length_one(taps[_LOWER_TAP])
    return {LOWER: lower.reshape(len(lower), *grid, -1), TEXTURE: cells}


def fine_features(
    pixels: Sequence[NDArray[np.uint8]],
    texture: TextureFeatures,
    norm: tuple[Sequence[float], Sequence[float]],
    device: torch.device,
) -> Tensor:
    """Return the level FINE, float32 [B, 128, 128, 14], of frames uint8 [F, F, 3]: texture at four times the size.

    ``norm``: mean and deviation that ``texture`` takes its images normalised with.
    """
    parts = [
        texture(
            preprocess(pixels[start : start + _FINE_AT_ONCE], *norm, device), (FINE_CELLS, FINE_CELLS), _FINE_STRIDE
        )
        for start in range(0, len(pixels), _FINE_AT_ONCE)
    ]
    return torch.cat(parts)


def of_length_one(tokens: Tensor) -> Tensor:
    """Return tokens [..., D] in full precision, each divided by its length."""
    return functional.normalize(tokens.float(), dim=-1)


def resize_scores(scores: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Return patch scores [B, rows, columns] on another grid, bilinearly."""
    return functional.interpolate(scores[:, None], grid, mode="bilinear", align_corners=False)[:, 0]
