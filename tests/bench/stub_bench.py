"""A line whose scorer takes a known time, for measuring the line itself: a real worker, real Kafka, real Redis."""

from __future__ import annotations

import bisect
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "integration")]

from line import Line, running_line  # noqa: E402  tests are no package
from local_services import Services, running  # noqa: E402

WORKER = TESTS / "integration" / "stub_line_worker.py"
CAMERAS = 6
# Nothing measured may be trimmed before it is counted.
_KEPT = {"good_per_camera": 10**6, "defect_per_camera": 10**6}


@contextmanager
def servers() -> Iterator[Services]:
    """Those of KAFKA_BOOTSTRAP and REDIS_URL, else fresh ones."""
    kafka, redis = os.environ.get("KAFKA_BOOTSTRAP"), os.environ.get("REDIS_URL")
    if kafka and redis:
        yield Services(kafka, redis, None)
        return
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "services", 1) as own:
        yield own


@contextmanager
def stub_line(services: Services, **settings: Any) -> Iterator[Line]:
    """Yield a line with topics of its own."""
    prefix = f"t-{uuid.uuid4().hex[:12]}-"
    with tempfile.TemporaryDirectory() as folder:
        wanted = {"retention": _KEPT, "log_level": "WARNING", **settings}
        with running_line(services, Path(folder), prefix, **wanted) as line:
            yield line


@contextmanager
def worker(line: Line, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run one worker without a supervisor while the block runs, then let it finish its batches."""
    with (line.dir / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, str(WORKER), "-c", str(line.config), *options],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**os.environ, "INSPECTOR_REPLICA": "bench"},
        )
    try:
        yield process
    finally:
        if process.stdin is not None:
            process.stdin.close()
        if process.wait(60) != 0:
            raise RuntimeError(f"the worker ended with {process.returncode}:\n{line.logs()}")


def frames(first: int, count: int, size_bytes: int) -> Iterator[Mapping[str, Any]]:
    """Yield records for ``Line.publish``; one frame in ten is anomalous."""
    for number in range(first, first + count):
        mark = b"DEFECT" if number % 10 == 0 else b"good"
        image = b"\xff\xd8\xff " + mark + number.to_bytes(8, "big") + bytes(size_bytes)
        yield {"key": f"cam{number % CAMERAS}".encode(), "value": image}


def inspected_s(line: Line) -> list[float]:
    """Return when each frame was inspected (seconds since 1970), in order."""
    return sorted(result.inspected_at.timestamp() for result in line.results().values())


def rate(times_s: Sequence[float], begin_s: float, end_s: float) -> float:
    """Return the frames per second inspected between two moments."""
    return (bisect.bisect(times_s, end_s) - bisect.bisect(times_s, begin_s)) / (end_s - begin_s)


def middle_rate(times_s: Sequence[float]) -> float:
    """Return the frames per second of the middle nine tenths: start and end of a run are another matter."""
    cut = max(1, len(times_s) // 20)
    middle = times_s[cut:-cut]
    return (len(middle) - 1) / (middle[-1] - middle[0])


def wait_inspected(line: Line, count: int, timeout_s: float) -> list[float]:
    """Wait until ``count`` frames are inspected and committed."""
    line.wait_drained(timeout_s)
    times_s = inspected_s(line)
    assert len(times_s) == count, f"{len(times_s)} of {count} frames were inspected"
    return times_s


def load_average() -> float:
    """Return the load of the last minute: above the number of cores, figures say little."""
    return os.getloadavg()[0]


def now_s() -> float:
    """Return the wall clock, as results are stamped by it."""
    return time.time()
