"""Faults inside the inspectors: no memory on the device, a clock that steps, weights that are no weights."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from damaged_weights import DAMAGES
from injected_names import CLOCK_OFFSET, MEMORY_LIMIT, MEMORY_REFUSALS
from journal import read_journal
from scenario import Stage

from inspector.apps.supervisor import EXIT_BUG, EXIT_PROBLEM

_START_TIMEOUT_S = 300.0
_TICK_S = 1.0


@dataclass
class OutOfMemory:
    """By turns, only single frames fit on the device (the batch is split), and not even one (a new start)."""

    split_s: float = 10.0
    nothing_s: float = 5.0
    worker_options: Sequence[str] = ("--plant=injected.memory",)
    _played: list[str] = field(default_factory=list, repr=False)

    @property
    def how(self) -> str:
        return f"MemoryError {' and '.join(dict.fromkeys(self._played))}"

    def prepare(self, stage: Stage) -> None:
        stage.fleet.foreseen |= {EXIT_BUG}

    def inject(self, stage: Stage) -> None:
        limit, refusals = stage.line.dir / MEMORY_LIMIT, stage.line.dir / MEMORY_REFUSALS
        refusals.unlink(missing_ok=True)
        batches_fit_not = stage.times % 2 == 0
        limit.write_text("1" if batches_fit_not else "0")
        time.sleep(self.split_s if batches_fit_not else self.nothing_s)
        limit.unlink()
        if not refusals.exists():
            stage.problems.append("no batch met the limit: the fault was none")
        played = f"for batches, {self.split_s:.0f} s" if batches_fit_not else f"for every frame, {self.nothing_s:.0f} s"
        self._played.append(played)
        stage.happened()

    def finish(self, stage: Stage) -> None:
        pass


@dataclass
class ClockSteps:
    """The inspectors' wall clock jumps forth and back."""

    steps_s: Sequence[float] = (7_200.0, -7_200.0, 86_400.0, -86_400.0)
    step_for_s: float = 10.0
    worker_options: Sequence[str] = ("--plant=injected.clock",)
    _played_s: list[float] = field(default_factory=list, repr=False)

    @property
    def how(self) -> str:
        hours = ", ".join(f"{step / 3600:+.0f}" for step in dict.fromkeys(self._played_s))
        return f"the inspectors' wall clock (injected into the process) steps by {hours} h for {self.step_for_s:.0f} s"

    def prepare(self, stage: Stage) -> None:
        pass

    def inject(self, stage: Stage) -> None:
        step_s = self.steps_s[stage.times % len(self.steps_s)]
        clock, since = stage.line.dir / CLOCK_OFFSET, datetime.now(UTC)
        clock.write_text(str(step_s))
        before = len(stage.line.committed("alerts"))
        time.sleep(self.step_for_s)
        stage.wait(lambda: len(stage.line.committed("alerts")) > before, 60, "alerts under a stepped clock")
        stage.wait(lambda: _inspected_at(stage, since, step_s), 60, f"a frame inspected {step_s:+.0f} s off")
        clock.write_text("0")
        self._played_s.append(step_s)
        stage.happened()

    def finish(self, stage: Stage) -> None:
        pass


def _inspected_at(stage: Stage, since: datetime, step_s: float) -> bool:
    """Tell whether a frame was inspected after a moment by a clock that is off by so many seconds."""
    early, late = since - timedelta(seconds=_TICK_S), datetime.now(UTC) + timedelta(seconds=_TICK_S)
    shift = timedelta(seconds=step_s)
    moments = (datetime.fromisoformat(f.inspected_at) for batch in read_journal(stage.line.dir) for f in batch.frames)
    return any(early <= moment - shift <= late for moment in moments)


@dataclass
class BadWeights:
    """A fourth inspector with the real model and damaged prompt weights tries to join; sound ones would have served."""

    worker_options: Sequence[str] = ()
    _played: list[str] = field(default_factory=list, repr=False)

    @property
    def how(self) -> str:
        played = ", ".join(dict.fromkeys(self._played))
        return f"an inspector started with weights that are damaged: {played}; the same, sound, pass"

    def prepare(self, stage: Stage) -> None:
        sound = stage.line.dir / "weights.safetensors"
        for verb in ("init", "verify"):
            done = stage.line.command("weights", verb, str(sound))
            assert done.returncode == 0, done.stderr

    def inject(self, stage: Stage) -> None:
        damage = DAMAGES[stage.times % len(DAMAGES)]
        damaged = stage.line.dir / "damaged.safetensors"
        damaged.write_bytes(damage.do((stage.line.dir / "weights.safetensors").read_bytes()))
        code, said = _worker(stage.line.config, damaged)
        if code != EXIT_PROBLEM or damage.complaint not in said:
            expected = f"expected {EXIT_PROBLEM} and {damage.complaint!r}"
            stage.problems.append(f"weights with {damage.name} ended the worker with {code}, {expected}: {said[-300:]}")
        self._played.append(damage.name)
        stage.happened()

    def finish(self, stage: Stage) -> None:
        pass


def _worker(config: Path, weights: Path) -> tuple[int | None, str]:
    """Start a real worker; return its exit code, None if it went on to serve, and what it said, in single spaces."""
    command = [sys.executable, "-m", "inspector", "inspect", "--worker", "-c", str(config)]
    own = {"INSPECTOR_REPLICA": "damaged", "INSPECTOR_MODEL__WEIGHTS": str(weights)}
    log = weights.with_suffix(".log")
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=output, env={**os.environ, **own}
        ) as worker,
    ):
        code: int | None
        try:
            code = worker.wait(_START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            worker.kill()
            code = None
    return code, " ".join(log.read_text(errors="replace").split())
