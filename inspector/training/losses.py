"""DAPO's loss: cross-entropy of the image score, focal and dice of each tapped layer's maps (arXiv 2512.09446)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from inspector.dapo.scorer import upsample
from inspector.training.examples import NORMAL, UNKNOWN_TYPE

SEGMENTATION_WEIGHT = 4.0
FOCAL_GAMMA = 2.0
FOCAL_SMOOTHING = 1e-5
DICE_SMOOTHING = 1.0  # of numerator and denominator, so that two empty maps agree (V-Net's dice, Laplace smoothing)


@dataclass(frozen=True, slots=True)
class LossParts:
    """Loss of each image, float32 [B] each: ``focal`` and ``dice`` are summed over the taps, not yet weighted."""

    classification: Tensor
    focal: Tensor
    dice: Tensor

    @property
    def total(self) -> Tensor:
        """Cross-entropy + 4 * (focal + dice), [B]; its mean is what is minimised."""
        return self.classification + SEGMENTATION_WEIGHT * (self.focal + self.dice)


def dapo_loss(
    image_logits: Tensor,
    type_grids: Sequence[Tensor],
    text_mask: Tensor,
    type_mask: Tensor,
    anomalous: Tensor,
    segmented: Tensor,
) -> LossParts:
    """Return the loss parts of B images.

    Args:
        image_logits: float32 [B, 2], normal and anomalous.
        type_grids: for each tap float32 [B, 1+K, gh, gw], probabilities at patch resolution, padding rows 0. They are
            upsampled to the mask's size as for serving.
        text_mask: bool [B, 1+K], True for real rows.
        type_mask: int64 [B, S, S]: 0 normal, k the k-th defect type, 255 a defect of unknown type.
        anomalous: bool [B].
        segmented: bool [B]; where False, focal and dice are 0, for nobody drew the defects.
    """
    classification = functional.cross_entropy(image_logits, anomalous.long(), reduction="none")
    defective = (type_mask != NORMAL).float()
    focal, dice = torch.zeros_like(classification), torch.zeros_like(classification)
    for grid in type_grids:
        probabilities = upsample(grid, type_mask.shape[-1])
        normal, defect = probabilities[:, NORMAL], probabilities[:, NORMAL + 1 :].sum(1)
        focal = focal + focal_loss(probabilities, type_mask, text_mask.sum(1))
        dice = dice + dice_loss(normal, 1 - defective) + dice_loss(defect, defective)
    return LossParts(classification, focal * segmented, dice * segmented)


def focal_loss(probabilities: Tensor, type_mask: Tensor, classes: Tensor) -> Tensor:
    """Return the mean over the pixels of -(1 - q)^gamma log q, float32 [B] (Lin et al. 2017).

    q is the probability of the right row under a target smoothed by s: (1 - s) p + s / (n - 1) (1 - p), n = ``classes``
    rows of the image ([B]), which also keeps it from 0. At a pixel of unknown type p is the sum over all defect rows:
    the pixel asks for a defect and is indifferent to which.
    """
    unknown = type_mask == UNKNOWN_TYPE
    row = type_mask.masked_fill(unknown, NORMAL)[:, None]
    right = probabilities.gather(1, row)[:, 0]
    right = torch.where(unknown, probabilities[:, NORMAL + 1 :].sum(1), right)
    wrong = FOCAL_SMOOTHING / (classes - 1).float()[:, None, None]
    q = (1 - FOCAL_SMOOTHING) * right + wrong * (1 - right)
    return (-((1 - q) ** FOCAL_GAMMA) * q.log()).mean(dim=(1, 2))


def dice_loss(probability: Tensor, truth: Tensor) -> Tensor:
    """Return 1 - (2 sum(p t) + 1) / (sum p + sum t + 1) of each image, float32 [B]; both [B, S, S] in 0..1."""
    shared = 2 * (probability * truth).sum(dim=(1, 2)) + DICE_SMOOTHING
    return 1 - shared / (probability.sum(dim=(1, 2)) + truth.sum(dim=(1, 2)) + DICE_SMOOTHING)
