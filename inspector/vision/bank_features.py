"""What a frame looks like to its reference: levels of the tower, hand-made texture, and what the text says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from torch import Tensor
from torch.nn import functional

from inspector.domain.scoring import BankLevels, Fusion
from inspector.vision.texture import TextureFeatures

TEXTURE = "texture"
ZERO_SHOT = "zero_shot"
# Which of the tapped layers a level of the tower is.
_TAPS: Mapping[str, int] = MappingProxyType({"early": 0, "lower": 1, "upper": 2, "late": 3})
# Share of each level in the score, where it is in use; see deploy/decisions/0011, and tests/bench/level_shares.py for
# what others give. Levels of the tower that are not here are not kept.
LEVEL_SHARES: Mapping[str, float] = MappingProxyType({"early": 0.1, "late": 0.4, TEXTURE: 0.5, ZERO_SHOT: 0.5})
LEVELS = tuple(LEVEL_SHARES)


def chosen_levels(choice: BankLevels, fusion: Fusion) -> tuple[str, ...]:
    """Return the names of the levels that count: those compared with references, and the zero-shot map if fused."""
    compared = (name for name in LEVELS if name != ZERO_SHOT)
    chosen = tuple(name for name in compared if choice == "all" or (name == TEXTURE) == (choice == "texture"))
    return (*chosen, ZERO_SHOT) if fusion == "zero_shot" else chosen


def finest_grid(features: Iterable[Tensor]) -> tuple[int, int]:
    """Return rows and columns of the finest of levels [B, rows, columns, ...]."""
    rows, columns = max(values.shape[1:3] for values in features)
    return rows, columns


def bank_features(
    taps: tuple[Tensor, ...], grid: tuple[int, int], images: Tensor, texture: TextureFeatures
) -> dict[str, Tensor]:
    """Return each compared level's features, float32 [B, rows, columns, D_level], of a batch; ``grid`` is of the taps.

    Levels of the tower are tapped layers, L2-normalised, so that their distances are those of cosines; texture has a
    grid of its own, and the bank whitens it.
    """
    tower = {name: _on_grid(taps[tap], grid) for name, tap in _TAPS.items() if name in LEVEL_SHARES}
    # Finer than the tower's patches: small defects fill a cell of half the side.
    return {**tower, TEXTURE: texture(images, (2 * grid[0], 2 * grid[1]))}


def _on_grid(tap: Tensor, grid: tuple[int, int]) -> Tensor:
    return functional.normalize(tap.float(), dim=-1).reshape(len(tap), *grid, -1)
