"""Faults of the servers: brokers killed one by one or all together, Redis killed, away, full, its log cut short."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scenario import INSPECTORS, Stage

from inspector.adapters.kafka.connection import admin_client

_WHOLE_AGAIN_S = 120.0
_INTERNAL_TOPICS = ("__consumer_offsets", "__transaction_state")


@dataclass
class BrokerKilled:
    """SIGKILL of one broker after the other; whoever coordinates the group and the transactions is among three.

    Halfway through each outage an inspector is killed, too: its successor has to join with a broker missing.
    """

    away_s: float = 10.0
    worker_options: Sequence[str] = ()
    _killed: list[str] = field(default_factory=list, repr=False)

    @property
    def how(self) -> str:
        names = ", ".join(sorted(set(self._killed)))
        return f"SIGKILL of {names} by turns, away {self.away_s:.0f} s; halfway, SIGKILL of an inspector"

    def prepare(self, stage: Stage) -> None:
        pass

    def inject(self, stage: Stage) -> None:
        broker = stage.cluster.brokers[stage.times % len(stage.cluster.brokers)]
        stage.node("kill", broker)
        stage.happened()  # recovery counts from here: two of three go on without it
        self._killed.append(broker)
        _away(stage, self.away_s)
        stage.node("start", broker)
        stage.wait(lambda: is_whole(stage), _WHOLE_AGAIN_S, f"{broker} in sync again")

    def finish(self, stage: Stage) -> None:
        pass


@dataclass
class AllBrokersDown:
    """SIGKILL of all brokers at once, for each of ``away_s`` by turns; producers spool to disk meanwhile.

    Halfway through, an inspector is killed, too: its successor finds no broker at all.
    """

    away_s: Sequence[float] = (150.0,)
    worker_options: Sequence[str] = ()
    _played_s: list[float] = field(default_factory=list, repr=False)

    @property
    def how(self) -> str:
        times = ", ".join(f"{away_s:.0f}" for away_s in self._played_s)
        return f"SIGKILL of all, away {times} s; halfway, SIGKILL of an inspector"

    def prepare(self, stage: Stage) -> None:
        pass

    def inject(self, stage: Stage) -> None:
        away_s = self.away_s[stage.times % len(self.away_s)]
        for broker in stage.cluster.brokers:
            stage.node("kill", broker)
        self._played_s.append(away_s)
        _away(stage, away_s)
        stage.cluster.up()  # all together: one of three has no quorum and would never answer
        stage.happened()
        stage.wait(lambda: is_whole(stage), _WHOLE_AGAIN_S, "all brokers in sync again")

    def finish(self, stage: Stage) -> None:
        pass


def _away(stage: Stage, away_s: float) -> None:
    time.sleep(away_s / 2)
    stage.fleet.kill(stage.rng.choice(INSPECTORS))
    time.sleep(away_s / 2)


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
        log = newest_log(folder / "data" / "redis" / "appendonlydir")
        with log.open("r+b") as file:
            file.truncate(max(0, log.stat().st_size - self.cut_bytes))
        stage.node("start", "redis")
        stage.happened()

    def finish(self, stage: Stage) -> None:
        pass


def newest_log(folder: Path) -> Path:
    """Return the log that Redis appends to: after each rewriting it begins another, ``NAME.NUMBER.incr.aof``."""
    return max(folder.glob("*.incr.aof"), key=lambda path: int(path.name.split(".")[-3]))
