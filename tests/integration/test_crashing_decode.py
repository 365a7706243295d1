"""Frames whose decoding ends the process, on real Kafka and Redis, among good ones and among kills and outages."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from line import Line, running_line
from local_services import Services
from stub_line_worker import DEFECT, EXIT, SEGFAULT

from inspector.apps.supervisor import EXIT_TRY_AGAIN

WORKER = Path(__file__).with_name("stub_line_worker.py")
JPEG = b"\xff\xd8\xff "

pytestmark = [pytest.mark.services]


@dataclass
class Keeper:
    """Keeps one worker running, as a supervisor would, and remembers how each of its lives ended."""

    line: Line
    replica: str
    options: tuple[str, ...] = ()
    deaths: list[int] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def look_after(self) -> None:
        """Start the worker if it is not running."""
        if self.process is not None and (code := self.process.poll()) is not None:
            self.deaths.append(code)
            self._close()
        if self.process is None:
            with (self.line.dir / f"{self.replica}.log").open("ab") as log:
                self.process = subprocess.Popen(
                    [sys.executable, str(WORKER), "-c", str(self.line.config), *self.options],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "INSPECTOR_REPLICA": self.replica},
                )
            self.line.processes.append(self.process)

    def crashes(self) -> list[int]:
        """Return how its lives ended, but for those that found a server away for a moment, as on a busy machine."""
        return [code for code in self.deaths if code != EXIT_TRY_AGAIN]

    def stop(self) -> None:
        """Let the worker finish: it reads the end of its standard input."""
        if self.process is not None:
            process = self.process
            self._close()
            assert process.wait(60) == 0

    def _close(self) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process = None

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)


def run_until_drained(
    line: Line, keepers: list[Keeper], timeout_s: float, meanwhile: Callable[[], None] = lambda: None
) -> None:
    deadline = time.monotonic() + timeout_s
    while line.lag() != 0:
        assert time.monotonic() < deadline, f"not drained in {timeout_s:.0f} s:\n{line.logs()}"
        for keeper in keepers:
            keeper.look_after()
        meanwhile()
        time.sleep(0.2)
    for keeper in keepers:
        keeper.stop()


def record(number: int, image: bytes) -> Mapping[str, Any]:
    key = f"cam{number % 4}".encode()
    return {"key": key, "value": JPEG + image, "headers": [("frame_id", f"f{number:05}".encode())]}


def check(line: Line, images: list[bytes]) -> None:
    """Every good frame was inspected, each alert came once, and the dead letters are the crashing frames."""
    crashing = {f"f{n:05}" for n, image in enumerate(images) if image in (SEGFAULT, EXIT)}
    letters = [dict(letter.headers) for letter in line.dead_letters()]
    assert Counter((h["frame_id"].decode(), h["reason"].decode()) for h in letters) == Counter(
        (frame_id, "decoder_crash") for frame_id in crashing
    )
    assert all(headers["attempts"] == b"3" for headers in letters)
    assert line.results().keys() == {f"f{n:05}" for n in range(len(images))} - crashing
    assert Counter(alert.frame_id for alert in line.alerts()) == Counter(
        f"f{n:05}" for n, image in enumerate(images) if image == DEFECT
    )


def made(count: int, crashing: Mapping[int, bytes]) -> list[bytes]:
    return [crashing.get(n, DEFECT if n % 5 == 0 else b"good") for n in range(count)]


@pytest.fixture
def line(services: Services, tmp_path: Path, topic_prefix: str) -> Iterator[Line]:
    with running_line(services, tmp_path, topic_prefix) as running:
        yield running


@pytest.mark.timeout(180)
def test_a_frame_that_crashes_the_decoder_is_a_dead_letter_at_its_third_death_and_its_batch_is_served(
    line: Line,
) -> None:
    images = made(60, {17: SEGFAULT})
    line.publish(record(n, image) for n, image in enumerate(images))
    keeper = Keeper(line, "a")
    run_until_drained(line, [keeper], 150)
    check(line, images)
    assert keeper.crashes() == [-signal.SIGSEGV] * 3


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_kills_and_outages_beside_crashing_frames_cost_no_good_frame(
    own_services: Callable[[int], Services], tmp_path: Path, topic_prefix: str
) -> None:
    """Two workers, three crashing frames, a kill of one or the other every few seconds, Redis away now and then."""
    services = own_services(1)
    rng = random.Random(7)
    images = made(6000, {700: SEGFAULT, 702: EXIT, 3500: EXIT})
    kills = outages = 0
    next_s = time.monotonic() + 5
    with running_line(services, tmp_path, topic_prefix) as line:
        keepers = [Keeper(line, name, ("--decode-ms", "2", "--score-ms", "10")) for name in ("a", "b")]

        def meanwhile() -> None:
            nonlocal kills, outages, next_s
            if time.monotonic() < next_s or kills >= 30:
                return
            next_s = time.monotonic() + rng.uniform(1, 6)
            if rng.random() < 0.2:
                services.act("kill", "redis")
                time.sleep(rng.uniform(0.5, 3))
                services.act("start", "redis")
                outages += 1
            else:
                rng.choice(keepers).kill()
                kills += 1

        line.publish(record(n, image) for n, image in enumerate(images))
        run_until_drained(line, keepers, 1200, meanwhile)
        print(f"{kills} kills, {outages} outages of Redis, deaths: {[keeper.deaths for keeper in keepers]}")
        check(line, images)
