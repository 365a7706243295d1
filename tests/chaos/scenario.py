"""One row of the fault matrix: a line under load, a fault again and again, and what the checker says afterwards."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from checker import check
from cluster_of_three import Cluster
from findings import Findings
from results_timing import Timing, timing
from scenario_fleet import Fleet
from scenario_line import ChaosLine, end, running_line
from scenario_producer import FLUSH_S, FRAMES_LEFT, spooled_ids
from stub_engine import stub_verdict
from truth import read_truth

from inspector import settings as settings_of

INSPECTORS = ("a", "b", "c")

_WARM_UP_S = 240.0
_WAIT_EVERY_S = 0.5
_DRAIN_S = 300.0
_DRAINS = 5


@dataclass
class Stage:
    """What a fault may touch. ``healed_at_s`` are the moments (seconds since 1970) when an injected fault was over.

    ``owed`` are ids of frames that the producer's spool answers for: each must come to Kafka.
    """

    line: ChaosLine
    fleet: Fleet
    producer: Producer
    rng: random.Random
    times: int = 0
    healed_at_s: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    note: str = ""
    owed: set[str] = field(default_factory=set)
    at_the_end: ExitStack = field(default_factory=ExitStack)

    @property
    def cluster(self) -> Cluster:
        """The servers below the line."""
        return self.line.cluster

    def node(self, action: str, name: str) -> None:
        """start, stop, kill, pause or resume one server."""
        self.cluster.services.act(action, name)

    def happened(self, times: int = 1) -> None:
        """Count a fault that is over now."""
        self.times += times
        self.healed_at_s.append(time.time())

    def repeated(self) -> int:
        """Return how many frames stand in the truth once more than once."""
        ids = [frame.frame_id for frame in read_truth(self.line.truth_log)]
        return len(ids) - len(set(ids))

    def wait(self, until: Callable[[], bool], timeout_s: float, what: str) -> bool:
        """Wait for something; note a problem if it does not come in time."""
        deadline_s = time.monotonic() + timeout_s
        while not until():
            if time.monotonic() > deadline_s:
                self.problems.append(f"not within {timeout_s:.0f} s: {what}")
                return False
            time.sleep(_WAIT_EVERY_S)
        return True


class Fault(Protocol):
    """Something that is done to a running line, as often as asked."""

    worker_options: Sequence[str]

    @property
    def how(self) -> str:
        """What it does, for the table."""
        ...

    def prepare(self, stage: Stage) -> None:
        """Called before the inspectors start."""
        ...

    def inject(self, stage: Stage) -> None:
        """Do it once, undo it, and call ``stage.happened``; the line is left to recover."""
        ...

    def finish(self, stage: Stage) -> None:
        """Called before the line is drained."""
        ...


@dataclass(frozen=True)
class Row:
    """A row at full size: so many faults and frames.

    ``fault`` takes the scale at which the row is run, 1 for full size, and shortens outages by it. ``rate`` is frames a
    second, ``gap_s`` the time left to the line between two faults. ``proxied``: whose link to the brokers is the
    proxy's, ``inspectors`` or ``producer``. ``repaired``: the fault takes results that were stored, so ``inspector
    reconcile --repair`` comes before the checker.
    """

    name: str
    fault: Callable[[float], Fault]
    times: int
    frames: int
    rate: float = 60.0
    frame_bytes: int = 20_000
    gap_s: float = 5.0
    proxied: str = ""
    repaired: bool = False
    real_model: bool = False
    producer_options: Mapping[str, object] = field(default_factory=dict)
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class RowResult:
    """What came of a row; ``times`` and ``frames`` are what really happened, not what was asked."""

    row: Row
    how: str
    times: int
    findings: Findings
    timing: Timing
    problems: Sequence[str]
    note: str = ""

    @property
    def clean(self) -> bool:
        """Nothing lost, nothing twice, and the line came back by itself."""
        return self.findings.clean and not self.problems and self.times > 0


class Producer:
    """The line's producer; a second ``start`` after a kill goes on where it was."""

    def __init__(self, line: ChaosLine, row: Row) -> None:
        self._line = line
        options = {"rate": row.rate, "frame-bytes": row.frame_bytes, **row.producer_options}
        config = line.proxied_config if row.proxied == "producer" else line.config
        self._arguments = ["-c", str(config), "--dir", str(line.dir)]
        self._arguments += [f"--{name}={value}" for name, value in options.items()]
        self._arguments += ["--pictures"] if row.real_model else []
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Publish until killed or finished."""
        self._process = self._line.start("scenario_producer.py", *self._arguments, log="producer.log")

    def add(self, argument: str) -> None:
        """Give it one more argument, from its next start on."""
        self._arguments.append(argument)

    def kill(self) -> None:
        """SIGKILL it, wherever it is."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def finish(self) -> int:
        """Send what can be sent; return the exit code.

        What it had no time for waits in the spool for its next start, as ever: on a busy machine minutes of frames.
        """
        assert self._process is not None
        code = end(self._process, 2 * FLUSH_S)
        for _ in range(_DRAINS):
            if code != FRAMES_LEFT:
                break
            arguments = (*self._arguments, "--drain")
            process = self._line.start("scenario_producer.py", *arguments, log="producer.log")
            code = process.wait(3 * FLUSH_S)
        return code

    def spooled(self) -> set[str]:
        """Return the ids of the frames in its spool, while it does not run."""
        return spooled_ids(self._line.dir / "spool")

    def acked(self) -> int:
        """Return how many acknowledgements it has logged."""
        log = self._line.dir / "acked.jsonl"
        return log.read_bytes().count(b"\n") if log.exists() else 0


