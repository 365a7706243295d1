"""What pretraining asks of the model, beside DAPO's own loss."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

CELL_PX = 8
"""Side of the cells that defects are learnt in: masks at full size would cost more than the towers."""

_CLEAR = 0.1  # share of a patch: one that shows less of a defect is asked nothing
_PEAK = 0.05  # share of a picture's patches that are its peak
_NEAR = 0.5  # cosine of two rows of T: what all defects have in common leaves them so near
_MOST = 20.0  # weight of a defective patch beside a normal one


def coarse_types(type_mask: Tensor, cell_px: int = CELL_PX) -> Tensor:
    """Return int64 [B, S / cell, S / cell]: of each cell of ``type_mask`` [B, S, S] the highest type in it.

    So that a line one pixel wide stays whole. A type wins over ``UNKNOWN_TYPE`` (255), and that over normal (0).
    """
    ranked = torch.where(type_mask == 255, 0.5, type_mask.float())
    highest = functional.max_pool2d(ranked[:, None], cell_px)[:, 0]
    return torch.where(highest == 0.5, 255.0, highest).long()


def covered(type_mask: Tensor, patch_px: int) -> Tensor:
    """Return the share of each patch that is defective, float32 [B, patches], of ``type_mask`` [B, S, S]."""
    return functional.avg_pool2d((type_mask != 0).float()[:, None], patch_px).flatten(1)


def pair_loss(
    first: Sequence[Tensor], second: Sequence[Tensor], defective: Tensor, scale: Tensor, shift: Tensor
) -> Tensor:
    """Return how badly the distance to the other view's nearest patch tells defects: what a reference bank does.

    A patch that is defective by less than a tenth is not asked. Where few are defective, each weighs more, up to 20.

    Args:
        first, second: for each tap [B, patches, D_v], of both views.
        defective: the share of each of the first view's patches that is defective, [B, patches].
        scale, shift: [taps], from a cosine distance to a logit.

    Returns:
        Weighted binary cross-entropy over the patches, a mean over taps, scalar.
    """
    truth = (defective >= _CLEAR).float()
    asked = ((defective == 0) | (defective >= _CLEAR)).float()
    balance = ((asked.sum() - truth.sum()) / truth.sum().clamp_min(1)).clamp(1, _MOST)
    weight = asked * (1 + truth * (balance - 1))
    losses = []
    for tap, (one, other) in enumerate(zip(first, second, strict=True)):
        cosine = functional.normalize(one, dim=-1) @ functional.normalize(other, dim=-1).transpose(1, 2)
        logit = scale[tap] * (1 - cosine.amax(-1)) + shift[tap]
        loss = functional.binary_cross_entropy_with_logits(logit, truth, reduction="none")
        losses.append((loss * weight).sum() / weight.sum().clamp_min(1))  # every patch may show a bit of a defect
    return torch.stack(losses).mean()


def region_type_loss(logits: Tensor, types: Tensor) -> Tensor:
    """Return how badly the type of a drawn region is told, each region alike: cross-entropy over the types, scalar.

    DAPO's own focal loss is a mean over all pixels, nearly all of which are normal, and asks small defects for next to
    nothing: a model trained on it alone finds defects without learning which they are. 0 where no region is of a known
    type.

    Args:
        logits: float32 [B, patches, K] of the types, without the normal row.
        types: int64 [B, patches]: 0 normal, k the k-th type, 255 unknown. The patches of one type in a picture are one
            region, whose logits are their mean.
    """
    numbers = torch.arange(1, 1 + logits.shape[2], device=types.device)
    shown = (types[:, :, None] == numbers).float()
    patches = shown.sum(1)
    regions = patches > 0
    of_region = shown.transpose(1, 2) @ logits / patches.clamp_min(1)[:, :, None]
    right = numbers.expand_as(regions)[regions] - 1
    loss = functional.cross_entropy(of_region[regions], right, reduction="sum")
    return loss / max(1, len(right))


def spread_loss(rows: Tensor) -> Tensor:
    """Return how far the rows of different words lie too near each other: a mean over the pairs, scalar, 0 at best.

    The square of what a pair's cosine exceeds 1/2 by. Before types are told apart, equal rows are the best guess, and
    rows that have become equal give the pictures no reason to tell types apart: without this all types came to lie on
    one line.

    Args:
        rows: T without the normal row, float32 [K, D] with rows of length 1, K at least 2.
    """
    others = ~torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    return (rows @ rows.T)[others].sub(_NEAR).clamp_min(0).square().mean()


def peak_loss(logits: Tensor, defective: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Return how badly the highest twentieth of a picture's map tells whether it shows a defect: a mean, scalar.

    Binary cross-entropy over the pictures: highlights and edges of good parts are held down and small defects lifted,
    where losses over all pixels ask little of either. A picture that shows less than a tenth of a patch of a defect
    is not asked.

    Args:
        logits: of being anomalous, float32 [B, patches].
        defective: the share of each patch that is defective, [B, patches].
        scale, shift: scalars, from the mean of the highest logits to one of the picture.
    """
    most = defective.amax(1)
    truth = (most >= _CLEAR).float()
    asked = ((most == 0) | (most >= _CLEAR)).float()
    highest = logits.topk(math.ceil(_PEAK * logits.shape[1]), dim=1).values.mean(1)
    loss = functional.binary_cross_entropy_with_logits(scale * highest + shift, truth, reduction="none")
    return (loss * asked).sum() / asked.sum().clamp_min(1)


def caption_loss(images: Tensor, texts: Tensor, scale: Tensor, captions: Sequence[str]) -> Tensor:
    """Return CLIP's contrastive loss (Radford et al., ICML 2021), scalar.

    Args:
        images, texts: [B, D], of any length. Texts whose captions are equal are right for each other's images.
        scale: logarithm of the factor of the cosines, scalar; the factor is held at 100.
        captions: B sentences.
    """
    logits = scale.exp().clamp(max=100) * functional.normalize(images, dim=-1) @ functional.normalize(texts, dim=-1).T
    same = torch.tensor([[float(a == b) for b in captions] for a in captions], device=logits.device)
    target = same / same.sum(1, keepdim=True)
    return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2


def texture_loss(predicted: Sequence[Tensor], target: Tensor) -> Tensor:
    """Return the mean squared error of each tap's prediction [B, patches, width], a mean over taps, scalar."""
    return torch.stack([functional.mse_loss(one, target) for one in predicted]).mean()
