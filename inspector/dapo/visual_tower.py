"""CLIP's vision transformer with layer tokens and taps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from inspector.dapo.clip import ModelShape, build_clip, model_shape
from inspector.dapo.layer_tokens import run_with_layer_tokens
from inspector.dapo.spec import ModelSpec
from inspector.domain.errors import BadInputError


@dataclass(frozen=True, slots=True)
class VisualFeatures:
    """What the tower makes of a batch: pooled image feature [B, D], patch tokens [B, P, D_v] of each tapped layer."""

    image: Tensor
    taps: tuple[Tensor, ...]


class VisualTower(nn.Module):
    """A frozen open_clip ``VisionTransformer``, run through its own modules with layer tokens after CLS.

    Differentiable in ``layer_tokens``. ``mean`` and ``std`` are the image normalisation the model was trained with.
    """

    def __init__(self, vit: Any, shape: ModelShape) -> None:
        """Take the visual tower of a CLIP model.

        Raises:
            BadInputError: it is a convolutional one.
        """
        super().__init__()
        if shape.convolutional:
            raise BadInputError(
                "a CLIP model with open_clip's own vision transformer",
                "one whose visual tower comes from timm, and which types regions alone",
                "choose a plain CLIP ViT such as inspector-s, ViT-B-16 or ViT-L-14-336-quickgelu",
            )
        self.vit = vit
        self.shape = shape
        self.mean: tuple[float, ...] = tuple(vit.image_mean)
        self.std: tuple[float, ...] = tuple(vit.image_std)

    def forward(self, images: Tensor, layer_tokens: Tensor) -> VisualFeatures:
        """Encode ``images``, float [B, 3, S, S] normalised, with ``layer_tokens``, float [L_v, n, D_v]."""
        return self.forward_embedded(self.embed(images), layer_tokens)

    def forward_embedded(self, embedded: Tensor, layer_tokens: Tensor) -> VisualFeatures:
        """Encode what ``embed`` made of images, float [B, 1 + P, D_v]: training keeps it instead of the images."""
        skip = 1 + layer_tokens.shape[1]
        last, taps = embedded, []
        outputs = run_with_layer_tokens(self.vit.transformer.resblocks, last, layer_tokens)
        for layer, last in enumerate(outputs, start=1):
            if layer in self.shape.taps:
                taps.append(last[:, skip:])
        return VisualFeatures(self.pool(last, skip), tuple(taps))

    def embed(self, images: Tensor, corner: tuple[int, int] = (0, 0), seen: Tensor | None = None) -> Tensor:
        """Return CLS and patches with their positions, float [B, 1 + P, D_v]; layer tokens join after ``ln_pre``.

        Images may be smaller than the model's square: ``corner`` is the row and column of the patch they begin at.
        ``seen``, int64 [B, n], picks n patches of each image; P is then n.
        """
        patches = self.vit.conv1(images)
        places = self._places(corner, (patches.shape[-2], patches.shape[-1]))
        patches = patches.flatten(2).transpose(1, 2)
        cls = self.vit.class_embedding.to(patches.dtype).expand(len(images), 1, -1)
        placed = torch.cat([cls, patches], dim=1) + places
        if seen is not None:
            placed = torch.cat([placed[:, :1], picked(placed[:, 1:], seen)], dim=1)
        embedded: Tensor = self.vit.ln_pre(placed)
        return embedded

    def _places(self, corner: tuple[int, int], size: tuple[int, int]) -> Tensor:
        """Return the positions of CLS and of a window of ``size`` patches, [1 + P, D_v]."""
        places: Tensor = self.vit.positional_embedding
        if size == self.shape.grid:
            return places
        (top, left), (rows, columns) = corner, size
        window = places[1:].view(*self.shape.grid, -1)[top : top + rows, left : left + columns]
        return torch.cat([places[:1], window.flatten(0, 1)])

    def pool(self, tokens: Tensor, skip: int) -> Tensor:
        """Project CLS, or the mean of the patches for models trained with ``pool_type`` "avg", to [B, D]."""
        pooled = tokens[:, 0]
        if self.vit.pool_type == "avg":
            patches = tokens[:, skip:]
            pooled = patches.mean(1) if self.vit.final_ln_after_pool else self.vit.ln_post(patches).mean(1)
        if self.vit.pool_type == "tok" or self.vit.final_ln_after_pool:
            pooled = self.vit.ln_post(pooled)
        projected: Tensor = pooled @ self.vit.proj
        return projected


def picked(patches: Tensor, which: Tensor) -> Tensor:
    """Return of each image's ``patches`` [B, P, D] those that ``which``, int64 [B, n], numbers: [B, n, D]."""
    return patches.gather(1, which[..., None].expand(-1, -1, patches.shape[-1]))


def load_visual_tower(spec: ModelSpec) -> VisualTower:
    """Build the visual tower of ``spec`` on its device, leaving the text tower behind. Raises as ``build_clip``."""
    return VisualTower(build_clip(spec).visual, model_shape(spec)).eval().to(spec.device)
