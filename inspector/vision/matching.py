"""Distance to the nearest reference patch: of any place in the frame, or of about the same place."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

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
        excluded = None if leave_out is None else leave_out[:, None] == self.frames
        parts = []
        for start in range(0, len(features), _FRAMES):
            nearest = self.by_frame(features[start : start + _FRAMES])
            if excluded is not None:
                nearest = nearest.masked_fill(excluded[start : start + _FRAMES, :, None], torch.inf)
            parts.append(nearest.amin(1))
        return torch.cat(parts).reshape(features.shape[:3])

    def by_frame(self, features: Tensor) -> Tensor:
        """Return the distance [B, F, rows x columns] to the nearest patch of each frame: its place or around it."""
        references, lengths = self._bordered
        columns = self.patches.shape[2] + 2
        # Places in a row, each with its border: those around a place then lie at fixed steps from it, and no reference
        # is copied to be met nine times.
        inner = slice(columns + 1, len(references) - columns - 1)
        parts = []
        for start in range(0, len(features), _FRAMES):
            chunk = _with_border(features[start : start + _FRAMES]).flatten(1, 2)[:, inner].transpose(0, 1)
            nearest = torch.full((*chunk.shape[:2], len(self.patches)), torch.inf, device=chunk.device)
            for step in (dy * columns + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)):
                there = slice(inner.start + step, inner.stop + step)
                # |q - r|^2 = |q|^2 + (|r|^2 - 2 q.r), and |q|^2 does not change which r is nearest.
                partial = torch.baddbmm(lengths[there], chunk, references[there], alpha=-2)
                torch.minimum(nearest, partial, out=nearest)
            parts.append((nearest + chunk.square().sum(2)[..., None]).clamp_min(0).sqrt().permute(1, 2, 0))
        rows = self.patches.shape[1]
        flat = torch.cat(parts)
        # The ends of rows are border, but for the last, whose border was left out.
        flat = torch.cat([flat, flat[..., :2]], 2)
        return flat.reshape(*flat.shape[:2], rows, columns)[..., : columns - 2].flatten(2)

    def to(self, device: torch.device) -> Self:
        """Return the same on ``device``."""
        return type(self)(self.patches.to(device), self.frames.to(device))

    @cached_property
    def _bordered(self) -> tuple[Tensor, Tensor]:
        """Patches of each place with borders that repeat, [P', D, F], and their squared lengths [P', 1, F]."""
        around = _with_border(self.patches).flatten(1, 2).permute(1, 2, 0).contiguous()
        return around, around.square().sum(1, keepdim=True)


@dataclass(frozen=True)
class FineInPlace(InPlace):
    """References so fine that one place is mostly noise: distances are smoothed over the places around it."""

    def distance(self, features: Tensor, leave_out: Tensor | None = None) -> Tensor:
        """Return smoothed distances. As ``InPlace``."""
        return smoothed(super().distance(features, leave_out))


def smoothed(distances: Tensor) -> Tensor:
    """Return distances [B, rows, columns], each the mean of 3 x 3 places in binomial weights."""
    weights = torch.tensor([0.25, 0.5, 0.25], device=distances.device)
    around = functional.pad(distances[:, None], (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(around, torch.outer(weights, weights)[None, None])[:, 0]


def _with_border(features: Tensor) -> Tensor:
    """Return features [B, rows + 2, columns + 2, D] of [B, rows, columns, D]: the outermost places repeat."""
    rows, columns = (torch.arange(-1, size + 1).clamp(0, size - 1) for size in features.shape[1:3])
    return features[:, rows][:, :, columns]
