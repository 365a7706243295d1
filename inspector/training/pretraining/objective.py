"""The loss of one batch: DAPO's own, what a reference bank needs, what keeps texture, and words for whole pictures."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from inspector.dapo.similarity import image_logits, type_probabilities
from inspector.dapo.visual_tower import picked
from inspector.training.losses import LossParts, dapo_loss
from inspector.training.pretraining.batch import StepBatch
from inspector.training.pretraining.learner import Learner
from inspector.training.pretraining.losses import caption_loss, coarse_types, covered, pair_loss, texture_loss
from inspector.training.pretraining.options import PretrainingOptions
from inspector.training.pretraining.teacher import Standardised

LOSSES = ("total", "classification", "focal", "dice", "pair", "texture", "caption")
"""What ``Objective`` returns, in this order: the weighted sum that is trained on, then its parts, unweighted."""


class Objective:
    """Losses of a learner on a batch, differentiable in all of its parameters."""

    def __init__(self, learner: Learner, target: Standardised, options: PretrainingOptions, *, bf16: bool) -> None:
        """Remember what to compare with.

        Args:
            learner: on the device where batches will be computed.
            target: what each patch of first views should predict.
            options: weights of the parts.
            bf16: run both towers, adapters and heads in bfloat16; the losses themselves are always float32.
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
        with torch.autocast(device.type, torch.bfloat16, enabled=self._bf16):
            seen = learner.see((pictures - self._mean) / self._std, batch.corner, shown)
            adapted = [adapter(tap) for adapter, tap in zip(learner.prompts.adapters, seen.taps, strict=True)]
            predicted = [head(tap[:count]) for head, tap in zip(learner.heads, seen.taps, strict=True)]
            sentences = learner.sentences(batch.captions)
            text = learner.words(batch.words, batch.contexts).float()
        # Cast once: gradients of the parts are then added in float32.
        taps, image = [tap.float() for tap in seen.taps], seen.image.float()
        dapo = self._dapo(image, adapted, text, self._types(masks, shown))
        first, second = [tap[:count] for tap in taps], [tap[count:] for tap in taps]
        share = covered(masks, learner.shape.patch_size_px)
        target = self._target(pictures[:count])  # first views alone: on a CPU it costs half of what the student does
        if shown is not None:
            share, target = share.gather(1, shown[:count]), picked(target, shown[:count])
        pair = pair_loss(first, second, share, learner.pair_scale, learner.pair_shift)
        texture = texture_loss([one.float() for one in predicted], target)
        captions = caption_loss(image, sentences.float(), learner.clip.logit_scale, batch.captions)
        options = self._options
        total = (
            options.defect_weight * dapo.total.mean()
            + options.pair_weight * pair
            + options.texture_weight * texture
            + options.caption_weight * captions
        )
        parts = (total, dapo.classification.mean(), dapo.focal.mean(), dapo.dice.mean(), pair, texture, captions)
        return dict(zip(LOSSES, parts, strict=True))

    def _types(self, masks: Tensor, shown: Tensor | None) -> Tensor:
        """Return int64 [2B, side, side], what cells of 8 px of all views show, or each of the patches looked at.

        Those few patches make a smaller square in any order: focal and dice ask each place for itself.
        """
        if shown is None:
            cells = coarse_types(masks)
            return torch.cat([cells, torch.zeros_like(cells)])
        by_patch = coarse_types(masks, self._learner.shape.patch_size_px).flatten(1).gather(1, shown[: len(masks)])
        side = math.isqrt(shown.shape[1])
        return torch.cat([by_patch, torch.zeros_like(by_patch)]).view(-1, side, side)

    def _dapo(self, image: Tensor, adapted: list[Tensor], text: Tensor, types: Tensor) -> LossParts:
        """Return DAPO's loss of each of the 2B pictures.

        Args:
            image: pooled features, float32 [2B, D].
            adapted: patches of each tap, [2B, patches, D].
            text: T, float32 [1+K, D].
            types: what each place shows, int64 [2B, side, side]: as many places as patches, or more.
        """
        rows = text.expand(len(types), -1, -1)
        mask = torch.ones(rows.shape[:2], dtype=torch.bool, device=rows.device)
        side = math.isqrt(adapted[0].shape[1])
        grids = [
            type_probabilities(tap, rows, mask).transpose(1, 2).reshape(len(rows), -1, side, side) for tap in adapted
        ]
        anomalous = types.flatten(1).any(1)
        return dapo_loss(image_logits(image, rows, mask), grids, mask, types, anomalous, torch.ones_like(anomalous))
