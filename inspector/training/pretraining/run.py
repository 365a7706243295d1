"""Trains both towers and the prompt weights from nothing, on rendered pairs; resumable at any step."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from inspector.dapo.prompt_weights import CONTEXTS, PromptWeights
from inspector.dapo.similarity import image_logits, type_probabilities
from inspector.dapo.spec import ModelSpec
from inspector.domain.errors import InspectorError
from inspector.domain.weights import WeightsManifest
from inspector.rendering.defects import DEFECT_TYPES
from inspector.rendering.scenes import Pair, Photographs, render_pair
from inspector.training.checkpoint import Position, load_checkpoint, save_checkpoint
from inspector.training.losses import dapo_loss
from inspector.training.options import TrainingStoppedError
from inspector.training.pretraining.batch import Request, StepBatch, painter, step_batch
from inspector.training.pretraining.learner import Learner
from inspector.training.pretraining.losses import (
    caption_loss,
    coarse_types,
    covered,
    pair_loss,
    texture_loss,
)
from inspector.training.pretraining.options import (
    PretrainingEffort,
    PretrainingListener,
    PretrainingOptions,
    PretrainingStep,
)
from inspector.training.pretraining.teacher import TEACHERS, Standardised
from inspector.training.pretraining.validation import Validation
from inspector.training.processes import Processes
from inspector.training.work_folder import WorkFolder
from inspector.vision.opencv import cv2

_MOMENTS_PAIRS = 24  # pictures that the teacher's scale is taken from
_LARGEST_GRADIENT = 1.0


@dataclass(frozen=True, slots=True)
class Material:
    """What a run learns from: photographs (None: rendered surfaces only), the teacher's name, validation pictures."""

    photographs: Photographs | None
    teacher: str
    validation: Validation | None = None


@dataclass(frozen=True, slots=True)
class Pretrained:
    """What comes out: the whole CLIP model and prompt weights tuned beside it, on the CPU."""

    clip: nn.Module
    prompts: PromptWeights
    manifest: WeightsManifest


def pretrain(
    spec: ModelSpec,
    material: Material,
    options: PretrainingOptions,
    steps: int,
    folder: Path,
    listener: PretrainingListener,
    effort: PretrainingEffort,
    processes: Processes,
) -> Pretrained:
    """Make ``steps`` optimiser steps, from the last checkpoint in ``folder``, and return the averaged model.

    Args:
        spec: architecture, device and precision; its weights are drawn anew from ``options.seed``.
        material: pictures and teacher.
        options: what decides the result.
        steps: in all; more than before makes a run longer.
        folder: keeps checkpoint and history.
        listener: hears of steps and validations.
        effort: what the run may use.
        processes: those that share the work.

    Raises:
        BadInputError: the teacher is not installed, or ``folder`` is of another run.
        TrainingStoppedError: ``listener.stop`` said so; a checkpoint is written.
        InspectorError: a loss is not finite; the last checkpoint stays.
        OSError: ``folder`` cannot be written.
    """
    work = WorkFolder(folder, _description(spec, material, options))
    with work.claimed() if processes.writes else nullcontext():
        run = _Run(spec, material, options, steps, work, listener, effort, processes)
        run.to_the_end()
        return run.result()


