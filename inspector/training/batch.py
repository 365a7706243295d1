"""One batch, over one or several processes: the sum of its gradients and its mean losses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from inspector.dapo.prompt_weights import PromptWeights
from inspector.training.losses import SEGMENTATION_WEIGHT, LossParts, dapo_loss
from inspector.training.options import TrainingOptions
from inspector.training.prepared import PreparedExamples
from inspector.training.processes import Processes
from inspector.training.prompt_model import FrozenTowers


@dataclass(frozen=True, slots=True)
class Batch:
    """Positions of the images of one optimiser step, over all processes."""

    positions: list[int]
    examples: PreparedExamples


@dataclass(frozen=True, slots=True)
class GradientSum:
    """What a step knows once all processes are summed: mean losses, whether all is finite, whether one should stop."""

    classification: float
    focal: float
    dice: float
    finite: bool
    stop: bool

    @property
    def total(self) -> float:
        """Cross-entropy + 4 * (focal + dice)."""
        return self.classification + SEGMENTATION_WEIGHT * (self.focal + self.dice)


def gradients(
    weights: PromptWeights,
    batch: Batch,
    towers: FrozenTowers,
    options: TrainingOptions,
    images_at_once: int | None,
    processes: Processes,
    *,
    stop: bool,
) -> GradientSum:
    """Put the gradient of the batch's mean loss into ``weights``, the same in every process.

    Each process adds the losses of its own images divided by the images of the whole batch, so that the sum is what
    one process would have, to rounding, however unevenly the images are shared; and so are the groups that are in
    memory at once.
    """
    parameters = list(weights.parameters())
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)  # not None: every process sums every tensor
    losses = torch.zeros(3, device=towers.device)
    mine = processes.share(batch.positions)
    for group in _groups(mine, images_at_once or max(1, len(mine))):
        parts = _loss(weights, group, batch.examples, towers, options)
        torch.autograd.backward(parts.total.sum() / len(batch.positions))
        sums = torch.stack([parts.classification.sum(), parts.focal.sum(), parts.dice.sum()])
        losses += sums.detach() / len(batch.positions)
    flags = torch.tensor([float(stop)], device=towers.device)
    flat = processes.sum(torch.cat([*(_gradient(p).flatten() for p in parameters), losses, flags]))
    for parameter, gradient in zip(parameters, torch.split(flat[:-4], [p.numel() for p in parameters]), strict=True):
        parameter.grad = gradient.view_as(parameter)
    classification, focal, dice, stops = flat[-4:].tolist()
    finite = bool(torch.isfinite(flat).all()) and math.isfinite(classification + focal + dice)
    return GradientSum(classification, focal, dice, finite, stops > 0)


def _loss(
    weights: PromptWeights,
    positions: list[int],
    examples: PreparedExamples,
    towers: FrozenTowers,
    options: TrainingOptions,
) -> LossParts:
    labels = [examples.labels[position] for position in positions]
    embedded, masks = zip(*(examples.get(position) for position in positions), strict=True)
    device = towers.device
    vocabularies = [label.vocabulary for label in labels]
    scores = towers.scores(
        weights, torch.stack(embedded).to(device), vocabularies, options.text_mode, options.precision
    )
    return dapo_loss(
        scores.image_logits,
        scores.type_grids,
        scores.text_mask,
        torch.from_numpy(np.stack(masks)).to(device).long(),
        torch.tensor([label.anomalous for label in labels], device=device),
        torch.tensor([label.segmented for label in labels], device=device),
    )


def _groups(positions: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(positions), size):
        yield positions[start : start + size]


def _gradient(parameter: Tensor) -> Tensor:
    gradient = parameter.grad
    return torch.zeros_like(parameter) if gradient is None else gradient
