"""A line of one broker for the checker's own tests: stub workers, a producer of stub frames, and the checker."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from acts import times_acted
from checker import check
from findings import Findings
from line import Line, running_line, wait_for
from local_services import Services
from stub_engine import stub_verdict
from truth import REJECT_PREFIX, keeper, record

from inspector import settings as settings_of
from inspector.domain.result import PredLabel

_HERE = Path(__file__).resolve().parent
SESSION_TIMEOUT_MS = 6_000  # the shortest that a broker accepts by default
CAMERAS = tuple(f"cam{number}" for number in range(8))
_FRAME_BYTES = 300
_BATCH = {"max_size": 8, "max_wait_ms": 20, "max_queued_frames": 16}


@dataclass
class SmallLine:
    """Stub workers on a line of their own topics."""

    line: Line
    published: int = 0

    @property
    def dir(self) -> Path:
        return self.line.dir

    def publish(self, how_many: int, *, rejected: Sequence[int] = (), anomalous_only: bool = False) -> None:
        """Publish so many frames, camera by turns; those numbers of them ask to be rejected."""
        numbers = range(self.published, self.published + how_many)
        self.line.publish(self._record(number, number in rejected, anomalous_only) for number in numbers)
        self.published += how_many

    def _record(self, number: int, rejected: bool, anomalous_only: bool) -> dict[str, object]:
        start = REJECT_PREFIX + b"undecodable\n" if rejected else b"frame "
        images = ((start + f"{number} {salt} ".encode()).ljust(_FRAME_BYTES, b".") for salt in count(0))
        image = next(each for each in images if rejected or not anomalous_only or _is_anomalous(each))
        expected = "rejected:undecodable" if rejected else "inspected"
        return record(CAMERAS[number % len(CAMERAS)], f"f{number:06}", image, number // len(CAMERAS), expected)

    def start(self, replica: str, *options: str) -> subprocess.Popen[bytes]:
        """Start one supervised stub worker."""
        command = [sys.executable, str(_HERE / "stub_worker.py"), "-c", str(self.line.config), "--dir", str(self.dir)]
        timeout = ["--session-timeout-ms", str(SESSION_TIMEOUT_MS)]
        with (self.dir / f"{replica}.log").open("ab") as log:
            worker = subprocess.Popen(
                [*command, *timeout, *options], stdout=log, stderr=log, env={**os.environ, "INSPECTOR_REPLICA": replica}
            )
        self.line.processes.append(worker)
        return worker

    def worker_pid(self, supervisor: subprocess.Popen[bytes]) -> int:
        """Return the process id of the worker that a supervisor runs now."""
        (pid,) = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children").read_text().split()
        return int(pid)

    def wait_stopped(self, pid: int, timeout_s: float = 60.0) -> None:
        """Wait until a process is stopped, as by SIGSTOP."""
        wait_for(lambda: " T " in Path(f"/proc/{pid}/stat").read_text(), timeout_s, self.line.logs)

    def wait_acted(self, replica: str, times: int = 1, timeout_s: float = 60.0) -> None:
        """Wait until a worker's acts have happened so many times."""
        wait_for(lambda: times_acted(self.dir / f"acts-{replica}") >= times, timeout_s, self.line.logs)

    def check(self) -> Findings:
        """Bring the truth up to date and hold the line against it."""
        settings = settings_of.load(self.line.config)
        truth = self.dir / "truth.jsonl"
        with closing(keeper(truth, settings)) as kept:
            kept.catch_up()
        return check(truth, settings, journal=self.dir)


@contextmanager
def small_line(services: Services, directory: Path, prefix: str) -> Iterator[SmallLine]:
    """Create it; at the end stop what was started."""
    directory.mkdir(parents=True, exist_ok=True)
    with running_line(services, directory, prefix, batch=_BATCH, limits={"max_frame_bytes": 2**20}) as line:
        yield SmallLine(line)


def _is_anomalous(image: bytes) -> bool:
    return stub_verdict(hashlib.sha256(image).hexdigest()).label is PredLabel.ANOMALOUS
