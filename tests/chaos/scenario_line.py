"""A line of a scenario's own on the cluster: its topics, its settings, and the processes that work on it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from cluster_of_three import PARTITIONS, Cluster
from kafka import errors

from inspector.adapters.kafka.connection import KafkaConnection, admin_client
from inspector.adapters.kafka.lag import group_lag
from inspector.adapters.kafka.readers import read_committed
from inspector.domain.errors import ServiceUnavailableError
from inspector.pipeline.ports import LogRecord

_log = logging.getLogger(__name__)

CHAOS = Path(__file__).resolve().parent
_END_TIMEOUT_S = 60.0
_MAX_VALUE_BYTES = 2**25
_TAIL_LINES, _TAIL_CHARS = 8, 500


@dataclass
class ChaosLine:
    """``config`` leads straight to the brokers, ``proxied_config`` through the proxy."""

    cluster: Cluster
    dir: Path
    prefix: str
    config: Path
    proxied_config: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def connection(self) -> KafkaConnection:
        """The direct way to the brokers."""
        return KafkaConnection(self.cluster.services.kafka_bootstrap)

    @property
    def truth_log(self) -> Path:
        """Where the truth keeper writes."""
        return self.dir / "truth.jsonl"

    def topic(self, name: str) -> str:
        """Return the line's own topic of this kind."""
        return f"{self.prefix}{name}"

    def redis(self) -> redis.Redis:
        """Return a client of the line's Redis."""
        return redis.Redis.from_url(self.cluster.services.redis_url)

    def start(self, script: str, *arguments: str, log: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a script of this folder; its output is appended to ``log``."""
        with (self.dir / log).open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, str(CHAOS / script), *arguments], stdout=output, stderr=output, **options
            )
        self.processes.append(process)
        return process

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the service to its end, whatever it is."""
        return subprocess.run(
            [sys.executable, "-m", "inspector", *arguments, "-c", str(self.config)],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def repair(self) -> subprocess.CompletedProcess[str]:
        """Run ``inspector reconcile --repair`` to its end, with the stub for a scorer."""
        command = [sys.executable, str(CHAOS / "scenario_repair.py"), "-c", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)

    def lag(self) -> int | None:
        """Return how many frames are published and not committed; None while the brokers do not say."""
        try:
            return sum(group_lag(self.connection, self.topic("group"), self.topic("frames")).values())
        except ServiceUnavailableError:
            return None

    def committed(self, name: str) -> list[LogRecord]:
        """Return the committed records of a topic, to its end as it is now."""
        return list(read_committed(self.connection, self.topic(name), max_value_bytes=_MAX_VALUE_BYTES))

    def log_tails(self) -> str:
        """Return the ends of all logs, without what is told of single defects, for a failure's message."""
        tails = []
        for path in sorted(self.dir.glob("*.log")):
            told = [each for each in path.read_text(errors="replace").splitlines() if '"defect"' not in each]
            tails += [f"--- {path.name}", *(each[:_TAIL_CHARS] for each in told[-_TAIL_LINES:])]
        return "\n".join(tails)


def end(process: subprocess.Popen[bytes], timeout_s: float = _END_TIMEOUT_S) -> int:
    """Ask a process to finish and return its exit code; one that does not in time is killed."""
    process.terminate()
    return wait_or_kill(process, timeout_s)


def wait_or_kill(process: subprocess.Popen[bytes], timeout_s: float = _END_TIMEOUT_S) -> int:
    """Wait for a process that was told to finish and return its exit code; one that does not in time is killed."""
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


@contextmanager
def running_line(cluster: Cluster, folder: Path, **sections: Mapping[str, Any]) -> Iterator[ChaosLine]:
    """Create topics and settings on whole servers and an empty Redis; at the end neither a process nor a topic is left.

    The topics go because a matrix at full size would fill tens of gigabytes with them.
    """
    cluster.be_whole()
    folder.mkdir(parents=True)
    prefix = f"chaos-{uuid.uuid4().hex[:12]}-"
    config = _write(folder / "inspector.yaml", cluster, prefix, cluster.services.kafka_bootstrap, sections)
    proxied_config = _write(folder / "proxied.yaml", cluster, prefix, cluster.proxied_bootstrap, sections)
    line = ChaosLine(cluster, folder, prefix, config, proxied_config)
    with line.redis() as client:
        client.flushdb()
    try:
        created = line.command("topics", "create")
        assert created.returncode == 0, created.stderr
        yield line
    finally:
        for process in line.processes:
            process.kill()  # also one that is stopped
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
        _delete_topics(line)


def _delete_topics(line: ChaosLine) -> None:
    names = [line.topic(name) for name in ("frames", "alerts", "dead-letter", "config", "feedback")]
    try:
        with admin_client(line.connection) as admin:
            admin.delete_topics(names, raise_errors=False)
    except (
        errors.KafkaError,
        ServiceUnavailableError,
    ) as error:  # brokers that a broken scenario left down; the next one starts them
        _log.warning("topics %s* are left behind: %s", line.prefix, error)


def _write(path: Path, cluster: Cluster, prefix: str, bootstrap: str, sections: Mapping[str, Any]) -> Path:
    kafka = {
        "bootstrap_servers": bootstrap,
        "group": f"{prefix}group",
        "frames_topic": f"{prefix}frames",
        "alerts_topic": f"{prefix}alerts",
        "dead_letter_topic": f"{prefix}dead-letter",
        "config_topic": f"{prefix}config",
        "feedback_topic": f"{prefix}feedback",
        "weights_topic": f"{prefix}weights",
        "partitions": PARTITIONS,
        "replication_factor": cluster.replication_factor,
    }
    # Retention by count would take results that the checker looks for.
    retention = {"good_per_camera": 10**6, "defect_per_camera": 10**6}
    redis_url = {"url": cluster.services.redis_url}
    path.write_text(json.dumps({"kafka": kafka, "redis": redis_url, "retention": retention, **sections}))
    return path


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment with something added."""
    return {**os.environ, **more}
