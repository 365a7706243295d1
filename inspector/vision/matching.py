"""Distance to the nearest reference patch: of any place in the frame, or of about the same place."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

# Bounds the distance matrix of one step to 1024 x 1024 floats, 4 MB.
_QUERIES = 1024
_FRAMES = 16


@dataclass(frozen=True, slots=True)
class Anywhere:
    """``patches`` [N, D] float32; ``frames`` [N] int64 says which normal frame each came from."""

    patches: Tensor = field(repr=False)
    frames: Tensor = field(repr=False)

    def distance(self, features: Tensor, leave_out: Tensor | None = None) -> Tensor:
        """Return the Euclidean distance [B, rows, columns] of features [B, rows, columns, D] to the nearest patch.

        ``leave_out`` [B] int64 names for each image the frame whose patches do not count for it (-1: none).
        """
        queries = features.flatten(0, 2)
        lengths = self.patches.square().sum(1)
        excluded = None if leave_out is None else leave_out.repeat_interleave(features[0, ..., 0].numel())
        nearest = []
        for start in range(0, len(queries), _QUERIES):
            chunk = queries[start : start + _QUERIES]
            # |q - r|^2 = |q|^2 + (|r|^2 - 2 q.r), and |q|^2 does not change which r is nearest.
            partial = torch.addmm(lengths, chunk, self.patches.T, alpha=-2)
            if excluded is not None:
                own = excluded[start : start + _QUERIES, None] == self.frames
                partial = partial.masked_fill(own, torch.inf)
            nearest.append((partial.amin(1) + chunk.square().sum(1)).clamp_min(0).sqrt())
        return torch.cat(nearest).reshape(features.shape[:3])

    def to(self, device: torch.device) -> Anywhere:
        """Return the same on ``device``."""
        return Anywhere(self.patches.to(device), self.frames.to(device))


@dataclass(frozen=True)
class InPlace:
    """``patches`` [F, rows, columns, D] float32; ``frames`` [F] int64 numbers the normal frames they are of."""

    patches: Tensor = field(repr=False)
    frames: Tensor = field(repr=False)

    def distance(self, features: Tensor, leave_out: Tensor | None = None) -> Tensor:
        """Return the distance to the nearest patch of the same place or its eight neighbours. As ``Anywhere``."""
        references, lengths = self._neighbours
        parts = []
        for start in range(0, len(features), _FRAMES):
            chunk = features[start : start + _FRAMES].flatten(1, 2)
            partial = torch.baddbmm(lengths, chunk.transpose(0, 1), references, alpha=-2)
            if leave_out is not None:
                own = leave_out[start : start + _FRAMES, None] == self.frames.repeat(9)
                partial = partial.masked_fill(own, torch.inf)
            parts.append((partial.amin(2).T + chunk.square().sum(2)).clamp_min(0).sqrt())
        return torch.cat(parts).reshape(features.shape[:3])

    def by_frame(self, features: Tensor) -> Tensor:
        """Return the distance [B, F, rows x columns] to the nearest patch of each frame: its place or around it."""
        references, lengths = self._neighbours
        parts = []
        for start in range(0, len(features), _FRAMES):
            chunk = features[start : start + _FRAMES].flatten(1, 2)
            partial = torch.baddbmm(lengths, chunk.transpose(0, 1), references, alpha=-2)
            nearest = partial.reshape(*partial.shape[:2], 9, -1).amin(2).permute(1, 2, 0)
            parts.append((nearest + chunk.square().sum(2)[:, None]).clamp_min(0).sqrt())
        return torch.cat(parts)

    def to(self, device: torch.device) -> InPlace:
        """Return the same on ``device``."""
        return InPlace(self.patches.to(device), self.frames.to(device))

    @cached_property
    def _neighbours(self) -> tuple[Tensor, Tensor]:
        """Patches around each of P places, [P, D, 9 F], and their squared lengths [P, 1, 9 F]; borders repeat."""
        rows, columns = (torch.arange(size, device=self.patches.device) for size in self.patches.shape[1:3])
        shifted = [
            self.patches[:, (rows + dy).clamp(0, len(rows) - 1)][:, :, (columns + dx).clamp(0, len(columns) - 1)]
            for dy in (-1, 0, 1)
            for dx in (-1, 0, 1)
        ]
        around = torch.cat(shifted).flatten(1, 2).permute(1, 2, 0).contiguous()
        return around, around.square().sum(1, keepdim=True)
