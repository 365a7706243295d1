"""``inspector pretrain``: a whole small CLIP model from rendered defects and photographs of surfaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from inspector.apps import console, model_wiring, train_output
from inspector.apps.model_description import counted, open_clip_config, run_card
from inspector.apps.stopping import STOPPED, stop_event
from inspector.apps.train_progress import TrainingProgress
from inspector.dapo.clip import model_shape
from inspector.dapo.spec import LOCAL_FOLDER, RANDOM, ModelSpec
from inspector.datasets.opening import open_dataset
from inspector.domain.errors import BadInputError
from inspector.domain.scoring import ImageScore
from inspector.rendering.defects import DEFECT_TYPES
from inspector.rendering.scenes import Photographs, render_pair
from inspector.settings import Settings
from inspector.training.dataset_examples import normal_images
from inspector.training.model_folder import write_model_folder
from inspector.training.options import TrainingStoppedError
from inspector.training.plot import draw_loss
from inspector.training.pretraining.options import (
    PretrainingEffort,
    PretrainingListener,
    PretrainingOptions,
    PretrainingStep,
)
from inspector.training.pretraining.run import Material, Pretrained, pretrain
from inspector.training.pretraining.scene_thresholds import with_scene_thresholds
from inspector.training.pretraining.teacher import TEACHERS
from inspector.training.pretraining.validation import MEAN, SCENES, Validation
from inspector.training.processes import Processes, joined
from inspector.training.work_folder import begin_anew
from inspector.vision.decode import DecodeLimits, decode
from inspector.vision.image_file import load_image
from inspector.vision.opencv import cv2

Phase = Callable[[str, int, int], None]
_HELD_OUT = 0.1  # of the photographs, which validation scenes are made of
_VALIDATION_FRAMES = 24  # of each data set's good training images
_VALIDATION_SCENES = 40
_VALIDATION_SEED = 9999
_THRESHOLD_SEED = 8888
_THRESHOLD_SCENES = 400
_FALSE_ALARM_RATE = 0.01  # as by ``train``
_TELL_EVERY = 50  # steps, where no terminal shows a bar


@dataclass(frozen=True, slots=True)
class Request:
    """What to learn from, how long, and where to put it; of ``validate_on`` only train/good is used."""

    out: Path
    images: int
    options: PretrainingOptions
    effort: PretrainingEffort
    teacher: str
    photographs: Path | None = None
    validate_on: tuple[Path, ...] = ()
    restart: bool = False
    from_pretrained: bool = False
    image_score: ImageScore = "mean"

    @property
    def work(self) -> Path:
        """Folder of the run beside the model."""
        return train_output.work_folder(self.out)

    @property
    def steps(self) -> int:
        """Optimiser steps that see ``images`` pictures, two a pair."""
        return max(1, self.images // (2 * self.options.pairs_a_step))


def run(settings: Settings, request: Request) -> int:
    """Pretrain and write the model's folder; return the exit code, which is 130 after Ctrl-C.

    Started by ``torchrun`` in several processes, all share the work, and the first one writes and prints.

    Raises:
        BadInputError: unusable model, photographs, data sets, teacher or output (as ``train_output.check_model``).
        InspectorError: a loss that is no number.
        OSError: a file cannot be written.
    """
    _check_fresh_text(request, settings.model.pretrained)
    with joined(settings.model.device) as processes, ExitStack() as stack:
        if processes.writes and request.restart:
            begin_anew(request.work)
        processes.wait()
        # It computes as training does, whatever the settings would serve with.
        spec = replace(
            model_wiring.model_spec(settings),
            pretrained=settings.model.pretrained if request.from_pretrained else RANDOM,
            precision=settings.model.training_precision,
            engine="torch",
            device=processes.device,
        )
        torch.set_num_threads(settings.model.threads or max(1, torch.get_num_threads() // processes.count))
        material = _material(request, spec, processes)
        stop = stack.enter_context(stop_event())
        progress = stack.enter_context(TrainingProgress(enabled=processes.writes))

        def stepped(step: PretrainingStep) -> None:
            text = f"{_losses(step.losses)} {step.images_per_s:.1f} images/s"
            progress.count("pretraining", text, step.step, step.steps)
            if not progress.terminal and step.step % _TELL_EVERY == 0:
                console.remark(f"step {step.step}/{step.steps} {text}")

        def validated(step: int, metrics: Mapping[str, float]) -> None:
            if processes.writes:
                console.remark(f"validation after step {step}: {_losses(_summary(metrics))}")

        listener = PretrainingListener(stepped, validated, stop.is_set)
        try:
            made = pretrain(
                spec, material, request.options, request.steps, request.work, listener, request.effort, processes
            )
            if processes.writes:
                phase = _stoppable(progress.phase, stop.is_set)
                made = _with_thresholds(made, spec, material.held_out, request.image_score, phase)
        except TrainingStoppedError as error:
            if processes.writes:
                console.remark(f"stopped by {error.got}; repeat the command to go on from there")
            return STOPPED
    if processes.writes:
        _write(request, spec, made, _card(request, spec, material, processes))
    return 0


def _material(request: Request, spec: ModelSpec, processes: Processes) -> Material:
    photographs = held_out = None
    if request.photographs is not None:
        photographs, held_out = Photographs.load(request.photographs).split(_HELD_OUT)
    validation = _validation(request.validate_on, held_out, spec) if processes.writes else None
    return Material(photographs, request.teacher, validation, held_out)


def _validation(folders: Sequence[Path], held_out: Photographs | None, spec: ModelSpec) -> Validation:
    side = model_shape(spec).image_size_px
    normals = {}
    for folder in folders:
        dataset = open_dataset(folder)
        files = normal_images([dataset])[:_VALIDATION_FRAMES]
        if not files:
            raise BadInputError(
                "good images for training to validate on", f"none in {folder}", "add them as train/good"
            )
        normals[dataset.name] = [decode(*load_image(file), DecodeLimits(), side).pixels for file in files]
    scenes = [render_pair((_VALIDATION_SEED, n), side, held_out, defective=1) for n in range(_VALIDATION_SCENES)]
    return Validation(normals, scenes, DEFECT_TYPES)


def _with_thresholds(
    made: Pretrained, spec: ModelSpec, held_out: Photographs | None, image_score: ImageScore, phase: Phase
) -> Pretrained:
    side = model_shape(spec).image_size_px
    good = []
    for number in range(_THRESHOLD_SCENES):
        # Three numbers: a run's own pairs have two, whatever its seed.
        second = render_pair((_THRESHOLD_SEED, 3, number), side, held_out).second
        good.append(np.asarray(cv2.cvtColor(second, cv2.COLOR_BGR2RGB), np.uint8))
        phase("rendering good scenes", number + 1, _THRESHOLD_SCENES)
    return with_scene_thresholds(made, spec, good, image_score, _FALSE_ALARM_RATE, partial(phase, "thresholds"))


def _stoppable(phase: Phase, stop: Callable[[], bool]) -> Phase:
    """Return ``phase``, which ends the command once it was told to stop: all steps are made and kept by then."""

    def shown(what: str, done: int, of: int) -> None:
        if stop():
            raise TrainingStoppedError("a run to its end", f"a signal to stop while {what}", "repeat the command")
        phase(what, done, of)

    return shown


def _write(request: Request, spec: ModelSpec, made: Pretrained, card: str) -> None:
    # A folder's model is called by where it lies, and from now on that is here.
    name = f"{LOCAL_FOLDER}{request.out}" if spec.name.startswith(LOCAL_FOLDER) else spec.name
    config = open_clip_config(spec, made.clip)
    manifest = write_model_folder(request.out, made.clip, config, (made.prompts, made.manifest), card, name=name)
    plot = request.work / "loss.svg"
    draw_loss(request.work / "history.jsonl", plot)
    console.lines(
        [
            f"wrote {request.out} with prompt weights {manifest.version}",
            f"loss: {plot}, history and validation beside it",
            f"use it, or tune its prompts by train: INSPECTOR_MODEL__NAME={LOCAL_FOLDER}{request.out}",
        ]
    )


def _card(request: Request, spec: ModelSpec, material: Material, processes: Processes) -> str:
    validated = ", ".join(path.name for path in request.validate_on) or "no data set"
    facts = {
        "began with": _beginning(request, spec),
        "images": f"{2 * request.options.pairs_a_step * request.steps} rendered, in {request.steps} steps",
        "photographs of surfaces": counted(material.photographs),
        "teacher": f"{request.teacher}: {TEACHERS[request.teacher].lineage}",
        "watched on": f"rendered scenes, and defects painted on good training images of: {validated}",
        "seed": str(request.options.seed),
    }
    return run_card("pretrain", facts, spec, processes)


def _beginning(request: Request, spec: ModelSpec) -> str:
    if not request.from_pretrained:
        return "fresh weights"
    return f"the weights {spec.pretrained}" + (", their visual tower alone" if request.options.fresh_text else "")


def _check_fresh_text(request: Request, pretrained: str) -> None:
    if not request.options.fresh_text:
        return
    if pretrained == RANDOM:
        raise BadInputError("weights to take a visual tower from", f"model.pretrained {RANDOM}", "set model.pretrained")
    if request.steps <= 2 * request.options.warmup_steps:
        least = 4 * request.options.warmup_steps * request.options.pairs_a_step
        raise BadInputError(
            f"more than {least} images, after which a tower with fresh words learns at its full rate",
            str(request.images),
            "give more --images",
        )


def _losses(values: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.3f}" for name, value in values.items())


def _summary(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return what one line has room for: the mean over the data sets, or the scenes where there are none."""
    of = MEAN if any(name.startswith(f"{MEAN}/") for name in metrics) else SCENES
    return {name: value for name, value in metrics.items() if name.startswith(f"{of}/") and "_tap" not in name}
