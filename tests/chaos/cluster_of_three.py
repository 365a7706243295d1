"""Three real brokers (three replicas, two in sync) and Redis with its log synced at every write, for tests to break.

The brokers can be reached twice: directly, and through a proxy that can make the link slow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis
from local_services import LOCAL, Services, running
from proxy import HOST, Proxy

sys.path.append(str(LOCAL))
import plan as plans

BROKERS = 3
PARTITIONS = 6


@dataclass(frozen=True)
class Cluster:
    """``services`` is the direct way; ``proxied_bootstrap`` leads through ``proxy``. One Kafka or three."""

    services: Services
    proxy: Proxy
    proxied_bootstrap: str
    brokers: tuple[str, ...]

    @property
    def replication_factor(self) -> int:
        """Replicas of every topic."""
        return len(self.brokers)

    def up(self) -> None:
        """Start what does not run, and wait until everything answers."""
        command = [sys.executable, str(LOCAL / "up"), str(self.services.dir)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def be_whole(self) -> None:
        """Undo what a scenario that broke off may have left behind: servers down, a link cut or slow, Redis full."""
        self.proxy.link.be_healthy()
        self.proxy.mend()
        self.up()
        with redis.Redis.from_url(self.services.redis_url) as client:
            client.config_set("maxmemory", 0)


@contextlib.contextmanager
def running_cluster(folder: Path, brokers: int = BROKERS) -> Iterator[Cluster]:
    """A cluster with its data in ``folder`` (used once) for the length of a ``with`` block."""
    folder.mkdir(parents=True)
    # Twice as many brokers are drawn as are used: the ports of the others are those of the proxied listeners.
    drawn = plans.make(2 * brokers)
    proxy = Proxy([spare.port for spare in drawn.brokers[brokers:]])
    try:
        proxied = [
            dataclasses.replace(broker, extra_settings=_second_listener(broker, spare.port, port))
            for broker, spare, port in zip(drawn.brokers, drawn.brokers[brokers:], proxy.ports, strict=False)
        ]
        plans.save(dataclasses.replace(drawn, brokers=tuple(proxied)), folder)
        with running(folder, brokers) as services:
            bootstrap = ",".join(f"{HOST}:{port}" for port in proxy.ports)
            names = tuple(f"kafka-{broker.number}" for broker in proxied)
            yield Cluster(services, proxy, bootstrap, names)
    finally:
        proxy.close()


def _second_listener(broker: plans.Broker, port: int, proxy_port: int) -> dict[str, str]:
    usual = f"PLAINTEXT://{HOST}:{broker.port}"
    return {
        "listeners": f"{usual},PROXIED://{HOST}:{port},CONTROLLER://{HOST}:{broker.controller_port}",
        "advertised.listeners": f"{usual},PROXIED://{HOST}:{proxy_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
    }
