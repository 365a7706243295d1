"""Real Kafka and Redis for tests, by the same scripts that a person uses; and where real photographs are."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ROOT / "deploy" / "local"
PHOTOGRAPHS = ROOT.parent / "shared" / "datasets"


@dataclass(frozen=True)
class Services:
    """Addresses of the servers under test; `dir` is None where they are not ours to break."""

    kafka_bootstrap: str
    redis_url: str
    dir: Path | None

    def act(self, action: str, name: str) -> None:
        """start, stop, kill, pause or resume one server: kafka-1, kafka-2, kafka-3, redis."""
        if self.dir is None:
            raise RuntimeError("these servers were given by KAFKA_BOOTSTRAP and REDIS_URL; a test must not break them")
        subprocess.run([sys.executable, str(LOCAL / "node"), str(self.dir), action, name], check=True)


@contextlib.contextmanager
def running(folder: Path, brokers: int) -> Iterator[Services]:
    """Servers with their data in `folder` for the length of a `with` block."""
    up = [sys.executable, str(LOCAL / "up"), str(folder), "--brokers", str(brokers)]
    done = subprocess.run(up, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    printed = dict(line.split("=", 1) for line in done.stdout.splitlines())
    try:
        yield Services(printed["KAFKA_BOOTSTRAP"], printed["REDIS_URL"], folder)
    finally:
        subprocess.run([sys.executable, str(LOCAL / "down"), str(folder)], check=True)
