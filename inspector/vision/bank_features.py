"""What a frame looks like to its reference: levels of the tower, hand-made texture, and what the text says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from torch import Tensor
from torch.nn import functional

from inspector.dapo.spec import DETAIL_TAP
from inspector.domain.scoring import BankLevels, Fusion
from inspector.vision.texture import TextureFeatures

LOWER = "lower"
DETAIL = "detail"
TEXTURE = "texture"
ZERO_SHOT = "zero_shot"
# Share of each level in the score, where it is in use; see deploy/decisions/0027, and tests/bench/level_shares.py for
# what others give.
LEVEL_SHARES: Mapping[str, float] = MappingProxyType({LOWER: 0.5, DETAIL: 0.5, TEXTURE: 0.4, ZERO_SHOT: 0.2})
LEVELS = tuple(LEVEL_SHARES)
_COMPARED: Mapping[BankLevels, tuple[str, ...]] = MappingProxyType(
    {
        "all": (LOWER, DETAIL, TEXTURE),
        "coarse": (LOWER, TEXTURE),
        "tower": (LOWER, DETAIL),
        "texture": (TEXTURE,),
    }
)


def chosen_levels(choice: BankLevels, fusion: Fusion) -> tuple[str, ...]:
    """Return the names of the levels that count: those compared with references, and the zero-shot map if fused."""
    return (*_COMPARED[choice], ZERO_SHOT) if fusion == "zero_shot" else _COMPARED[choice]


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
    lower = of_length_one(taps[DETAIL_TAP])
    return {LOWER: lower.reshape(len(lower), *grid, -1), TEXTURE: cells}


def of_length_one(tokens: Tensor) -> Tensor:
    """Return tokens [..., D] in full precision, each divided by its length."""
    return functional.normalize(tokens.float(), dim=-1)