def run(row: Row, cluster: Cluster, folder: Path, scale: float = 1.0) -> RowResult:
    """Play a row at a scale (at least one fault); the folder keeps logs and evidence."""
    with running_line(cluster, folder, **row.sections) as line:
        fault = row.fault(scale)
        config = line.proxied_config if row.proxied == "inspectors" else line.config
        options = [*fault.worker_options, *(["--plant=injected.real_model"] if row.real_model else [])]
        stage = Stage(line, Fleet(line, config, options), Producer(line, row), random.Random(row.name))
        keeper = line.start("truth.py", str(line.truth_log), "-c", str(line.config), "--follow", log="truth.log")
        with stage.at_the_end:
            _play(stage, fault, row, max(1, round(scale * row.times)), round(scale * row.frames))
        if row.repaired:
            _repair(stage)
        code = end(keeper)
        if code != 0:
            stage.problems.append(f"the truth keeper ended with {code}")
        if forgotten := stage.owed - {frame.frame_id for frame in read_truth(line.truth_log)}:
            stage.problems.append(f"{len(forgotten)} frames of the spool never came to Kafka, {min(forgotten)} first")
        findings = check(
            line.truth_log,
            settings_of.load(line.config),
            journal=line.dir,
            acked=[line.dir / "acked.jsonl"],
            verdict_of=None if row.real_model else stub_verdict,
        )
        # Not dead letters too: where there are few, hours between two of them say nothing of the line.
        alerts = line.committed("alerts")
        if stage.problems or not findings.clean:
            print(findings.summary(), findings.examples, line.log_tails(), sep="\n", file=sys.stderr)
        return RowResult(
            row, fault.how, stage.times, findings, timing(alerts, stage.healed_at_s), stage.problems, stage.note
        )


def _repair(stage: Stage) -> None:
    done = stage.line.repair()
    if done.returncode != 0:
        stage.problems.append(f"reconcile --repair ended with {done.returncode}: {done.stderr[-300:]}")
        return
    repaired = json.loads(done.stdout)["repaired"]
    if not sum(repaired.values()):
        stage.problems.append("reconcile found nothing to repair: the fault was none")
    stage.note = (
        f"repaired by reconcile: {', '.join(f'{kind} {count}' for kind, count in repaired.items()) or 'nothing'}"
    )


def _play(stage: Stage, fault: Fault, row: Row, times: int, frames: int) -> None:
    fault.prepare(stage)
    for replica in INSPECTORS:
        stage.fleet.start(replica)
    stage.producer.start()
    stage.wait(lambda: stage.line.committed("alerts") != [], _WARM_UP_S, "a first alert")
    while stage.times < times and not stage.problems:
        time.sleep(row.gap_s)
        fault.inject(stage)
    fault.finish(stage)
    time.sleep(row.gap_s)
    stage.wait(lambda: stage.producer.acked() >= frames, frames / row.rate + _DRAIN_S, f"{frames} frames")
    if (code := stage.producer.finish()) != 0:
        stage.problems.append(f"the producer ended with {code}: frames of it wait in its spool")
    stage.wait(lambda: stage.line.lag() == 0, _DRAIN_S, "the line drained")
    stage.problems += [f"{death.replica} ended with {death.code}" for death in stage.fleet.unforeseen]
    stage.problems += [f"an inspector left with {code}" for code in stage.fleet.finish() if code != 0]
