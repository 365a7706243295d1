"""Trains both towers and the prompt weights from nothing, on rendered pairs; resumable at any step."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from inspector.dapo.clip import ModelShape, model_shape
from inspector.dapo.prompt_weights import CONTEXTS, PromptWeights
from inspector.dapo.spec import ModelSpec
from inspector.domain.errors import BadInputError
from inspector.domain.weights import WeightsManifest
from inspector.rendering.defects import DEFECT_TYPES
from inspector.rendering.scenes import Pair, Photographs, render_pair
from inspector.training.options import TrainingStoppedError
from inspector.training.pretraining.batch import Request, painter, step_batch
from inspector.training.pretraining.learner import Learner
from inspector.training.pretraining.objective import LOSSES, Objective
from inspector.training.pretraining.options import (
    PretrainingEffort,
    PretrainingListener,
    PretrainingOptions,
    PretrainingStep,
)
from inspector.training.pretraining.state import TrainingState
from inspector.training.pretraining.teacher import STRIDE_PX, TEACHERS, Standardised
from inspector.training.pretraining.validation import Validation
from inspector.training.processes import Processes
from inspector.training.work_folder import WorkFolder
from inspector.vision.opencv import cv2

TUNED_ON = "rendered scenes"
_MOMENTS_PAIRS = 24  # pictures that the teacher's scale is taken from


@dataclass(frozen=True, slots=True)
class Material:
    """What a run learns from: photographs (None: rendered surfaces only), the teacher's name, validation pictures.

    ``held_out``: photographs that no step sees.
    """

    photographs: Photographs | None
    teacher: str
    validation: Validation | None = None
    held_out: Photographs | None = None


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

    Stopped or killed and called again, it ends with the same bits on a CPU. The number of processes decides a little:
    captions compete, and defective patches are weighed, within the pairs of one process.

    Args:
        spec: architecture, device and precision; its weights are what the run begins with, drawn from ``options.seed``
            where it names none.
        material: pictures and teacher.
        options: what decides the result.
        steps: in all; more than before makes a run longer.
        folder: keeps checkpoint, history and validation.
        listener: hears of steps and validations.
        effort: what the run may use.
        processes: those that share the work, each an equal part of the pairs of every step.

    Raises:
        BadInputError: the model does not suit, the teacher is not installed, or ``folder`` is of another run or of one
            that has made more steps.
        TrainingStoppedError: ``listener.stop`` said so; a checkpoint is written.
        InspectorError: a loss is not finite, or a rendering process died; the last checkpoint stays.
        OSError: ``folder`` cannot be written.
    """
    _check_shape(model_shape(spec), spec, options)
    work = WorkFolder(folder, _description(spec, material, options))
    with work.claimed() if processes.writes else nullcontext():
        learning = _learning(spec, material, options)
        run = _Run(material, options, steps, work, listener, effort, processes, *learning)
        run.to_the_end()
        return run.result()


