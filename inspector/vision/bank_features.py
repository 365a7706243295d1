"""What a frame looks like to a reference bank: an early and a late level of the tower, and hand-made texture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from torch import Tensor
from torch.nn import functional

from inspector.domain.scoring import BankLevels
from inspector.vision.texture import TextureFeatures

TEXTURE = "texture"
# Share of each level in the score. Mostly texture, which needs no training: see deploy/decisions/0004.
LEVEL_SHARES: Mapping[str, float] = MappingProxyType({"early": 0.1, "late": 0.1, TEXTURE: 0.8})
LEVELS = tuple(LEVEL_SHARES)


def chosen_levels(choice: BankLevels) -> tuple[str, ...]:
    """Return the names of the levels that count."""
    return tuple(name for name in LEVELS if choice == "all" or (name == TEXTURE) == (choice == "texture"))


def finest_grid(features: Iterable[Tensor]) -> tuple[int, int]:
    """Return rows and columns of the finest of levels [B, rows, columns, D]."""
    rows, columns = max(values.shape[1:3] for values in features)
    return rows, columns


def bank_features(
    taps: tuple[Tensor, ...], grid: tuple[int, int], images: Tensor, texture: TextureFeatures
) -> Mapping[str, Tensor]:
    """Return each level's features, float32 [B, rows, columns, D_level], of a batch; ``grid`` is that of the taps.

    Early and late are the first and the last tap, L2-normalised, so that their distances are those of cosines;
    texture has a grid of its own, and the bank whitens it.
    """
    return {
        "early": _on_grid(taps[0], grid),
        "late": _on_grid(taps[-1], grid),
        # Finer than the tower's patches: small defects fill a cell of half the side.
        TEXTURE: texture(images, (2 * grid[0], 2 * grid[1])),
    }


def _on_grid(tap: Tensor, grid: tuple[int, int]) -> Tensor:
    return functional.normalize(tap.float(), dim=-1).reshape(len(tap), *grid, -1)
