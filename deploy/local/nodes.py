"""How each server is configured, started, asked whether it answers, and told apart from the others."""

from __future__ import annotations

import socket
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import process
from jars import HERE, library
from plan import HOST, Broker, Plan
from process import ServiceError

MIB = 1024 * 1024
# Above every topic's own limit: frames <= 16 MiB, and a dead letter is larger than the frame it wraps.
MAX_MESSAGE_BYTES = 32 * MIB
JVM_OPTIONS = ["-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-Djava.awt.headless=true"]


@dataclass(frozen=True)
class Node:
    """One server process and its places under the services' folder."""

    name: str
    folder: Path

    @property
    def record(self) -> Path:
        """File that names the process."""
        return self.folder / "run" / f"{self.name}.json"

    @property
    def log(self) -> Path:
        """File with the server's output."""
        return self.folder / "logs" / f"{self.name}.log"

    @property
    def data(self) -> Path:
        """Folder with the server's data."""
        return self.folder / "data" / self.name


def nodes(plan: Plan, folder: Path) -> list[Node]:
    """All servers of `plan`: kafka-1, ..., redis."""
    return [*(Node(f"kafka-{broker.number}", folder) for broker in plan.brokers), Node("redis", folder)]


def launch(node: Node, plan: Plan) -> None:
    """Starts one server; its data is made first where there is none. Does not wait for it to answer."""
    is_redis = node.name == "redis"
    command = _redis_command(node, plan) if is_redis else _kafka_command(node, plan, _broker(node, plan))
    process.start(node.record, command, node.log)


def answers(node: Node, plan: Plan) -> bool:
    """Whether the server does its work: Redis has loaded its data, a broker knows all brokers that should be up."""
    try:
        if node.name == "redis":
            return _ask(plan.redis_port, b"PING\r\n", _read_line) == b"+PONG"
        return _broker_count(_broker(node, plan).port) >= _quorum(plan, node.folder)
    except (OSError, EOFError, struct.error):
        return False


def _quorum(plan: Plan, folder: Path) -> int:
    """How many brokers are to be seen: those of this plan whose process lives."""
    return sum(process.living_pid(node.record) is not None for node in nodes(plan, folder) if node.name != "redis")


def _broker(node: Node, plan: Plan) -> Broker:
    return next(broker for broker in plan.brokers if node.name == f"kafka-{broker.number}")


def _redis_command(node: Node, plan: Plan) -> list[str]:
    node.data.mkdir(parents=True, exist_ok=True)
    options = {
        "--bind": HOST,
        "--port": str(plan.redis_port),
        "--dir": str(node.data),
        "--appendonly": "yes",
        "--appendfsync": "always",  # a result that was acknowledged survives a kill
        "--save": "",
        "--maxmemory-policy": "noeviction",  # full is an error that is seen, never a result that is gone
        "--daemonize": "no",
    }
    return ["redis-server", *(part for option in options.items() for part in option)]


def _kafka_command(node: Node, plan: Plan, broker: Broker) -> list[str]:
    java = ["java", *JVM_OPTIONS, f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}", "-cp", f"{library()}/*"]
    settings = node.folder / "config" / f"{node.name}.properties"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("".join(f"{key}={value}\n" for key, value in _kafka_settings(node, plan, broker).items()))
    if not (node.data / "meta.properties").exists():
        _format(java, settings, plan, node)
    return [*java, "kafka.Kafka", str(settings)]


def _format(java: list[str], settings: Path, plan: Plan, node: Node) -> None:
    voters = ",".join(f"{one.number}@{HOST}:{one.controller_port}:{one.directory_id}" for one in plan.brokers)
    arguments = ["format", "-t", plan.cluster_id, "-c", str(settings), "--initial-controllers", voters]
    done = subprocess.run(
        [*java, "kafka.tools.StorageTool", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ServiceError(f"Kafka could not prepare {node.data}:\n{(done.stdout + done.stderr).strip()}")


def _kafka_settings(node: Node, plan: Plan, broker: Broker) -> dict[str, object]:
    replicas = len(plan.brokers)
    in_sync = 2 if replicas > 1 else 1
    controllers = ",".join(f"{HOST}:{one.controller_port}" for one in plan.brokers)
    return {
        "node.id": broker.number,
        "process.roles": "broker,controller",
        "controller.quorum.bootstrap.servers": controllers,
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{HOST}:{broker.port},CONTROLLER://{HOST}:{broker.controller_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": node.data,
        # A mistyped topic is an error to be told, not a topic.
        "auto.create.topics.enable": "false",
        # Exactly-once needs the internal topics as safe as the data.
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": 6,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": 6,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        # An orphaned transaction is aborted within a second of its time-out, not up to ten.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
        # Images are larger than Kafka's 1 MiB.
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "replica.fetch.max.bytes": MAX_MESSAGE_BYTES,
        "replica.fetch.response.max.bytes": MAX_MESSAGE_BYTES,
        # Quick for a person who watches and a test that waits.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "broker.session.timeout.ms": 6000,
        # Small: several of these share one desk.
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
        "log.cleaner.dedupe.buffer.size": 8 * MIB,
        **broker.extra_settings,
    }


def _broker_count(port: int) -> int:
    """Brokers that take part, as the broker on `port` sees it (Metadata request, version 1, of no topics)."""
    metadata, version, correlation = 3, 1, 1
    request = struct.pack(">hhih", metadata, version, correlation, -1) + struct.pack(">i", 0)
    answer = _ask(port, struct.pack(">i", len(request)) + request, _read_sized)
    count: int
    _, count = struct.unpack_from(">ii", answer)
    return count


def _ask(port: int, request: bytes, read: Callable[[BinaryIO], bytes]) -> bytes:
    with socket.create_connection((HOST, port), timeout=2.0) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as stream:
            return read(stream)


def _read_line(stream: BinaryIO) -> bytes:
    return stream.readline().rstrip(b"\r\n")


def _read_sized(stream: BinaryIO) -> bytes:
    head = stream.read(4)
    if len(head) < 4:
        raise EOFError("the broker closed the connection")
    return stream.read(struct.unpack(">i", head)[0])
