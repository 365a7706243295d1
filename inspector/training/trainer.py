"""Tunes DAPO's prompt weights on labelled images; CLIP itself never changes (arXiv 2512.09446, sections 3 and 4)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from torch.optim import Adam

from inspector.dapo.backbone import backbone_id
from inspector.dapo.prompt_weights import PromptWeights, init_prompt_weights, seal
from inspector.dapo.spec import ModelSpec
from inspector.domain.errors import BadInputError, InspectorError
from inspector.domain.product import Vocabulary
from inspector.domain.weights import WeightsManifest
from inspector.training.batch import Batch, GradientSum, gradients
from inspector.training.checkpoint import Position, load_checkpoint, save_checkpoint
from inspector.training.examples import UNKNOWN_TYPE, ExampleSource, epoch_order
from inspector.training.options import Effort, Step, TrainingOptions, TrainingStoppedError
from inspector.training.prepared import PreparedExamples, cache_place, opened, prepare
from inspector.training.processes import Processes
from inspector.training.prompt_model import FrozenTowers
from inspector.training.thresholds import UNMEASURED, with_thresholds
from inspector.training.work_folder import WorkFolder

Made = tuple[PromptWeights, WeightsManifest]


@dataclass(frozen=True, slots=True)
class Listener:
    """Whom a run talks to. ``phase`` hears (what, done, all) of the work before and after the steps; ``found`` once,
    what the examples turned out to be; ``stop`` is asked between any two steps.
    """

    step: Callable[[Step], None] = lambda _step: None
    phase: Callable[[str, int, int], None] = lambda _what, _done, _all: None
    found: Callable[[PreparedExamples], None] = lambda _examples: None
    stop: Callable[[], bool] = lambda: False


def train(
    spec: ModelSpec,
    source: ExampleSource,
    options: TrainingOptions,
    folder: Path,
    listener: Listener | Callable[[Step], None] = Listener(),  # frozen
    *,
    effort: Effort = Effort(),  # noqa: B008  # frozen
    processes: Processes = Processes(),  # noqa: B008  # frozen
    start: Made | None = None,
    most_steps: int | None = None,
) -> Made:
    """Tune prompt weights and return them with their manifest: trained, the types seen, thresholds of the good images.

    A run that ended early, in whatever way, goes on from its last checkpoint in ``folder`` and ends, on a CPU, with the
    same weights to the bit. All processes call it alike; only the first writes and has thresholds in its manifest.

    Args:
        spec: the frozen model and its device.
        source: labelled images of the model's size.
        options: what decides the result.
        folder: keeps checkpoint, history and cache; it may be new.
        listener: hears of the progress; a plain function hears of each step.
        effort: what the run may use.
        processes: this one among those that share the work.
        start: weights to go on from, made for ``spec``; None begins with fresh ones.
        most_steps: end after so many steps in all, as if they had been the last; a run that has made them, and was
            stopped, ends with what it has.

    Raises:
        BadInputError: no defective example, ``folder`` is of another run, or ``start`` has other layer tokens.
        TrainingStoppedError: ``listener.stop`` said so; a checkpoint is written.
        InspectorError: a loss or gradient is not finite; the last good state is kept as the checkpoint.
        OSError: ``folder`` cannot be written.
    """
    heard = listener if isinstance(listener, Listener) else Listener(step=listener)
    if start is not None:
        _check_start(start[1], options)
    work = WorkFolder(folder, _description(spec, source, options, start))
    with work.claimed() if processes.writes else nullcontext():
        towers = FrozenTowers(spec)
        examples = _prepared(spec, source, towers, work.cache, effort, processes, heard)
        heard.found(examples)
        _check(examples)
        fresh = start or init_prompt_weights(spec, Vocabulary(()), options.seed, options.layer_tokens)
        weights = deepcopy(fresh[0]).to(towers.device).requires_grad_(True)
        _Run(weights, towers, examples, options, effort, processes, work, heard).to_the_end(most_steps)
        before = fresh[1].vocabulary if fresh[1].trained else ()
        seen = dict.fromkeys(t for label in examples.labels if label.anomalous for t in label.vocabulary.defect_types)
        manifest = replace(
            fresh[1],
            trained=True,
            vocabulary=tuple(dict.fromkeys([*before, *seen])),
            text_mode=options.text_mode,
            image_threshold=UNMEASURED,  # what the first weights had is not these weights'
            pixel_threshold=UNMEASURED,
            image_score=options.image_score,
            image_scale=0.0,
            pixel_scale=0.0,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        if processes.writes:
            phase = _stoppable("thresholds", heard)
            manifest = with_thresholds(manifest, weights, towers, examples, options, phase)
        weights = weights.cpu()
        return weights, seal(weights, manifest)


class _Run:
    """The optimiser's steps, from the last checkpoint to the end."""

    def __init__(
        self,
        weights: PromptWeights,
        towers: FrozenTowers,
        examples: PreparedExamples,
        options: TrainingOptions,
        effort: Effort,
        processes: Processes,
        work: WorkFolder,
        heard: Listener,
    ) -> None:
        self._weights = weights
        self._towers = towers
        self._examples = examples
        self._options = options
        self._effort = effort
        self._processes = processes
        self._work = work
        self._heard = heard
        self._optimiser = Adam(weights.parameters(), lr=options.lr, betas=options.betas)
        self._count = len(examples.labels)
        self._steps_an_epoch = math.ceil(self._count / options.batch_size)
        self._steps = options.epochs * self._steps_an_epoch
        self._order = lru_cache(maxsize=1)(lambda epoch: epoch_order(self._count, options.seed, epoch).tolist())

    def to_the_end(self, most_steps: int | None) -> None:
        """Make the steps that are left. Raises as ``train``."""
        last = self._steps if most_steps is None else min(self._steps, most_steps)
        done = load_checkpoint(self._work.checkpoint, self._weights, self._optimiser, self._work.run)
        self._processes.wait()  # nobody writes a checkpoint before everybody has read this one
        if self._processes.writes:
            self._work.rewind_history(done)
        began, resumed_at, saved_s = time.monotonic(), done, time.monotonic()
        while done < last:
            summed = self._step(done)
            done += 1
            now = time.monotonic()
            pace = (done - resumed_at) / (now - began)
            self._tell(done, summed, pace)
            ends_epoch = done % self._steps_an_epoch == 0
            if ends_epoch or summed.stop or now - saved_s >= self._effort.checkpoint_every_s:
                self._save(done)
                saved_s = now
            if summed.stop and done < last:
                raise _stopped(f"{done} of {self._steps} steps")

    def _step(self, done: int) -> GradientSum:
        """Make one optimiser step over all processes; the weights are untouched if it raises."""
        epoch, turn = divmod(done, self._steps_an_epoch)
        size = self._options.batch_size
        batch = Batch(self._order(epoch)[turn * size : (turn + 1) * size], self._examples)
        summed = gradients(
            self._weights,
            batch,
            self._towers,
            self._options,
            self._effort.images_at_once,
            self._processes,
            stop=self._heard.stop(),
        )
        if not summed.finite:
            self._save(done)
            raise InspectorError(
                "a finite loss",
                f"{summed.total:g} (or gradients that are not finite) at step {done + 1} of {self._steps}",
                f"use a lower --lr than {self._options.lr:g} with --restart; the state before it is kept",
            )
        self._optimiser.step()
        return summed

    def _tell(self, done: int, summed: GradientSum, pace: float) -> None:
        if not self._processes.writes:
            return
        step = Step(
            epoch=1 + (done - 1) // self._steps_an_epoch,
            epochs=self._options.epochs,
            step=done,
            steps=self._steps,
            total=summed.total,
            classification=summed.classification,
            focal=summed.focal,
            dice=summed.dice,
            images_per_s=pace * self._count / self._steps_an_epoch,
            seconds_left=(self._steps - done) / pace,
        )
        self._work.remember(step)
        self._heard.step(step)

    def _save(self, done: int) -> None:
        if self._processes.writes:
            save_checkpoint(self._work.checkpoint, self._weights, self._optimiser, Position(self._work.run, done))


