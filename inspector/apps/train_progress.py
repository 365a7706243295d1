"""Progress of a training run on stderr: a bar on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Self

from inspector.apps import console
from inspector.training.options import Step


class TrainingProgress:
    """One bar after another: reading, steps, thresholds. ``enabled`` false says nothing, for all but one process."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._terminal = console.stderr().is_terminal
        self._stack = ExitStack()
        self._bar: tuple[str, int, console.Meter] | None = None  # what it counts, how far it is

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def terminal(self) -> bool:
        """Whether somebody sees bars."""
        return self._terminal

    def count(self, what: str, text: str, done: int, of: int) -> None:
        """Show how far ``what`` is, described by ``text``."""
        self._show(what, text, done, of)

    def phase(self, what: str, done: int, of: int) -> None:
        """Show work that is counted in images."""
        self._show(what, what, done, of)

    def step(self, step: Step) -> None:
        """Show an optimiser step with its losses; without a terminal, the last of each epoch."""
        losses = f"loss {step.total:.3f} (class {step.classification:.3f} focal {step.focal:.4f} dice {step.dice:.3f})"
        text = f"epoch {step.epoch}/{step.epochs} {losses} {step.images_per_s:.1f} images/s"
        self._show("steps", text, step.step, step.steps)
        if self._enabled and not self._terminal and step.step * step.epochs % step.steps == 0:
            console.remark(f"{text}, {_duration(step.seconds_left)} left")

    def _show(self, what: str, text: str, done: int, of: int) -> None:
        if not self._enabled or not self._terminal:
            return
        if self._bar is None or self._bar[0] != what:
            self._stack.close()
            made: AbstractContextManager[console.Meter] = console.progress(what, of)
            self._bar = (what, 0, self._stack.enter_context(made))
        _, before, meter = self._bar
        meter.describe(text)
        meter.advance(done - before)
        self._bar = (what, done, meter)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