@dataclass(frozen=True, slots=True)
class _Run:
    """One call of ``pretrain``: what it was given, then what it works with."""

    material: Material
    options: PretrainingOptions
    steps: int
    work: WorkFolder
    heard: PretrainingListener
    effort: PretrainingEffort
    processes: Processes
    state: TrainingState[Learner]
    objective: Objective

    def to_the_end(self) -> None:
        """Make the steps that are left. Raises as ``pretrain``."""
        done = self._resumed()
        began, resumed_at = time.monotonic(), done
        saved_s = validated_s = began
        with painter(self.material.photographs, self.options.seed, self.effort.render_processes) as paint:
            for request, pairs in paint.pairs(self._requests(done)):
                losses, stop = self._step(request, pairs)
                done += 1
                now = time.monotonic()
                self._tell(done, losses, (done - resumed_at) / (now - began))
                if now - validated_s >= self.effort.validate_every_s or done == self.steps:
                    self._validate(done)
                    validated_s = time.monotonic()
                if stop or done == self.steps or now - saved_s >= self.effort.checkpoint_every_s:
                    self._save(done)
                    saved_s = now
                if stop and done < self.steps:
                    where = f"{done} of {self.steps} steps"
                    raise TrainingStoppedError(
                        "a run to its end", f"a signal to stop at {where}", "repeat the command to go on"
                    )

    def result(self) -> Pretrained:
        """Return the averaged model."""
        average = self.state.average.cpu()
        manifest = replace(average.manifest, trained=True, tuned_on=(TUNED_ON,))
        return Pretrained(average.clip.eval(), average.prompts, manifest)

    def _resumed(self) -> int:
        """Take up the last checkpoint, forget what was written after it, and return how many steps are done."""
        done = self.state.load(self.work.checkpoint, self.work.run)
        if done > self.steps:
            seen = 2 * self.options.pairs_a_step
            raise BadInputError(
                f"{done * seen} images or more, which the run has seen",
                f"{self.steps * seen}",
                "give that many for the model as it stands, more to go on, or begin anew with --restart",
            )
        self.processes.wait()
        if self.processes.writes:
            self.work.rewind_history(done)
        return done

    def _requests(self, done: int) -> Iterator[Request]:
        size = self.options.pairs_a_step
        for step in range(done, self.steps):
            full = self.options.full_size(step, self.steps)
            side = self.state.learner.shape.image_size_px if full else self.options.crop_px
            mine = self.processes.share(list(range(step * size, (step + 1) * size)))
            yield Request(step, tuple(mine), side)

    def _step(self, request: Request, pairs: Sequence[Pair]) -> tuple[dict[str, float], bool]:
        """Make one optimiser step over all processes; return mean losses, and whether any process was told to stop.

        The weights are untouched if it raises.
        """
        state, shape = self.state, self.state.learner.shape
        device = state.learner.pair_scale.device
        state.learner.hold_visual(self.options.holds_visual(request.step))
        state.forget_gradients()
        losses = {name: torch.zeros((), device=device) for name in LOSSES}
        if pairs:
            grid, patch_px, seen = shape.grid[0], shape.patch_size_px, self._seen_share(request.step)
            batch = step_batch(pairs, request.step, self.options.seed, grid, patch_px, CONTEXTS, seen)
            share = len(pairs) / self.options.pairs_a_step
            made = self.objective(batch)
            torch.autograd.backward(made["total"] * share)
            losses = {name: loss.detach() * share for name, loss in made.items()}
        told = torch.stack([*losses.values(), torch.tensor(float(self.heard.stop()), device=device)])
        rate = self.options.rate(request.step, self.steps)
        *means, stops = state.step(told, self.processes, request.step, rate)
        return dict(zip(losses, means, strict=True)), stops > 0

    def _seen_share(self, step: int) -> float:
        return 1.0 if self.options.full_size(step, self.steps) else self.options.seen_share

    def _tell(self, done: int, losses: Mapping[str, float], steps_per_s: float) -> None:
        if not self.processes.writes:
            return
        with self.work.history.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": done, **{name: round(value, 6) for name, value in losses.items()}}) + "\n")
        images_per_s = 2 * self.options.pairs_a_step * steps_per_s
        self.heard.step(PretrainingStep(done, self.steps, losses, images_per_s, (self.steps - done) / steps_per_s))

    @torch.no_grad()
    def _validate(self, done: int) -> None:
        validation = self.material.validation
        if validation is None or not self.processes.writes:
            return
        model = self.state.average.eval()
        text = model.words(DEFECT_TYPES, range(CONTEXTS))
        metrics = validation.measure(model.visual, model.prompts, text, DEFECT_TYPES)
        with self.work.validation.open("a", encoding="utf-8") as file:
            seen = 2 * done * self.options.pairs_a_step
            file.write(json.dumps({"step": done, "images": seen, **metrics}) + "\n")
        self.heard.validated(done, metrics)

    def _save(self, done: int) -> None:
        if self.processes.writes:
            self.state.save(self.work.checkpoint, self.work.run, done)


def _learning(
    spec: ModelSpec, material: Material, options: PretrainingOptions
) -> tuple[TrainingState[Learner], Objective]:
    """Return a learner at step 0 on its device, and what it is asked."""
    device = torch.device(spec.device)
    teacher = TEACHERS[material.teacher]()
    if isinstance(teacher, nn.Module):
        teacher.to(device)
    bf16 = spec.precision == "bf16"
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):  # as steps will see it
        target = Standardised(teacher, _moments_of(material.photographs, options).to(device))
    seeded = replace(spec, seed=options.seed)
    learner = Learner(seeded, DEFECT_TYPES, teacher.width, options.seed, fresh_text=options.fresh_text).to(device)
    return TrainingState(learner, options.optimisation), Objective(learner, target, options, bf16=bf16)


def _check_shape(shape: ModelShape, spec: ModelSpec, options: PretrainingOptions) -> None:
    """Refuse a model that the teacher's grid or the pictures do not fit."""
    fits = options.crop_px % STRIDE_PX == 0 and options.crop_px <= shape.image_size_px
    if shape.patch_size_px != STRIDE_PX or not fits:
        raise BadInputError(
            f"a model of {STRIDE_PX} px patches that sees pictures of {options.crop_px} px or more, "
            f"a multiple of {STRIDE_PX}",
            f"{shape.patch_size_px} px patches and {shape.image_size_px} px pictures in {spec.name}",
            "choose another model.name or model.image_size_px",
        )


def _moments_of(photographs: Photographs | None, options: PretrainingOptions) -> Tensor:
    """Return second views of pairs that no step sees, float32 [N, 3, S, S], RGB 0..1."""
    pairs = [render_pair((options.seed, 2, n), options.crop_px, photographs) for n in range(_MOMENTS_PAIRS)]
    pictures = torch.stack([torch.from_numpy(cv2.cvtColor(p.second, cv2.COLOR_BGR2RGB)) for p in pairs])
    return pictures.permute(0, 3, 1, 2).float() / 255


def _description(spec: ModelSpec, material: Material, options: PretrainingOptions) -> dict[str, object]:
    photographs = () if material.photographs is None else material.photographs.names
    return {
        "model": spec.name,
        "begins_with": spec.pretrained,
        "precision": spec.precision,
        "photographs": ", ".join(photographs),
        "teacher": material.teacher,
        **asdict(options),
    }
