"""What a worker does to itself when a batch passes a named milestone: a fault placed where it bites, not by luck."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inspector.pipeline.milestones import Milestone

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


@dataclass(frozen=True, slots=True)
class Act:
    """Sends the process ``kill`` or ``stop`` at the ``nth`` time (from 1) that it passes a milestone.

    ``lives``: how many of the worker's lives end so; each restart counts from the beginning.
    """

    what: str
    milestone: Milestone
    nth: int
    lives: int = 1

    @classmethod
    def parse(cls, text: str) -> Act:
        """Read ``kill:stored:3`` or, for the first ten lives, ``kill:stored:3:10``.

        Raises:
            ValueError: it is neither.
        """
        what, milestone, nth, *lives = text.split(":")
        if what not in _SIGNALS or len(lives) > 1:
            raise ValueError(f"expected kill|stop:MILESTONE:NTH[:LIVES], got {text!r}")
        return cls(what, Milestone(milestone), int(nth), int(lives[0]) if lives else 1)


class Actor:
    """``on_milestone`` of a worker. Lives are counted in files of ``folder``, which outlive the process."""

    def __init__(self, acts: Sequence[Act], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._armed = {act: folder / f"{act.what}-{act.milestone.value}-{act.nth}" for act in acts}
        self._passed: Counter[Milestone] = Counter()
        self._lock = threading.Lock()  # two threads pass milestones

    def __call__(self, milestone: Milestone) -> None:
        with self._lock:
            self._passed[milestone] += 1
            for act, ended in self._armed.items():
                if act.milestone is milestone and act.nth == self._passed[milestone]:
                    self._act(act, ended)

    def _act(self, act: Act, ended: Path) -> None:
        if ended.exists() and ended.stat().st_size >= act.lives:
            return
        with ended.open("ab") as file:
            file.write(b".")
        os.kill(os.getpid(), _SIGNALS[act.what])


def times_acted(folder: Path) -> int:
    """Return how many kills and stops have happened so far."""
    return sum(path.stat().st_size for path in folder.glob("*-*-*"))