def _description(
    spec: ModelSpec, source: ExampleSource, options: TrainingOptions, start: Made | None
) -> dict[str, object]:
    model = {"model": spec.name, "image_size_px": spec.image_size_px, "frozen_weights": backbone_id(spec)}
    return {**model, "examples": source.fingerprint, **asdict(options), "start": start[1].version if start else "fresh"}


def _prepared(
    spec: ModelSpec,
    source: ExampleSource,
    towers: FrozenTowers,
    folder: Path,
    effort: Effort,
    processes: Processes,
    heard: Listener,
) -> PreparedExamples:
    backbone = backbone_id(spec)
    if processes.writes:
        prepare(source, towers, folder, backbone, effort.cache_bytes, _stoppable("reading examples", heard))
    processes.wait()
    return opened(source, towers, cache_place(source, towers, folder, backbone))


def _stoppable(what: str, heard: Listener) -> Callable[[int, int], None]:
    def step(done: int, of: int) -> None:
        heard.phase(what, done, of)
        if heard.stop() and done < of:
            raise _stopped(f"{what}, {done} of {of}")

    return step


def _stopped(where: str) -> TrainingStoppedError:
    return TrainingStoppedError("a run to its end", f"a signal to stop at {where}", "repeat the command to go on")


def _check_start(start: WeightsManifest, options: TrainingOptions) -> None:
    tokens = {start.text_layer_tokens, start.visual_layer_tokens}
    if tokens != {options.layer_tokens}:
        had = " and ".join(str(count) for count in sorted(tokens))
        raise BadInputError(
            f"weights with {options.layer_tokens} layer tokens to go on from", had, f"add --layer-tokens {had}"
        )


def _check(examples: PreparedExamples) -> None:
    labels = examples.labels
    if not any(label.anomalous for label in labels):
        got = f"{len(labels)} good ones" + (f", {len(examples.unreadable)} unreadable" if examples.unreadable else "")
        raise BadInputError("at least one readable image of a defect", got, "name a folder with labelled defects")
    most = max(labels, key=lambda label: len(label.vocabulary.defect_types)).vocabulary
    if len(most.defect_types) >= UNKNOWN_TYPE:
        raise BadInputError(
            f"fewer than {UNKNOWN_TYPE} defect types in a class",
            str(len(most.defect_types)),
            "merge some by --vocabulary",
        )
