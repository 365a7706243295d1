"""What runs where: ports and identities of one set of services, drawn once and kept in DIR/plan.json.

Kept, because a broker that a test kills must come back under the same address with the same data.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import random
import socket
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from process import ServiceError

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Broker:
    """One Kafka node, broker and controller in one process.

    ``extra_settings`` replace or follow the usual ones: a fault test gives a broker another listener.
    """

    number: int
    port: int
    controller_port: int
    directory_id: str
    extra_settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """Everything that must survive a restart."""

    cluster_id: str
    brokers: tuple[Broker, ...]
    redis_port: int

    @property
    def kafka_bootstrap(self) -> str:
        """Addresses for `bootstrap_servers`."""
        return ",".join(f"{HOST}:{broker.port}" for broker in self.brokers)

    @property
    def redis_url(self) -> str:
        """Address of the Redis database."""
        return f"redis://{HOST}:{self.redis_port}/0"


def make(broker_count: int) -> Plan:
    """Draws ports and identities for a new set of services."""
    ports = _free_ports(2 * broker_count + 1)
    brokers = tuple(
        Broker(index + 1, ports[2 * index], ports[2 * index + 1], _kafka_uuid()) for index in range(broker_count)
    )
    return Plan(_kafka_uuid(), brokers, ports[-1])


def load(folder: Path) -> Plan | None:
    """The plan kept in `folder`; None when there is none yet."""
    try:
        kept = json.loads((folder / "plan.json").read_text())
    except FileNotFoundError:
        return None
    except json.JSONDecodeError as broken:
        raise ServiceError(f"{folder}/plan.json is not JSON ({broken}); delete {folder} to start anew") from broken
    brokers = tuple(Broker(**broker) for broker in kept["brokers"])
    return Plan(kept["cluster_id"], brokers, kept["redis_port"])


def save(plan: Plan, folder: Path) -> None:
    """Keeps `plan` in `folder`."""
    unfinished = folder / "plan.json.tmp"
    unfinished.write_text(json.dumps(dataclasses.asdict(plan), indent=2) + "\n")
    unfinished.replace(folder / "plan.json")


def _free_ports(count: int) -> list[int]:
    """Ports free on the loopback, from below the ephemeral range.

    From the ephemeral range the kernel also draws the local ports of outgoing connections: while a broker is down, a
    client that keeps knocking at its port could be given that very port and keep the broker from coming back.
    """
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = range(10_000, low) if low > 12_000 else range(61_000, 65_500)
    found: list[int] = []
    for port in random.SystemRandom().sample(candidates, k=min(500, len(candidates))):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise ServiceError(f"expected {count} free ports on {HOST}, found {len(found)}; end some servers")


def _kafka_uuid() -> str:
    """A random id in Kafka's spelling (URL-safe base64 of 16 bytes); a leading dash would read as an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text
