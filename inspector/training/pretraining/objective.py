"""The loss of one batch: DAPO's own, what a reference bank needs, what keeps texture, and words for whole pictures."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from inspector.dapo.similarity import image_logits, type_logits
from inspector.dapo.visual_tower import picked
from inspector.training.losses import dapo_loss
from inspector.training.pretraining.batch import StepBatch
from inspector.training.pretraining.learner import Learner
from inspector.training.pretraining.losses import (
    caption_loss,
    coarse_types,
    covered,
    pair_loss,
    peak_loss,
    region_type_loss,
    spread_loss,
    texture_loss,
)
from inspector.training.pretraining.options import PretrainingOptions
from inspector.training.pretraining.teacher import Standardised

LOSSES = ("total", "classification", "focal", "dice", "type", "peak", "spread", "pair", "texture", "caption")
"""What ``Objective`` returns, in this order: the weighted sum that is trained on, then its parts, unweighted."""

_CLEAR = 0.03  # share of a patch: a line two pixels wide covers more of each but its ends


@dataclass(frozen=True, slots=True)
class _Truth:
    """What B first views show at each patch looked at, and at the places that DAPO's loss asks.

    ``share`` of the patch that is defective, float32 [B, patches]; ``types`` int64 [B, patches], 255 of unknown type;
    ``places`` the same [B, side, side], of cells of 8 px or of the patches; ``texture`` [B, patches, width].
    """

    share: Tensor
    types: Tensor
    places: Tensor
    texture: Tensor

    @property
    def clear_types(self) -> Tensor:
        """``types`` of the patches that show enough of a defect to ask which it is, 0 elsewhere."""
        return self.types.where(self.share >= _CLEAR, 0)


def attention(device: torch.device) -> AbstractContextManager[None]:
    """Choose torch's plain attention on a CPU: the fused one has a slow backward pass there."""
    kernel: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
    return kernel


class Objective:
    """Losses of a learner on a batch, differentiable in all of its parameters."""

    def __init__(self, learner: Learner, target: Standardised, options: PretrainingOptions, *, bf16: bool) -> None:
        """Remember what to compare with.

        Args:
            learner: on the device where batches will be computed.
            target: what each patch of first views should predict.
            options: weights of the parts.
            bf16: run both towers, adapters, heads and the teacher in bfloat16; the losses themselves are always
                float32.
        """
        self._learner, self._target, self._options, self._bf16 = learner, target, options, bf16
        visual: Any = learner.clip.visual
        self._mean, self._std = (
            torch.tensor(values, device=learner.pair_scale.device).view(1, 3, 1, 1)
            for values in (visual.image_mean, visual.image_std)
        )

    def __call__(self, batch: StepBatch) -> dict[str, Tensor]:
        """Return ``LOSSES`` by name, scalars, each a mean over the batch."""
        learner, count = self._learner, len(batch.type_mask)
        device = self._mean.device
        pictures, masks = batch.pictures.to(device), batch.type_mask.to(device)
        shown = None if batch.seen is None else batch.seen.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self._bf16), attention(device):
            seen = learner.see((pictures - self._mean) / self._std, batch.corner, shown)
            adapted = [adapter(tap) for adapter, tap in zip(learner.prompts.adapters, seen.taps, strict=True)]
            predicted = [head(tap[:count]) for head, tap in zip(learner.heads, seen.taps, strict=True)]
            sentences = learner.sentences(batch.captions)
            text = learner.words(batch.words, batch.contexts, batch.object_word).float()
        truth = self._truth(pictures[:count], masks, None if shown is None else shown[:count])
        # Cast once: gradients of the parts are then added in float32.
        taps, image = [tap.float() for tap in seen.taps], seen.image.float()
        first, second = [tap[:count] for tap in taps], [tap[count:] for tap in taps]
        captions = caption_loss(image, sentences.float(), learner.clip.logit_scale, batch.captions)
        parts = {
            **self._defects(image, adapted, text, truth),
            "spread": spread_loss(text[1:]),
            "pair": pair_loss(first, second, truth.share, learner.pair_scale, learner.pair_shift),
            "texture": texture_loss([one.float() for one in predicted], truth.texture),
            "caption": captions,
        }
        weights = self._options.loss_weights
        total = torch.stack([weights[name] * loss for name, loss in parts.items()]).sum()
        return {"total": total, **parts}

    def _truth(self, pictures: Tensor, masks: Tensor, shown: Tensor | None) -> _Truth:
        """Return what B first views show, ``masks`` int64 [B, S, S], at all patches or at those of ``shown``."""
        patch_px = self._learner.shape.patch_size_px
        share, types = covered(masks, patch_px), coarse_types(masks, patch_px).flatten(1)
        with torch.autocast(pictures.device.type, torch.bfloat16, enabled=self._bf16):
            texture = self._target(pictures)  # first views alone: on a CPU it costs half of what the student does
        if shown is None:
            return _Truth(share, types, coarse_types(masks), texture)
        share, types = share.gather(1, shown), types.gather(1, shown)
        side = math.isqrt(shown.shape[1])
        # Those few patches make a smaller square in any order: focal and dice ask each place for itself.
        return _Truth(share, types, types.view(-1, side, side), picked(texture, shown))

    def _defects(self, image: Tensor, adapted: list[Tensor], text: Tensor, truth: _Truth) -> dict[str, Tensor]:
        """Return DAPO's loss of 2B pictures in its parts, and what it leaves out: types of regions, and peaks of maps.

        Args:
            image: pooled features, float32 [2B, D].
            adapted: patches of each tap, [2B, patches, D].
            text: T, float32 [1+K, D].
            truth: of the first views; nothing is wrong with the second ones.
        """
        rows = text.expand(len(image), -1, -1)
        every = torch.ones(rows.shape[:2], dtype=torch.bool, device=rows.device)
        logits = [type_logits(tap, rows, every) for tap in adapted]
        side = math.isqrt(adapted[0].shape[1])
        grids = [tap.softmax(-1).transpose(1, 2).reshape(len(tap), -1, side, side) for tap in logits]
        places, share = (torch.cat([one, torch.zeros_like(one)]) for one in (truth.places, truth.share))
        anomalous = places.flatten(1).any(1)
        images = image_logits(image, rows, every)
        dapo = dapo_loss(images, grids, every, places, anomalous, torch.ones_like(anomalous))
        mean = torch.stack(logits).mean(0)
        defective = mean[:, :, 1:].logsumexp(2) - mean[:, :, 0]
        return {
            "classification": dapo.classification.mean(),
            "focal": dapo.focal.mean(),
            # Of good pictures dice is least where nothing is ever a defect, and it has no way back from there.
            "dice": (dapo.dice * anomalous).sum() / anomalous.sum().clamp_min(1),
            "type": region_type_loss(mean[: len(truth.types), :, 1:], truth.clear_types),
            "peak": peak_loss(defective, share, self._learner.peak_scale, self._learner.peak_shift),
        }
