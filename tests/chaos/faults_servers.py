"""Faults of the servers: brokers killed one by one or all together, Redis killed, away, full, its log cut short."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from local_services import LOCAL
from scenario import Stage

from inspector.adapters.kafka.connection import admin_client

_WHOLE_AGAIN_S = 120.0
_INTERNAL_TOPICS = ("__consumer_offsets", "__transaction_state")


@dataclass
class BrokerKilled:
    """SIGKILL of one broker after the other; whoever coordinates the group and the transactions is among three."""

    away_s: float = 10.0
    worker_options: Sequence[str] = ()

    @property
    def how(self) -> str:
        return f"SIGKILL each in turn, away {self.away_s:.0f} s; the coordinators' are among them"

    def prepare(self, stage: Stage) -> None:
        pass

    def inject(self, stage: Stage) -> None:
        broker = stage.cluster.brokers[stage.times % len(stage.cluster.brokers)]
        stage.node("kill", broker)
        stage.happened()  # recovery counts from here: two of three go on without it
        time.sleep(self.away_s)
        stage.node("start", broker)
        stage.wait(lambda: is_whole(stage), _WHOLE_AGAIN_S, f"{broker} in sync again")

    def finish(self, stage: Stage) -> None:
        pass


@dataclass
class AllBrokersDown:
    """SIGKILL of all brokers at once; producers spool to disk meanwhile."""

    away_s: float = 150.0
    worker_options: Sequence[str] = ()

    @property
    def how(self) -> str:
        return f"SIGKILL all, away {self.away_s:.0f} s"

    def prepare(self, stage: Stage) -> None:
        pass

    def inject(self, stage: Stage) -> None:
        for broker in stage.cluster.brokers:
            stage.node("kill", broker)
        time.sleep(self.away_s)
        # All together: one of three has no quorum and would never answer.
        up = [sys.executable, str(LOCAL / "up"), str(stage.cluster.services.dir)]
        subprocess.run(up, check=True, stdout=subprocess.DEVNULL)
        stage.happened()
        stage.wait(lambda: is_whole(stage), _WHOLE_AGAIN_S, "all brokers in sync again")

    def finish(self, stage: Stage) -> None:
        pass


def is_whole(stage: Stage) -> bool:
    """Tell whether every replica of the line's and of Kafka's own topics is in sync."""
    topics = [*_INTERNAL_TOPICS, *(stage.line.topic(name) for name in ("frames", "alerts", "dead-letter"))]
    try:
        with admin_client(stage.line.connection) as admin:
            described = admin.describe_topics(topics)
    except Exception:  # whatever a client says to brokers that are just coming up
        return False
    return all(
        len(partition["isr_nodes"]) == len(partition["replica_nodes"])
        for topic in described
        for partition in topic["partitions"]
    )


@dataclass
class RedisKilled:
    """SIGKILL of Redis, started again after ``away_s``."""

    away_s: float = 1.0
    worker_options: Sequence[str] = ()

    @property
    def how(self) -> str:
        return f"SIGKILL, away {self.away_s:.0f} s"

    def prepare(self, stage: Stage) -> None:
        pass

    def inject(self, stage: Stage) -> None:
        stage.node("kill", "redis")
        time.sleep(self.away_s)
        stage.node("start", "redis")
        stage.happened()

    def finish(self, stage: Stage) -> None:
        pass


@dataclass
class RedisFull:
    """Redis refuses every write (`OOM command not allowed`) for ``full_s``; evicting is never its policy."""

    full_s: float = 20.0
    worker_options: Sequence[str] = ()

    @property
    def how(self) -> str:
        return f"maxmemory below what is used, {self.full_s:.0f} s"

    def prepare(self, stage: Stage) -> None:
        pass

    def inject(self, stage: Stage) -> None:
        with stage.line.redis() as client:
            client.config_resetstat()
            client.config_set("maxmemory", 1)
            time.sleep(self.full_s)
            client.config_set("maxmemory", 0)
            if "errorstat_OOM" not in client.info("errorstats"):
                stage.problems.append("Redis refused nothing: the fault was none")
        stage.happened()

    def finish(self, stage: Stage) -> None:
        pass


@dataclass
class RedisLogCut:
    """SIGKILL of Redis and the end of its log gone, as after a power cut on a disk that lied; then started again."""

    cut_bytes: int = 20_000
    worker_options: Sequence[str] = ("--plant=injected.one_version",)

    @property
    def how(self) -> str:
        return f"SIGKILL, the log's last {self.cut_bytes} bytes gone (aof-load-truncated)"

    def prepare(self, stage: Stage) -> None:
        pass

    def inject(self, stage: Stage) -> None:
        stage.node("kill", "redis")
        folder = stage.cluster.services.dir
        assert folder is not None
        (log,) = (folder / "data" / "redis" / "appendonlydir").glob("*.incr.aof")
        with log.open("r+b") as file:
            file.truncate(max(0, log.stat().st_size - self.cut_bytes))
        stage.node("start", "redis")
        stage.happened()

    def finish(self, stage: Stage) -> None:
        pass
