"""Faults inside the inspectors: no memory on the device, a clock that steps, weights that are no weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from injected_names import CLOCK_OFFSET, MEMORY_LIMIT, MEMORY_REFUSALS
from scenario import Stage

from inspector.apps.supervisor import EXIT_BUG, EXIT_PROBLEM

_START_TIMEOUT_S = 300.0


@dataclass
class OutOfMemory:
    """By turns, only single frames fit on the device (the batch is split), and not even one (a new start)."""

    split_s: float = 10.0
    nothing_s: float = 5.0
    worker_options: Sequence[str] = ("--plant=injected.memory",)

    @property
    def how(self) -> str:
        return f"MemoryError by turns for batches, {self.split_s:.0f} s, and for every frame, {self.nothing_s:.0f} s"

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
        stage.happened()

    def finish(self, stage: Stage) -> None:
        pass


@dataclass
class ClockSteps:
    """The inspectors' wall clock jumps forth and back."""

    steps_s: Sequence[float] = (7_200.0, -7_200.0, 86_400.0, -86_400.0)
    step_for_s: float = 10.0
    worker_options: Sequence[str] = ("--plant=injected.clock",)

    @property
    def how(self) -> str:
        hours = ", ".join(f"{step / 3600:+.0f}" for step in self.steps_s)
        return f"the inspectors' wall clock (injected into the process) steps by {hours} h for {self.step_for_s:.0f} s"

    def prepare(self, stage: Stage) -> None:
        pass

    def inject(self, stage: Stage) -> None:
        clock = stage.line.dir / CLOCK_OFFSET
        clock.write_text(str(self.steps_s[stage.times % len(self.steps_s)]))
        before = len(stage.line.committed("alerts"))
        time.sleep(self.step_for_s)
        stage.wait(lambda: len(stage.line.committed("alerts")) > before, 60, "alerts under a stepped clock")
        clock.write_text("0")
        stage.happened()

    def finish(self, stage: Stage) -> None:
        pass


def _flipped(data: bytes) -> bytes:
    middle = 3 * len(data) // 4
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def _not_a_number(data: bytes) -> bytes:
    return data[:-4] + b"\x00\x00\xc0\x7f"  # a float32 NaN as the last value


def _truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _another_shape(data: bytes) -> bytes:
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    name = next(name for name, facts in header.items() if name != "__metadata__" and len(facts["shape"]) > 1)
    header[name]["shape"] = header[name]["shape"][::-1]
    written = json.dumps(header).encode().ljust(length)
    return len(written).to_bytes(8, "little") + written + data[8 + length :]


@dataclass
class BadWeights:
    """A fourth inspector with the real model and damaged prompt weights tries to join."""

    worker_options: Sequence[str] = ()
    damages: Mapping[str, Callable[[bytes], bytes]] = field(
        default_factory=lambda: {
            "flipped bit": _flipped,
            "NaN": _not_a_number,
            "truncated": _truncated,
            "wrong shape": _another_shape,
        }
    )

    @property
    def how(self) -> str:
        return f"an inspector started with weights that are damaged: {', '.join(self.damages)}"

    def prepare(self, stage: Stage) -> None:
        sound = stage.line.dir / "weights.safetensors"
        made = stage.line.command("weights", "init", str(sound))
        assert made.returncode == 0, made.stderr

    def inject(self, stage: Stage) -> None:
        kind = list(self.damages)[stage.times % len(self.damages)]
        damaged = stage.line.dir / "damaged.safetensors"
        damaged.write_bytes(self.damages[kind]((stage.line.dir / "weights.safetensors").read_bytes()))
        code = _worker(stage.line.config, damaged)
        if code != EXIT_PROBLEM:
            stage.problems.append(f"weights with {kind} ended the worker with {code}, expected {EXIT_PROBLEM}")
        stage.happened()

    def finish(self, stage: Stage) -> None:
        pass


def _worker(config: Path, weights: Path) -> int | None:
    """Start a real worker; return its exit code, None if it went on to serve."""
    command = [sys.executable, "-m", "inspector", "inspect", "--worker", "-c", str(config)]
    own = {"INSPECTOR_REPLICA": "damaged", "INSPECTOR_MODEL__WEIGHTS": str(weights)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, **own}) as worker:
        try:
            return worker.wait(_START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            worker.kill()
            return None
