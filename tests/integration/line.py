"""A whole line for a test: own topics, real inspector processes, and readers for what came out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from kafka import KafkaProducer
from local_services import Services

from inspector.adapters.kafka.connection import KafkaConnection
from inspector.adapters.kafka.lag import group_lag
from inspector.adapters.kafka.readers import read_committed
from inspector.adapters.redis.connection import connect
from inspector.adapters.redis.results import RedisResults
from inspector.domain.alert import Alert
from inspector.domain.errors import ServiceUnavailableError
from inspector.domain.reject_alert import RejectAlert
from inspector.domain.result import InspectionResult
from inspector.pipeline import alert_record, reject_record
from inspector.pipeline.ports import LogRecord
from inspector.pipeline.reject_record import is_reject_alert

START_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Published:
    """Where a frame of the test landed."""

    partition: int
    offset: int


@dataclass
class Line:
    """Topics and group of their own on the shared servers; ``config`` is the settings file of every process."""

    services: Services
    dir: Path
    prefix: str
    config: Path
    redis_url: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    command_timeout_s: float = 240.0

    @property
    def frames_topic(self) -> str:
        return f"{self.prefix}frames"

    @property
    def connection(self) -> KafkaConnection:
        return KafkaConnection(self.services.kafka_bootstrap)

    def run(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "inspector", *arguments, "-c", str(self.config)],
            capture_output=True,
            text=True,
            timeout=self.command_timeout_s,
            env={**os.environ, **environment},
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def start_inspector(self, replica: str) -> subprocess.Popen[bytes]:
        """Start one supervised inspector in a process group of its own."""
        with (self.dir / f"{replica}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "inspector", "inspect", "-c", str(self.config)],
                stdout=log,
                stderr=log,
                env={**os.environ, "INSPECTOR_REPLICA": replica},
            )
        self.processes.append(process)
        return process

    def kill(self, inspector: subprocess.Popen[bytes]) -> None:
        """SIGKILL an inspector's worker in the midst of whatever it does, and its parent, which would restart it."""
        workers = Path(f"/proc/{inspector.pid}/task/{inspector.pid}/children").read_text().split()
        assert len(workers) == 1, f"expected one worker, got {workers}"
        inspector.send_signal(signal.SIGSTOP)
        os.kill(int(workers[0]), signal.SIGKILL)
        inspector.kill()

    def publish(self, records: Iterable[Mapping[str, Any]]) -> list[Published]:
        """Publish records (keyword arguments of ``KafkaProducer.send``) as a stranger's producer would."""
        producer = KafkaProducer(
            bootstrap_servers=self.services.kafka_bootstrap, max_request_size=2**25, acks="all", linger_ms=5
        )
        futures = [producer.send(self.frames_topic, **record) for record in records]
        producer.flush(60)
        placed = [future.get(60) for future in futures]
        producer.close()
        return [Published(meta.partition, meta.offset) for meta in placed]

    def lag(self) -> int | None:
        """Return how many published frames are not committed; None while a fresh broker makes its group coordinator."""
        try:
            return sum(group_lag(self.connection, f"{self.prefix}group", self.frames_topic).values())
        except ServiceUnavailableError:
            return None

    def wait_drained(self, timeout_s: float = 180.0) -> None:
        """Wait until every published frame's offset is committed."""
        self.wait_lag(0, timeout_s)

    def wait_lag(self, at_most: int, timeout_s: float = 180.0) -> None:
        """Wait until at most so many published frames are not committed."""
        wait_for(lambda: (lag := self.lag()) is not None and lag <= at_most, timeout_s, self.logs)

    def alerts(self) -> list[Alert]:
        return [
            alert_record.decode(record.value or b"")
            for record in self._committed("alerts")
            if not is_reject_alert(record)
        ]

    def reject_alerts(self) -> list[RejectAlert]:
        records = [record for record in self._committed("alerts") if is_reject_alert(record)]
        return [reject_record.decode(record.value or b"") for record in records]

    def dead_letters(self) -> list[LogRecord]:
        return list(self._committed("dead-letter"))

    def results(self) -> dict[str, InspectionResult]:
        store = RedisResults(connect(self.redis_url))
        return {r.frame_id: r for camera in store.cameras() for r in store.last(camera, 1_000_000)}

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in sorted(self.dir.glob("*.log")))

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(60)

    def _committed(self, name: str) -> Iterator[LogRecord]:
        return read_committed(
            self.connection,
            f"{self.prefix}{name}",
            since=None,
            follow=False,
            stop=lambda: False,
            max_value_bytes=2**25,
        )


def wait_for(done: Callable[[], bool], timeout_s: float, explain: Callable[[], str]) -> None:
    """Poll until ``done()``; fail with ``explain()`` when it takes too long."""
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s:\n{explain()}"
        time.sleep(0.2)


@contextmanager
def running_line(services: Services, directory: Path, prefix: str, **settings: Any) -> Iterator[Line]:
    """Create the topics and a settings file; at the end stop what was started and empty the Redis database."""
    database = 1 + int(prefix.strip("-").rsplit("-", 1)[-1], 16) % 15
    redis_url = f"{services.redis_url.rstrip('/').removesuffix('/0')}/{database}"
    config = directory / "inspector.yaml"
    kafka = {
        "bootstrap_servers": services.kafka_bootstrap,
        "group": f"{prefix}group",
        "frames_topic": f"{prefix}frames",
        "alerts_topic": f"{prefix}alerts",
        "dead_letter_topic": f"{prefix}dead-letter",
        "config_topic": f"{prefix}config",
        "feedback_topic": f"{prefix}feedback",
        "weights_topic": f"{prefix}weights",
        "partitions": 6,
    }
    config.write_text(json.dumps({"kafka": kafka, "redis": {"url": redis_url}, **settings}))
    line = Line(services, directory, prefix, config, redis_url)
    client = redis.Redis.from_url(redis_url)
    client.flushdb()
    try:
        # A topic that takes more than the inspector does: what is too large arrives and must be rejected.
        line.run("topics", "create", INSPECTOR_LIMITS__MAX_FRAME_BYTES=str(2**24))
        yield line
        line.stop()
    finally:
        for process in line.processes:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
        client.flushdb()
        client.close()
