"""Tuning within a budget of time and memory, over as many lives of the process as it takes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from inspector.dapo.spec import ModelSpec
from inspector.domain.errors import InspectorError
from inspector.files import write_whole
from inspector.training.examples import ExampleSource
from inspector.training.options import Effort, Step, TrainingOptions, TrainingStoppedError
from inspector.training.refresh.peak_memory import PeakMemory
from inspector.training.trainer import Listener, Made, train

_log = logging.getLogger(__name__)

# How often the time spent is written down; a kill forgets at most so much of it.
_NOTED_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Budget:
    """What a tuning may use. ``seconds`` are counted over all lives; ``memory_bytes`` None: as much as it takes.

    Memory is that of the process on a CPU and that of the device on a GPU, at its peak in a step.
    """

    seconds: float
    memory_bytes: int | None = None
    images_at_once: int | None = None
    cache_bytes: int = 8 * 2**30
    checkpoint_every_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of it, after how many optimiser steps of how many seconds."""

    made: Made
    steps: int
    seconds: float


class _TooMuchMemoryError(Exception):
    """A step took more than the budget; the one after it must take less."""


def tune(
    spec: ModelSpec,
    source: ExampleSource,
    options: TrainingOptions,
    folder: Path,
    start: Made,
    budget: Budget,
    *,
    stop: Callable[[], bool],
    phase: Callable[[str, int, int], None] = lambda _what, _done, _all: None,
    clock: Callable[[], float] = time.monotonic,
) -> Tuned:
    """Tune from ``start`` and return the weights after all epochs, or after those steps that the budget had time for.

    A call that ended early, in whatever way, is gone on with by the next one with the same arguments. ``clock`` gives
    seconds that never go back: the wall clock may jump.

    Raises:
        TrainingStoppedError: ``stop`` said so; a checkpoint is written.
        InspectorError: not one step within the budget, or as ``train``.
        BadInputError: as ``train``.
        OSError: as ``train``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    spent = _Spent(folder / "spent_s", clock)
    memory = PeakMemory(spec.device)
    effort = Effort(budget.images_at_once, budget.cache_bytes, budget.checkpoint_every_s)

    def stopped_or_over() -> bool:
        spent.note()
        return stop() or spent.seconds >= budget.seconds

    def step(made: Step) -> None:
        peak = memory.peak_bytes()
        if budget.memory_bytes is not None and peak is not None and peak > budget.memory_bytes:
            raise _TooMuchMemoryError(f"{peak / 2**20:.0f} MiB at step {made.step}")

    while True:
        done = steps_done(folder)
        over = done > 0 and spent.seconds >= budget.seconds
        listener = Listener(step=step, phase=phase, stop=stop if over else stopped_or_over)
        memory.begin()
        try:
            made = train(
                spec, source, options, folder, listener, effort=effort, start=start, most_steps=done if over else None
            )
        except TrainingStoppedError as error:
            spent.note(now=True)
            if stop():
                raise
            if steps_done(folder) == 0:
                raise _no_step(budget.seconds) from error
        except (_TooMuchMemoryError, MemoryError, torch.OutOfMemoryError) as error:
            at_once = min(effort.images_at_once or options.batch_size, options.batch_size)
            if at_once > 1:
                _log.warning("tuning goes on with %d images in memory together: %s", at_once // 2, error)
                effort = replace(effort, images_at_once=at_once // 2)
            elif isinstance(error, _TooMuchMemoryError):
                _log.warning("tuning takes more memory than trainer.memory_mb, one image at a time: %s", error)
                budget = replace(budget, memory_bytes=None)
            else:
                raise
        else:
            return Tuned(made, steps_done(folder), spent.seconds)


def steps_done(folder: Path) -> int:
    """Return how many optimiser steps a work folder remembers."""
    history = folder / "history.jsonl"
    return len(history.read_bytes().splitlines()) if history.exists() else 0


class _Spent:
    """Seconds of work in this life and, as noted on disk, those before."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._began = self._noted = clock()
        self._before = _number(path)

    @property
    def seconds(self) -> float:
        return self._before + self._clock() - self._began

    def note(self, *, now: bool = False) -> None:
        if now or self._clock() - self._noted >= _NOTED_EVERY_S:
            write_whole(self._path, f"{self.seconds:.3f}".encode(), alone=True)
            self._noted = self._clock()


def _number(path: Path) -> float:
    try:
        return max(0.0, float(path.read_text("utf-8")))
    except (OSError, ValueError):
        return 0.0


def _no_step(seconds: float) -> InspectorError:
    return InspectorError(
        f"one optimiser step within trainer.budget_s, {seconds:g} s",
        "none",
        "raise it, or lower trainer.synthetic_per_camera and trainer.core_scenes",
    )
