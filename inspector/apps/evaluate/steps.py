"""A line a step on stderr, where a log or a pipe stands in place of the terminal that would show a bar."""

from __future__ import annotations

import time
from collections.abc import Callable

from inspector.apps import console


class Steps:
    """Says which step begins, and about how long all will take as the work goes so far.

    ``work`` is that of all steps, in a unit of the caller's: images, or steps.
    """

    def __init__(self, work: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._work = work
        self._done = 0
        self._shown = not console.stderr().is_terminal

    def begin(self, text: str, work: int = 1) -> None:
        """Say that a step of so much ``work`` begins, those before it being done."""
        if self._shown:
            console.remark(text + self._left())
        self._done += work

    def was_there(self, work: int = 1) -> None:
        """Count the step that began last for nothing: it was done by an earlier run."""
        self._done -= work
        self._work -= work

    def _left(self) -> str:
        if not self._done:
            return ""
        seconds = (self._clock() - self._started) / self._done * (self._work - self._done)
        return f"; about {seconds / 60:.0f} min left" if seconds >= 60 else f"; about {seconds:.0f} s left"
