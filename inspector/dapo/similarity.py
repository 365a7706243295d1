"""From features to probabilities: cosines with T over a temperature. Pure functions, shared with training."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE = 0.07


def type_probabilities(patches: Tensor, text: Tensor, text_mask: Tensor) -> Tensor:
    """Return the softmax over T's rows of each patch's cosines, float32 [B, P, 1+K].

    Args:
        patches: adapted patch features [B, P, D], of any length.
        text: T, float32 [B, 1+K, D] with rows of length 1.
        text_mask: bool [B, 1+K], False where a row is padding; its probability is 0.
    """
    return torch.softmax(type_logits(patches, text, text_mask), dim=-1)


def type_logits(patches: Tensor, text: Tensor, text_mask: Tensor) -> Tensor:
    """Return what ``type_probabilities`` is the softmax of, float32 [B, P, 1+K]; -inf at padding rows."""
    patches = patches.float()
    # Dividing the few cosines costs less than normalising the features.
    lengths = patches.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    logits: Tensor = patches @ text.transpose(1, 2) / (lengths * TEMPERATURE)
    return logits.masked_fill(~text_mask[:, None, :], -torch.inf)


def image_probability(images: Tensor, text: Tensor, text_mask: Tensor) -> Tensor:
    """Return softmax(CLS . [T_0, normalise(mean of T_1..T_K)] / temperature)[1], float32 [B].

    Args:
        images: image features [B, D], of any length.
        text, text_mask: as for ``type_probabilities``; padding rows do not enter the mean.
    """
    return image_logits(images, text, text_mask).softmax(dim=-1)[:, 1]


def image_logits(images: Tensor, text: Tensor, text_mask: Tensor) -> Tensor:
    """Return what ``image_probability`` is the softmax of, float32 [B, 2]: normal, anomalous."""
    abnormal = (text[:, 1:] * text_mask[:, 1:, None]).sum(1)  # points where the mean does, which is all that counts
    anchors = torch.stack([text[:, 0], functional.normalize(abnormal, dim=-1)], dim=1)
    cosines = (anchors @ functional.normalize(images.float(), dim=-1)[:, :, None])[:, :, 0]
    return cosines / TEMPERATURE
