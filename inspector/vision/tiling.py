"""Where the tiles of a large frame lie, and how what the tower makes of them is stitched to one grid of patches.

Neighbours overlap by a quarter of a tile, in whole patches, so that all tiles lie on one lattice of patches. Where they
overlap, each counts by its distance from its own border: no verdict changes abruptly from one tile to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

# A patch within a quarter of a tile of its border sees little of what lies beyond it.
_OVERLAP = 4
# Decoded, a frame of this side takes 50 MB, and its map 67 MB.
MAX_SIDE_PX = 4096


@dataclass(frozen=True, slots=True)
class Tiling:
    """``tiles`` a side, each of ``tile_px`` a side; ``tile_px`` is a multiple of ``patch_px``."""

    tiles: int
    tile_px: int
    patch_px: int

    @classmethod
    def of_side(cls, side_px: int, tile_px: int, patch_px: int) -> Tiling:
        """Return the tiling of frames decoded to ``side_px``.

        Raises:
            ValueError: no number of tiles gives that side.
        """
        one = cls(1, tile_px, patch_px)
        found = one.of(1 + (side_px - tile_px) // (one.step * patch_px))
        if found.tiles < 1 or found.side_px != side_px:
            raise ValueError(f"no number of tiles of {tile_px} px makes a side of {side_px} px")
        return found

    def of(self, tiles: int) -> Tiling:
        """Return the tiling with another number of the same tiles."""
        return replace(self, tiles=tiles)

    @property
    def patches(self) -> int:
        """Patches of a tile, a side."""
        return self.tile_px // self.patch_px

    @property
    def step(self) -> int:
        """Patches from a tile to the next; at least one and a quarter of a tile are common to both, if it has two."""
        return max(1, self.patches - -(-self.patches // _OVERLAP))

    @property
    def grid_side(self) -> int:
        """Patches of the whole frame, a side."""
        return self.patches + (self.tiles - 1) * self.step

    @property
    def side_px(self) -> int:
        """Side of the square that the frame is decoded to."""
        return self.grid_side * self.patch_px

    def cut(self, image: Tensor) -> list[Tensor]:
        """Return the tiles, views [C, tile_px, tile_px] of ``image`` [C, side_px, side_px], row by row."""
        corners = [place * self.step * self.patch_px for place in range(self.tiles)]
        return [image[:, y : y + self.tile_px, x : x + self.tile_px] for y in corners for x in corners]

    def blend(self, tiles: Tensor) -> Tensor:
        """Stitch features of the tiles to those of the frame.

        Args:
            tiles: float32 [B, tiles^2, C, patches, patches], in the order of ``cut``.

        Returns:
            float32 [B, C, grid_side, grid_side]: at each patch the mean of the tiles that have it, weighted by a ramp
            that falls linearly towards each tile's border.
        """
        weights = self._weights().to(tiles.device)
        summed = self._overlaid(tiles * weights)
        return summed / self._overlaid(weights.expand(1, self.tiles**2, 1, -1, -1))

    def _weights(self) -> Tensor:
        """How much each patch of a tile counts, [patches, patches]: 1 inside, above 0 everywhere."""
        overlap = self.patches - self.step
        ramp = (torch.arange(self.patches) + 0.5) / max(overlap, 0.5)
        along = torch.minimum(ramp, ramp.flip(0)).clamp_max(1)
        return along[:, None] * along

    def _overlaid(self, tiles: Tensor) -> Tensor:
        """Sum tiles [B, tiles^2, C, patches, patches] where they lie."""
        columns = tiles.flatten(2).transpose(1, 2)
        size, step = (self.grid_side, self.grid_side), (self.step, self.step)
        return functional.fold(columns, size, (self.patches, self.patches), stride=step)
