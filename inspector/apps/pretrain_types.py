"""``inspector pretrain-types``: a model that says of a region which type of defect it shows, by a closer look at it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inspector.apps import console, model_wiring, train_output
from inspector.apps.model_description import counted, open_clip_config, run_card
from inspector.apps.stopping import STOPPED, stop_event
from inspector.apps.train_progress import TrainingProgress
from inspector.dapo.clip import build_clip
from inspector.dapo.spec import LOCAL_FOLDER, RANDOM, REGION_TYPES_MODEL, ModelSpec
from inspector.domain.errors import BadInputError
from inspector.rendering.scenes import Photographs, render_pair
from inspector.settings import Settings
from inspector.training.imagenet import NETWORK, imagenet_weights
from inspector.training.model_folder import write_model_folder
from inspector.training.options import TrainingStoppedError
from inspector.training.plot import draw_loss
from inspector.training.pretraining.options import PretrainingEffort
from inspector.training.processes import Processes, joined
from inspector.training.region_types.learner import Words, read_words
from inspector.training.region_types.looks import Region, normal_regions, regions_of
from inspector.training.region_types.options import TypingListener, TypingOptions, TypingStep
from inspector.training.region_types.run import SCENE_PX, Material, train_typer
from inspector.training.work_folder import begin_anew

_HELD_OUT = 0.1  # of the photographs, which validation scenes are made of
_VALIDATION_SCENES = 300
_VALIDATION_SEED = 9999
_TELL_EVERY = 50  # steps, where no terminal shows a bar


@dataclass(frozen=True, slots=True)
class Request:
    """How many looks to have, from what, and where to put the model.

    The tower begins with ImageNet's weights, or with fresh ones (``begin_fresh``), and words with those of a model in
    ``words_of``, or fresh; or it begins with all of the model that types regions already (``from_pretrained``).
    """

    out: Path
    looks: int
    options: TypingOptions
    effort: PretrainingEffort
    photographs: Path | None = None
    begin_fresh: bool = False
    words_of: Path | None = None
    from_pretrained: bool = False
    restart: bool = False

    @property
    def work(self) -> Path:
        """Folder of the run beside the model."""
        return train_output.work_folder(self.out)

    @property
    def steps(self) -> int:
        """Optimiser steps that have ``looks`` looks."""
        return max(1, self.looks // self.options.looks_a_step)


def run(settings: Settings, request: Request) -> int:
    """Train and write the model's folder; return the exit code, which is 130 after Ctrl-C.

    Started by ``torchrun`` in several processes, all share the work, and the first one writes and prints.

    Raises:
        BadInputError: unusable photographs, model or output (as ``train_output.check_model``).
        InspectorError: a loss that is no number.
        OSError: a file cannot be written.
    """
    with joined(settings.model.device) as processes, ExitStack() as stack:
        if processes.writes and request.restart:
            begin_anew(request.work)
        processes.wait()
        spec = replace(_begun(request, settings), precision=settings.model.training_precision, device=processes.device)
        torch.set_num_threads(settings.model.threads or max(1, torch.get_num_threads() // processes.count))
        material = _material(request, settings, spec, processes)
        stop = stack.enter_context(stop_event())
        progress = stack.enter_context(TrainingProgress(enabled=processes.writes))

        def stepped(step: TypingStep) -> None:
            text = f"loss {step.loss:.3f} {step.looks_per_s:.1f} looks/s"
            progress.count("learning types", text, step.step, step.steps)
            if not progress.terminal and step.step % _TELL_EVERY == 0:
                console.remark(f"step {step.step}/{step.steps} {text}")

        def validated(step: int, metrics: Mapping[str, float]) -> None:
            told = " ".join(f"{name} {value:.3f}" for name, value in metrics.items())
            console.remark(f"validation after step {step}: {told}")

        paint = partial(progress.phase, "painting scenes")
        listener = TypingListener(stepped, validated, paint, stop.is_set)
        try:
            made = train_typer(
                spec, material, request.options, request.steps, request.work, listener, request.effort, processes
            )
        except TrainingStoppedError as error:
            if processes.writes:
                console.remark(f"stopped by {error.got}; repeat the command to go on from there")
            return STOPPED
    if processes.writes:
        card = _card(request, spec, material, processes)
        config = open_clip_config(spec, made.clip)
        write_model_folder(request.out, made.clip, config, (made.prompts, made.manifest), card, name=REGION_TYPES_MODEL)
        draw_loss(request.work / "history.jsonl", request.work / "loss.svg")
        console.lines(
            [
                f"wrote {request.out}",
                f"loss: {request.work / 'loss.svg'}, history and validation beside it",
                f"use it: INSPECTOR_MODEL__REGION_TYPES={LOCAL_FOLDER}{request.out}",
            ]
        )
    return 0


def _begun(request: Request, settings: Settings) -> ModelSpec:
    """Return the model to train, with the weights that it begins with. Raises BadInputError: there are none."""
    if not request.from_pretrained:
        return ModelSpec(REGION_TYPES_MODEL, RANDOM)
    _, scoring = model_wiring.prompt_weights(settings)
    spec = model_wiring.region_types_spec(settings, scoring)
    if spec is None:
        raise BadInputError(
            "a model that types regions, to train on",
            f"model.region_types: {settings.model.region_types}",
            "set it to bundled or to a folder that pretrain-types wrote, or leave out --from-pretrained",
        )
    return spec


def _material(request: Request, settings: Settings, spec: ModelSpec, processes: Processes) -> Material:
    begins_with, trunk, words = _beginning(request, settings, spec)
    photographs = held_out = None
    if request.photographs is not None:
        photographs, held_out = Photographs.load(request.photographs).split(_HELD_OUT)
    validation = _validation(held_out) if processes.writes else ((), ())
    return Material(photographs, begins_with, trunk, words, *validation)


def _beginning(
    request: Request, settings: Settings, spec: ModelSpec
) -> tuple[str, Mapping[str, Tensor] | None, Words | None]:
    """Return what a run begins with beside the weights of ``spec``, and its name. Raises BadInputError: it is not."""
    if request.from_pretrained:
        _, scoring = model_wiring.prompt_weights(settings)
        return f"all of {model_wiring.region_types_id(settings, scoring)}", None, None
    names, trunk, words = ["fresh weights"], None, None
    if not request.begin_fresh:
        fresh: Any = build_clip(spec)
        names, trunk = [NETWORK], imagenet_weights(fresh.visual.trunk.state_dict(), "add --begin-fresh")
    if request.words_of is not None:
        words = read_words(request.words_of)
        names.append(f"the words of {request.words_of.name} {words.version}")
    return " and ".join(names), trunk, words


def _validation(held_out: Photographs | None) -> tuple[tuple[Region, ...], tuple[Region, ...]]:
    """Return regions that show defects, and normal ones, of scenes that no step sees."""
    pairs = [render_pair((_VALIDATION_SEED, 4, n), SCENE_PX, held_out, defective=1) for n in range(_VALIDATION_SCENES)]
    return tuple(regions_of(pairs)), tuple(normal_regions(np.random.default_rng(_VALIDATION_SEED), pairs))


def _card(request: Request, spec: ModelSpec, material: Material, processes: Processes) -> str:
    facts = {
        "began with": material.begins_with,
        "looks": f"{request.options.looks_a_step * request.steps} at rendered defects, in {request.steps} steps",
        "photographs of surfaces": counted(material.photographs),
        "seed": str(request.options.seed),
    }
    return run_card("pretrain-types", facts, spec, processes)
