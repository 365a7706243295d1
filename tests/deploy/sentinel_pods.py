"""Pods of `redis-sentinel` as processes of this machine: the component's own scripts, on real servers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from kube_objects import K8S, Object, of_kind
from redis.backoff import NoBackoff
from redis.retry import Retry

from inspector.adapters.redis.connection import RedisAccess, connect
from inspector.domain.errors import ServiceUnavailableError

COMPONENT = K8S / "components" / "redis-sentinel"
# Any address of the loopback network is this machine's: each pod has one of its own, and the ports of the others.
HOSTS = [f"127.0.77.{number}" for number in (1, 2, 3)]
PORTS = {"REDIS_PORT": "16379", "SENTINEL_PORT": "26380"}
NOBODY = RedisAccess()


@dataclass
class Pod:
    """Both containers of a pod as processes; its volume is ``folder``, ``options`` how one has to ask its servers."""

    host: str
    folder: Path
    names: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def environment(self, container: str) -> dict[str, str]:
        own = {"SELF": self.host, "DATA": str(self.folder), "CONFIG": str(COMPONENT), "PEERS": " ".join(HOSTS)}
        patience = {"DOWN_AFTER_MS": "2000", "FAILOVER_TIMEOUT_MS": "6000"}
        return {**os.environ, **self.names, **PORTS, **own, **patience, "KEPT": str(self.folder / "kept" / container)}

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        for container in ("sentinel", "redis"):
            with (self.folder / f"{container}.log").open("ab") as log:
                command = ["sh", str(COMPONENT / f"start-{container}.sh"), "--bind", self.host]
                self.running.append(subprocess.Popen(command, env=self.environment(container), stdout=log, stderr=log))

    def leave(self) -> None:
        """As Kubernetes ends a pod: both containers at once, of which Redis's has something to do before."""
        self.running[0].terminate()
        subprocess.run(["sh", str(COMPONENT / "stop-redis.sh")], env=self.environment("redis"), check=True, timeout=60)
        self.end(signal.SIGTERM)

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        for process in self.running:
            process.send_signal(how)
        for process in self.running:
            process.wait(30)
        self.running.clear()

    def lives(self) -> bool:
        """What the liveness probes of both containers say."""
        asks_sentinel = f"ask.sh -h {self.host} -p {PORTS['SENTINEL_PORT']} ping | grep -q PONG"
        return self._says_yes("redis", "alive.sh") and self._says_yes("sentinel", asks_sentinel)

    def _says_yes(self, container: str, script: str) -> bool:
        environment = {**self.environment(container), "PROBED": self.host}
        probe = ["sh", "-c", f"sh {COMPONENT}/{script}"]
        return subprocess.run(probe, env=environment, capture_output=True, timeout=30).returncode == 0

    def role(self) -> str | None:
        """Whether it is a primary, or a replica that has caught up."""
        with contextlib.suppress(redis.RedisError), self.ask("REDIS_PORT") as client:
            told: dict[str, Any] = client.info("replication")
            if told["role"] == "master" or told["master_link_status"] == "up":
                return str(told["role"])
        return None

    def knows_all(self) -> bool:
        """Whether its sentinel sees the primary, two replicas in step with it, and two other sentinels."""
        with contextlib.suppress(redis.RedisError):
            with self.ask("SENTINEL_PORT") as client:
                state = client.sentinel_master(self.names["SERVICE"])
                replicas = client.sentinel_slaves(self.names["SERVICE"])
            up = [r for r in replicas if r["master-link-status"] == "ok" and r["flags"] == "slave"]
            return (state["flags"], len(up), state["num-other-sentinels"]) == ("master", 2, 2)
        return False

    def ask(self, port: str) -> redis.Redis:
        # redis-py's own patience is seconds for each server that does not run.
        once = Retry(NoBackoff(), 0)
        common = {"decode_responses": True, "socket_timeout": 2, "retry": once, **self.options}
        return redis.Redis(self.host, int(PORTS[port]), **common)

    def log(self) -> str:
        return "\n".join(f"{self.host}: {path.read_text()[-1500:]}" for path in sorted(self.folder.glob("*.log")))


def names_of(objects: Sequence[Object]) -> dict[str, str]:
    """Return what the pods are told."""
    told = next(each for each in of_kind(objects, "ConfigMap") if each["metadata"]["name"].startswith("redis-names"))
    return dict(told["data"])


def primary_of(pods: Sequence[Pod]) -> Pod:
    """Wait until one is the primary, all others have caught up with it, and all sentinels know that."""
    wait_for(lambda: sorted(pod.role() or "" for pod in pods) == ["master", "slave", "slave"], pods)
    wait_for(lambda: all(pod.knows_all() for pod in pods), pods)
    return next(pod for pod in pods if pod.role() == "master")


def connects(url: str, access: RedisAccess = NOBODY) -> bool:
    try:
        connect(url, timeout_s=2, access=access).close()
    except ServiceUnavailableError:
        return False
    return True


def write(client: redis.Redis, key: str, pods: Sequence[Pod]) -> None:
    def written() -> bool:
        with contextlib.suppress(redis.RedisError):
            client.set(key, key)
            return client.wait(1, 1000) >= 1
        return False

    wait_for(written, pods)


def wait_for(done: Callable[[], bool], pods: Sequence[Pod], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, "\n".join(pod.log() for pod in pods)
        time.sleep(0.1)
