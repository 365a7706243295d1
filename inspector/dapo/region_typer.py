"""Which type of defect a region shows: a closer look at it against the words, by a model of its own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from inspector.dapo.conv_tower import ConvTower, load_conv_tower
from inspector.dapo.prompt_weights import PromptWeights
from inspector.dapo.similarity import TEMPERATURE
from inspector.dapo.spec import ModelSpec
from inspector.dapo.visual_tower import VisualFeatures


def region_features(features: VisualFeatures, share: Tensor, weights: PromptWeights) -> Tensor:
    """Return what words are compared with, float32 [N, D] of length 1.

    The sum of the region's own patches in the last layer, through its adapter, and of the picture as a whole:
    what it is, and what it lies in.

    Args:
        features: of N closer looks.
        share: float32 [N, P], how much of each patch is of the region; where all are 0, all patches count alike.
        weights: whose last adapter is used.
    """
    weight = share / share.sum(1, keepdim=True).clamp_min(1e-6)
    weight = torch.where(share.any(1, keepdim=True), weight, 1 / share.shape[1])
    inside = (features.taps[-1] * weight[..., None]).sum(1)
    return functional.normalize((weights.adapters[-1](inside) + features.image).float(), dim=-1)


def type_logits_of(features: Tensor, text: Tensor) -> Tensor:
    """Return cosines over DAPO's temperature, float32 [N, K], of features [N, D] and T's rows of the types [K, D]."""
    return features @ text.T / TEMPERATURE


class RegionTyper:
    """Tells types of regions apart; holds no text tower."""

    def __init__(self, tower: ConvTower, weights: PromptWeights) -> None:
        """Take a tower and the prompt weights made beside it; both are used on the tower's device."""
        self._tower = tower
        self._weights = weights

    @classmethod
    def load(cls, spec: ModelSpec, weights: PromptWeights) -> RegionTyper:
        """Build the visual tower of ``spec`` for ``weights``. Raises as ``load_conv_tower``."""
        return cls(load_conv_tower(spec), weights.requires_grad_(False).to(spec.device))

    @property
    def side_px(self) -> int:
        """Side of a closer look."""
        return self._tower.shape.image_size_px

    @property
    def patch_px(self) -> int:
        """Side of a patch."""
        return self._tower.shape.patch_size_px

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of the model's image normalisation, RGB in 0..1."""
        return self._tower.mean

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of the model's image normalisation, RGB in 0..1."""
        return self._tower.std

    @property
    def device(self) -> torch.device:
        """Where looks are compared."""
        return self._weights.normal_context.device

    @torch.inference_mode()
    def probabilities(self, looks: Tensor, share: Tensor, text: Tensor) -> Tensor:
        """Return how likely each type is, float32 [N, K]; rows sum to 1.

        Args:
            looks: float32 [N, 3, S, S], normalised with ``mean`` and ``std``.
            share: float32 [N, gh, gw], how much of each patch is of the region.
            text: T of this model, float32 [1+K, D]; its first row, normal, is not asked.
        """
        device = self.device
        seen = self._tower(looks.to(device))
        features = region_features(seen, share.to(device).flatten(1), self._weights)
        return type_logits_of(features, text[1:].to(device)).softmax(-1)
