"""Trains a model that types regions, on closer looks at rendered defects; resumable at any step."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from inspector.dapo.prompt_weights import CONTEXTS, PromptWeights
from inspector.dapo.region_typer import region_features, type_logits_of
from inspector.dapo.spec import ModelSpec
from inspector.domain.errors import BadInputError
from inspector.evaluation.ranking import rank_images
from inspector.rendering.defects import DEFECT_TYPES
from inspector.rendering.scenes import Photographs
from inspector.rendering.words import words_of
from inspector.training.options import TrainingStoppedError
from inspector.training.pretraining.batch import Painter, Request, painter
from inspector.training.pretraining.losses import spread_loss
from inspector.training.pretraining.objective import attention
from inspector.training.pretraining.options import PretrainingEffort
from inspector.training.pretraining.run import TUNED_ON, Pretrained
from inspector.training.pretraining.state import TrainingState
from inspector.training.processes import Processes
from inspector.training.region_types.learner import TypeLearner, Words
from inspector.training.region_types.looks import Looks, Region, drawn, normal_regions, plain, regions_of
from inspector.training.region_types.options import TypingListener, TypingOptions, TypingStep
from inspector.training.work_folder import WorkFolder

SCENE_PX = 512  # of which a look takes 96 px at least: about as many as it has
_CONTEXTS = 2  # of the context variants a step uses
_OWN_NAME_SHARE = 0.5  # how often a type goes by its own name, which is what most vocabularies say
_DEFECTIVE = 1.0  # of the scenes: nothing is to be named on the others
_ARTWORK = 0.35  # likewise: six types of 28 are seen on nothing else
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Material:
    """What a run learns from: photographs (None: rendered surfaces only), and what it begins with beside its model.

    ``begins_with`` names that: ``trunk``, weights of the convolutional network by timm's names, and ``words``.
    """

    photographs: Photographs | None
    begins_with: str
    trunk: Mapping[str, Tensor] | None = None
    words: Words | None = None
    validation: tuple[Region, ...] = ()
    validation_normal: tuple[Region, ...] = ()


def train_typer(
    spec: ModelSpec,
    material: Material,
    options: TypingOptions,
    steps: int,
    folder: Path,
    listener: TypingListener,
    effort: PretrainingEffort,
    processes: Processes,
) -> Pretrained:
    """Make ``steps`` optimiser steps, from the last checkpoint in ``folder``, and return the averaged model.

    Arguments and errors as ``pretrain``; but that other processes than before cannot go on, as each looks at scenes of
    its own.
    """
    work = WorkFolder(folder, {**_description(spec, material, options), "processes": processes.count})
    with work.claimed() if processes.writes else nullcontext():
        learner = TypeLearner(replace(spec, seed=options.seed), DEFECT_TYPES, options.seed)
        if material.trunk is not None:
            learner.take_trunk(material.trunk)
        if material.words is not None:
            learner.take_words(material.words)
        state = TrainingState(learner.to(spec.device), options.optimisation)
        run = _Run(spec, material, options, steps, work, listener, effort, processes, state)
        run.to_the_end()
        return run.result()


def measure(model: TypeLearner, regions: Sequence[Region], normal: Sequence[Region]) -> dict[str, float]:
    """Return how well types, and defects from what is normal, are told apart, 0..1.

    ``type_accuracy`` and ``type_recall`` (mean over the types that occur) of ``regions`` among all types;
    ``defect_auroc`` of those beside ``normal`` ones.
    """
    text = model.words(DEFECT_TYPES, range(CONTEXTS))
    logits = torch.cat([_logits(model, part, text) for part in _in_batches([*regions, *normal])]).cpu()
    kinds = np.array([region.kind for region in regions])
    right = (1 + logits[: len(regions), 1:].argmax(1)).numpy() == kinds
    recalls = [right[kinds == kind].mean() for kind in np.unique(kinds)]
    defective = (logits[:, 1:].logsumexp(1) - logits[:, 0]).numpy()
    ranked = rank_images(defective, np.arange(len(defective)) < len(regions))
    found = {"type_accuracy": float(right.mean()), "type_recall": float(np.mean(recalls))}
    return found if ranked.auroc.value is None else {**found, "defect_auroc": ranked.auroc.value}


def _logits(model: TypeLearner, regions: Sequence[Region], text: Tensor) -> Tensor:
    some = plain(regions, (model.shape.image_size_px, model.shape.patch_size_px))
    return type_logits_of(_features(model, some), text)


def _in_batches(regions: Sequence[Region]) -> Iterator[Sequence[Region]]:
    for start in range(0, len(regions), _BATCH):
        yield regions[start : start + _BATCH]


def _features(model: TypeLearner, looks: Looks) -> Tensor:
    device, visual = model.device, model.visual
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (visual.mean, visual.std))
    seen = visual((looks.pictures.to(device) - mean) / std)
    return region_features(seen, looks.share.to(device).flatten(1), model.prompts)


@dataclass(frozen=True, slots=True)
class _Block:
    """Regions of a block of scenes: those that show a defect, and those where nothing is wrong."""

    defective: list[Region]
    normal: list[Region]


@dataclass(frozen=True, slots=True)
class _Run:
    """One call of ``train_typer``: what it was given, then what it works with."""

    spec: ModelSpec
    material: Material
    options: TypingOptions
    steps: int
    work: WorkFolder
    heard: TypingListener
    effort: PretrainingEffort
    processes: Processes
    state: TrainingState[TypeLearner]

    def to_the_end(self) -> None:
        """Make the steps that are left. Raises as ``pretrain``."""
        done = self._resumed()
        began, resumed_at = time.monotonic(), done
        saved_s = validated_s = began
        with painter(self.material.photographs, self.options.seed, self.effort.render_processes) as paint:
            while done < self.steps:
                block = done // self.options.block_steps
                regions = self._painted(paint, block, done)
                end = min(self.steps, (block + 1) * self.options.block_steps)
                while done < end:
                    loss, stop = self._step(done, regions)
                    done += 1
                    now = time.monotonic()
                    self._tell(done, loss, (done - resumed_at) / (now - began))
                    if now - validated_s >= self.effort.validate_every_s or done == self.steps:
                        self._validate(done)
                        validated_s = time.monotonic()
                    if stop or done == end or now - saved_s >= self.effort.checkpoint_every_s:
                        self._save(done)
                        saved_s = now
                    if stop and done < self.steps:
                        raise self._stopped(done)
                del regions  # before the next ones come: they are what takes the memory

    def _stopped(self, done: int) -> TrainingStoppedError:
        where = f"{done} of {self.steps} steps"
        return TrainingStoppedError("a run to its end", f"a signal to stop at {where}", "repeat the command to go on")

    def result(self) -> Pretrained:
        """Return the averaged model."""
        average = self.state.average.cpu()
        manifest = replace(average.manifest, trained=True, tuned_on=(TUNED_ON,))
        weights: PromptWeights = average.prompts
        return Pretrained(average.clip.eval(), weights, manifest)

    def _resumed(self) -> int:
        done = self.state.load(self.work.checkpoint, self.work.run)
        if done > self.steps:
            seen = self.options.looks_a_step
            raise BadInputError(
                f"{done * seen} looks or more, which the run has had",
                f"{self.steps * seen}",
                "give that many for the model as it stands, more to go on, or begin anew with --restart",
            )
        self.processes.wait()
        if self.processes.writes:
            self.work.rewind_history(done)
        return done

    def _painted(self, paint: Painter, block: int, done: int) -> _Block:
        """Return the regions of this process's part of a block's scenes. Raises as ``_stopped``."""
        size = self.options.block_scenes
        mine = self.processes.share(list(range(block * size, (block + 1) * size)))
        # In small requests: rendering processes paint ahead only so many of them.
        chunks = [tuple(mine[start : start + _BATCH]) for start in range(0, len(mine), _BATCH)]
        requests = (Request(block, chunk, SCENE_PX, _DEFECTIVE, _ARTWORK) for chunk in chunks)
        rng = np.random.default_rng([self.options.seed, 2, block, self.processes.rank])
        found = _Block([], [])
        scenes = 0
        for _, pairs in paint.pairs(requests):
            found.defective.extend(regions_of(pairs))
            found.normal.extend(normal_regions(rng, pairs))
            scenes += len(pairs)
            self.heard.painted(scenes, len(mine))
            if self.heard.stop():  # whoever stops one process of several stops them all
                raise self._stopped(done)
        return found

    def _step(self, step: int, regions: _Block) -> tuple[float, bool]:
        """Make one optimiser step over all processes; return the mean loss, and whether any was told to stop."""
        state, options = self.state, self.options
        device = state.learner.device
        count = len(self.processes.share(list(range(options.looks_a_step))))
        state.forget_gradients()
        loss = torch.zeros((), device=device)
        if count and regions.defective:
            rng = np.random.default_rng([options.seed, 1, step, self.processes.rank])
            shape = state.learner.shape
            normal = round(count * options.normal_share)
            sides = (shape.image_size_px, shape.patch_size_px)
            looks = drawn(rng, regions.defective, regions.normal, (count - normal, normal), sides)
            made = self._loss(rng, looks) * (count / options.looks_a_step)
            torch.autograd.backward(made)
            loss = made.detach()
        told = torch.stack([loss, torch.tensor(float(self.heard.stop()), device=device)])
        mean, stops = state.step(told, self.processes, step, options.rate(step, self.steps))
        return mean, stops > 0

    def _loss(self, rng: np.random.Generator, looks: Looks) -> Tensor:
        device, learner = self.state.learner.device, self.state.learner
        contexts = [int(k) for k in rng.permutation(CONTEXTS)[:_CONTEXTS]]
        bf16 = self.spec.precision == "bf16"
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16), attention(device):
            features = _features(learner, looks)
            text = learner.words([_word(rng, kind) for kind in DEFECT_TYPES], contexts).float()
        logits, kinds = type_logits_of(features, text), looks.kinds.to(device)
        right = functional.cross_entropy(logits, kinds, label_smoothing=self.options.smoothing)
        # Fresh rows are alike, and as long as they are, pictures have no reason to tell types apart (decision 26).
        return right + self.options.spread_weight * spread_loss(text[1:])

    def _tell(self, done: int, loss: float, steps_per_s: float) -> None:
        if not self.processes.writes:
            return
        with self.work.history.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": done, "total": round(loss, 6)}) + "\n")
        self.heard.step(TypingStep(done, self.steps, loss, self.options.looks_a_step * steps_per_s))

    @torch.no_grad()
    def _validate(self, done: int) -> None:
        if not self.material.validation or not self.processes.writes:
            return
        material = self.material
        metrics = measure(self.state.average.eval(), material.validation, material.validation_normal)
        seen = done * self.options.looks_a_step
        with self.work.validation.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": done, "looks": seen, **metrics}) + "\n")
        self.heard.validated(done, metrics)

    def _save(self, done: int) -> None:
        if self.processes.writes:
            self.state.save(self.work.checkpoint, self.work.run, done)


def _word(rng: np.random.Generator, kind: str) -> str:
    words = words_of(kind)
    return words[0] if rng.random() < _OWN_NAME_SHARE else words[int(rng.integers(len(words)))]


def _description(spec: ModelSpec, material: Material, options: TypingOptions) -> Mapping[str, object]:
    photographs = () if material.photographs is None else material.photographs.names
    return {
        "model": spec.name,
        "begins_with": material.begins_with,
        "precision": spec.precision,
        "photographs": ", ".join(photographs),
        **asdict(options),
    }
