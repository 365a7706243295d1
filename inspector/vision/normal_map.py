"""The zero-shot map beside what a camera usually shows: what the text takes for a defect on every part is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from inspector.dapo.similarity import type_probabilities

# Keeps logarithms finite. Far below what looks like certainty: a model that takes defects for rare puts a whole map
# below a millionth, and what exceeds the usual there still finds them.
_FLOOR = 1e-8


@dataclass(frozen=True, slots=True)
class NormalMap:
    """Zero-shot maps of a camera's frames, as ``zero_shot_level`` gives them.

    ``patches`` [F, rows, columns, 1]; ``frames`` [F] int64 says which frame each is of.
    """

    patches: Tensor = field(repr=False)
    frames: Tensor = field(repr=False)

    def distance(self, features: Tensor, leave_out: Tensor | None = None) -> Tensor:
        """Return how far maps [B, rows, columns, 1] lie above what is usual at each place, [B, rows, columns].

        In logits; below 0 where a place looks less defective than usual. ``leave_out`` [B] int64 names for each the
        frame that does not count for it (-1: none); at least one must be left.
        """
        excluded = torch.full((len(features),), -1, device=features.device) if leave_out is None else leave_out
        found = torch.empty_like(features[..., 0])
        for number in set(excluded.tolist()):
            those = excluded == number
            found[those] = features[those][..., 0] - _usual(self.patches[self.frames != number][..., 0])
        return found

    def to(self, device: torch.device) -> NormalMap:
        """Return the same on ``device``."""
        return NormalMap(self.patches.to(device), self.frames.to(device))


def zero_shot_level(adapted: Sequence[Tensor], text: Tensor, text_mask: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the logit of the zero-shot anomaly map, float32 [B, rows, columns, 1], of a batch.

    Args:
        adapted: patch features [B, P, D] of each tapped layer, after the adapters.
        text, text_mask: T of each image, as for ``dapo.scorer.VisualScorer.score``.
        grid: rows and columns of the P patches.
    """
    # The defects' sum: one minus the rest has no digits left where that is nearly one.
    anomalous = torch.stack([type_probabilities(tap, text, text_mask)[..., 1:].sum(-1) for tap in adapted]).mean(0)
    return logit_of(anomalous).reshape(len(anomalous), *grid, 1)


def logit_of(probabilities: Tensor) -> Tensor:
    """Return the logits of probabilities, held off 0 and 1."""
    held = probabilities.float().clamp(_FLOOR, 1 - 1e-6)  # float32 has nothing between 1 - 1e-8 and 1
    return torch.logit(held)


def _usual(maps: Tensor) -> Tensor:
    """Return what is usual at each place, [rows, columns], of maps [F, rows, columns].

    The median over the frames, drawn towards that of all places as far as places differ no more than frames do at one
    place (empirical Bayes, James & Stein 1961): where parts lie anywhere, a place has no look of its own.
    """
    places = maps.median(0).values
    everywhere = places.median()
    if len(maps) < 2:
        return everywhere.expand(places.shape)
    # A median of F has about 1.57 / F of the variance of one (Laplace).
    noise = 1.57 / len(maps) * (maps - places).square().mean()
    between = (places - everywhere).square().mean()
    own = ((between - noise) / between.clamp_min(1e-12)).clamp(0, 1)
    return everywhere + own * (places - everywhere)