class _Run:
    def __init__(
        self,
        spec: ModelSpec,
        material: Material,
        options: PretrainingOptions,
        steps: int,
        work: WorkFolder,
        listener: PretrainingListener,
        effort: PretrainingEffort,
        processes: Processes,
    ) -> None:
        self._spec, self._material, self._options, self._steps = spec, material, options, steps
        self._work, self._heard, self._effort, self._processes = work, listener, effort, processes
        self._device = torch.device(spec.device)
        teacher = TEACHERS[material.teacher]()
        if isinstance(teacher, nn.Module):
            teacher.to(self._device)
        self._target = Standardised(teacher, _moments_of(material.photographs, options).to(self._device))
        self._learner = Learner(spec, DEFECT_TYPES, teacher.width, options.seed).to(self._device)
        self._average = deepcopy(self._learner).requires_grad_(False)
        self._all = nn.ModuleDict({"learner": self._learner, "average": self._average})
        pulled, free = self._learner.decayed()
        groups = [{"params": pulled, "weight_decay": options.weight_decay}, {"params": free, "weight_decay": 0.0}]
        self._optimiser = AdamW(groups, lr=options.lr, betas=options.betas, fused=True)
        visual: Any = self._learner.clip.visual
        self._mean = torch.tensor(visual.image_mean, device=self._device).view(1, 3, 1, 1)
        self._std = torch.tensor(visual.image_std, device=self._device).view(1, 3, 1, 1)

    def to_the_end(self) -> None:
        """Make the steps that are left. Raises as ``pretrain``."""
        done = load_checkpoint(self._work.checkpoint, self._all, self._optimiser, self._work.run)
        self._processes.wait()
        if self._processes.writes:
            self._work.rewind_history(done)
        began, resumed_at = time.monotonic(), done
        saved_s = validated_s = began
        with painter(self._material.photographs, self._options.seed, self._effort.render_processes) as paint:
            for request, pairs in paint.pairs(self._requests(done)):
                losses, stop = self._step(request, pairs)
                done += 1
                now = time.monotonic()
                self._tell(done, losses, (done - resumed_at) / (now - began))
                if now - validated_s >= self._effort.validate_every_s or done == self._steps:
                    self._validate(done)
                    validated_s = time.monotonic()
                if stop or done == self._steps or now - saved_s >= self._effort.checkpoint_every_s:
                    self._save(done)
                    saved_s = now
                if stop and done < self._steps:
                    where = f"{done} of {self._steps} steps"
                    raise TrainingStoppedError(
                        "a run to its end", f"a signal to stop at {where}", "repeat the command to go on"
                    )

    def result(self) -> Pretrained:
        """Return the averaged model."""
        average = self._average.cpu()
        manifest = replace(average.manifest, trained=True)
        return Pretrained(average.clip.eval(), average.prompts, manifest)

    def _requests(self, done: int) -> Iterator[Request]:
        size = self._options.pairs_a_step
        for step in range(done, self._steps):
            full = self._options.full_size(step, self._steps)
            side = self._learner.shape.image_size_px if full else self._options.crop_px
            mine = self._processes.share(list(range(step * size, (step + 1) * size)))
            yield Request(step, tuple(mine), side)

    def _step(self, request: Request, pairs: Sequence[Pair]) -> tuple[dict[str, float], bool]:
        """Make one optimiser step over all processes; the weights are untouched if it raises."""
        for group in self._optimiser.param_groups:
            group["lr"] = self._options.rate(request.step, self._steps)
        parameters = list(self._learner.parameters())
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        shape = self._learner.shape
        losses: dict[str, Tensor] = {name: torch.zeros((), device=self._device) for name in _LOSSES}
        if pairs:
            batch = step_batch(pairs, request.step, self._options.seed, shape.grid[0], shape.patch_size_px, CONTEXTS)
            losses = self._losses(batch)
            share = len(pairs) / self._options.pairs_a_step
            torch.autograd.backward(losses["total"] * share)
            losses = {name: loss.detach() * share for name, loss in losses.items()}
        told = torch.stack([*losses.values(), torch.tensor(float(self._heard.stop()), device=self._device)])
        flat = self._processes.sum(torch.cat([*(_gradient(p).flatten() for p in parameters), told]))
        gradients = torch.split(flat[: -len(told)], [p.numel() for p in parameters])
        *means, stops = flat[-len(told) :].tolist()
        if not math.isfinite(sum(means)) or not bool(torch.isfinite(flat).all()):
            raise InspectorError(
                "a finite loss", f"{means[0]:g} at step {request.step + 1}", "lower --lr, and add --restart"
            )
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.view_as(parameter)
        nn.utils.clip_grad_norm_(parameters, _LARGEST_GRADIENT)
        self._optimiser.step()
        self._follow(request.step)
        return dict(zip(losses, means, strict=True)), stops > 0

    def _losses(self, batch: StepBatch) -> dict[str, Tensor]:
        options, learner = self._options, self._learner
        pictures, count = batch.pictures.to(self._device), len(batch.type_mask)
        masks = batch.type_mask.to(self._device)
        types = torch.cat([coarse_types(masks), torch.zeros_like(coarse_types(masks))])
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._spec.precision == "bf16"):
            seen = learner.see((pictures - self._mean) / self._std, batch.corner)
            adapted = [adapter(tap) for adapter, tap in zip(learner.prompts.adapters, seen.taps, strict=True)]
            predicted = [head(tap[:count]) for head, tap in zip(learner.heads, seen.taps, strict=True)]
            sentences = learner.sentences(batch.captions)
            text = learner.words(batch.words, batch.contexts).float()
        taps, image = [tap.float() for tap in seen.taps], seen.image.float()
        rows = text.expand(len(pictures), -1, -1)
        mask = torch.ones(rows.shape[:2], dtype=torch.bool, device=self._device)
        side = pictures.shape[-1] // learner.shape.patch_size_px
        grids = [
            type_probabilities(tap, rows, mask).transpose(1, 2).reshape(len(rows), -1, side, side) for tap in adapted
        ]
        anomalous = types.flatten(1).any(1)
        dapo = dapo_loss(image_logits(image, rows, mask), grids, mask, types, anomalous, torch.ones_like(anomalous))
        share = covered(masks, learner.shape.patch_size_px)
        pair = pair_loss(
            [tap[:count] for tap in taps], [tap[count:] for tap in taps], share, learner.pair_scale, learner.pair_shift
        )
        # The teacher looks at first views alone: on a CPU it costs half of what the student does.
        texture = texture_loss([one.float() for one in predicted], self._target(pictures[:count]))
        captions = caption_loss(image, sentences.float(), learner.clip.logit_scale, batch.captions)
        total = (
            options.defect_weight * dapo.total.mean()
            + options.pair_weight * pair
            + options.texture_weight * texture
            + options.caption_weight * captions
        )
        parts = (total, dapo.classification.mean(), dapo.focal.mean(), dapo.dice.mean(), pair, texture, captions)
        return dict(zip(_LOSSES, parts, strict=True))

    @torch.no_grad()
    def _follow(self, step: int) -> None:
        """Let the average follow; early on it forgets fast, so that it does not drag the first weights along."""
        kept = min(self._options.average_decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self._average.parameters()), list(self._learner.parameters()), 1 - kept)

    def _tell(self, done: int, losses: Mapping[str, float], pace: float) -> None:
        if not self._processes.writes:
            return
        with self._work.history.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": done, **{name: round(value, 6) for name, value in losses.items()}}) + "\n")
        images = 2 * self._options.pairs_a_step * pace
        self._heard.step(PretrainingStep(done, self._steps, losses, images, (self._steps - done) / pace))

    @torch.no_grad()
    def _validate(self, done: int) -> None:
        validation = self._material.validation
        if validation is None or not self._processes.writes:
            return
        model = self._average.eval()
        text = model.words(DEFECT_TYPES, range(CONTEXTS))
        metrics = validation.measure(model.visual, model.prompts, text, DEFECT_TYPES)
        with (self._work.history.parent / "validation.jsonl").open("a", encoding="utf-8") as file:
            seen = 2 * done * self._options.pairs_a_step
            file.write(json.dumps({"step": done, "images": seen, **metrics}) + "\n")
        self._heard.validated(done, metrics)

    def _save(self, done: int) -> None:
        if self._processes.writes:
            save_checkpoint(self._work.checkpoint, self._all, self._optimiser, Position(self._work.run, done))


_LOSSES = ("total", "classification", "focal", "dice", "pair", "texture", "caption")


def _moments_of(photographs: Photographs | None, options: PretrainingOptions) -> Tensor:
    """Return second views of pairs that no step sees, float32 [N, 3, S, S], 0..1."""
    pairs = [render_pair((options.seed, 2, n), options.crop_px, photographs) for n in range(_MOMENTS_PAIRS)]
    pictures = torch.stack([torch.from_numpy(cv2.cvtColor(p.second, cv2.COLOR_BGR2RGB)) for p in pairs])
    return pictures.permute(0, 3, 1, 2).float() / 255


def _gradient(parameter: nn.Parameter) -> Tensor:
    gradient = parameter.grad
    return torch.zeros_like(parameter) if gradient is None else gradient


def _description(spec: ModelSpec, material: Material, options: PretrainingOptions) -> dict[str, object]:
    photographs = () if material.photographs is None else material.photographs.names
    return {
        "model": spec.name,
        "precision": spec.precision,
        "photographs": ", ".join(photographs),
        "teacher": material.teacher,
        **asdict(options),
    }
