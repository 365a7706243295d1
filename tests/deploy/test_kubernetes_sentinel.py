"""Three Redis with their sentinels as k8s/ starts them: the rendered objects, and their scripts on real servers."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
from kube_objects import K8S, Object, of_kind, rendered
from kube_policy import findings
from redis.backoff import NoBackoff
from redis.retry import Retry

from inspector.adapters.redis.connection import connect
from inspector.adapters.redis.sentinel import read_url
from inspector.domain.errors import ServiceUnavailableError

COMPONENT = K8S / "components" / "redis-sentinel"
# Any address of the loopback network is this machine's: each pod has one of its own, and the ports of the others.
HOSTS = [f"127.0.77.{number}" for number in (1, 2, 3)]


@pytest.fixture(scope="module")
def objects() -> Sequence[Object]:
    return rendered(Path(__file__).parent / "sentinel")


def _names(objects: Sequence[Object]) -> dict[str, str]:
    return next(
        dict(each["data"])
        for each in of_kind(objects, "ConfigMap")
        if each["metadata"]["name"].startswith("redis-names")
    )


def _redis(objects: Sequence[Object]) -> Object:
    return next(each for each in of_kind(objects, "StatefulSet") if each["metadata"]["name"] == "redis")


def test_it_has_no_fault(objects: Sequence[Object]) -> None:
    assert findings(objects) == []


def test_inspectors_are_told_the_sentinels_that_there_are(objects: Sequence[Object]) -> None:
    told = next(each["data"] for each in of_kind(objects, "ConfigMap") if "environment" in each["metadata"]["name"])
    asked, names, pods = read_url(told["INSPECTOR_REDIS__URL"]), _names(objects), _redis(objects)["spec"]
    there = [f"redis-{number}.{pods['serviceName']}.inspection.svc" for number in range(pods["replicas"])]
    assert names["PEERS"].split() == [host for host, _ in asked.sentinels] == there
    assert {str(port) for _, port in asked.sentinels} == {names["SENTINEL_PORT"]}
    assert asked.service == names["SERVICE"]
    assert pods["template"]["spec"]["containers"][0]["env"][1]["value"] == "$(POD_NAME).redis.inspection.svc"


def test_each_server_keeps_what_one_server_keeps() -> None:
    def settings(component: str) -> set[str]:
        lines = (K8S / "components" / component / "redis.conf").read_text().splitlines()
        return {line for line in lines if line and not line.startswith(("#", "dir "))}

    assert settings("redis") <= settings("redis-sentinel")
    assert "min-replicas-to-write 1" in settings("redis-sentinel")


def test_all_may_talk_to_whom_they_have_to(objects: Sequence[Object]) -> None:
    ports = {int(_names(objects)[name]) for name in ("REDIS_PORT", "SENTINEL_PORT")}
    policies = {each["metadata"]["name"]: each["spec"] for each in of_kind(objects, "NetworkPolicy")}
    for name, way in (
        ("inspector-to-redis", "egress"),
        ("redis-to-redis", "egress"),
        ("redis-from-inspector", "ingress"),
    ):
        assert {port["port"] for port in policies[name][way][0]["ports"]} == ports
    assert {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "redis"}}} in (
        policies["redis-from-inspector"]["ingress"][0]["from"]
    )


@dataclass
class Pod:
    """Both containers of a pod as processes; its volume is ``folder``."""

    host: str
    folder: Path
    names: Mapping[str, str]
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        own = {"SELF": self.host, "DATA": str(self.folder), "CONFIG": str(COMPONENT), "PEERS": " ".join(HOSTS)}
        return {**os.environ, **self.names, **own, "DOWN_AFTER_MS": "2000", "FAILOVER_TIMEOUT_MS": "6000"}

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        for script in ("start-sentinel.sh", "start-redis.sh"):
            with (self.folder / f"{script}.log").open("ab") as log:
                command = ["sh", str(COMPONENT / script), "--bind", self.host]
                self.running.append(subprocess.Popen(command, env=self.environment, stdout=log, stderr=log))

    def leave(self) -> None:
        """As Kubernetes ends a pod: both containers at once, of which Redis's has something to do before."""
        self.running[0].terminate()
        subprocess.run(["sh", str(COMPONENT / "stop-redis.sh")], env=self.environment, check=True, timeout=60)
        self.end(signal.SIGTERM)

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        for process in self.running:
            process.send_signal(how)
        for process in self.running:
            process.wait(30)
        self.running.clear()

    def lives(self) -> bool:
        """What the liveness probe says."""
        probe = ["sh", str(COMPONENT / "alive.sh")]
        environment = {**self.environment, "PROBED": self.host}
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
        return redis.Redis(self.host, int(self.names[port]), decode_responses=True, socket_timeout=2, retry=once)

    def log(self) -> str:
        return "\n".join(f"{self.host}: {path.read_text()[-1500:]}" for path in sorted(self.folder.glob("*.log")))


@pytest.fixture
def pods(tmp_path: Path, objects: Sequence[Object]) -> Iterator[list[Pod]]:
    names = {**_names(objects), "REDIS_PORT": "16379", "SENTINEL_PORT": "26380"}
    made = [Pod(host, tmp_path / host, names) for host in HOSTS]
    yield made
    for pod in made:
        pod.end()


@pytest.mark.long
@pytest.mark.services
def test_pods_that_leave_die_and_come_back_empty_always_have_one_primary_with_what_was_stored(pods: list[Pod]) -> None:
    for pod in pods:
        pod.start()
    assert _primary(pods) is pods[0]
    sentinels = ",".join(f"{host}:26380" for host in HOSTS)
    wait_for(lambda: _connects(f"redis+sentinel://{sentinels}/line"), pods)
    client = connect(f"redis+sentinel://{sentinels}/line", timeout_s=2)
    _write(client, "a", pods)

    pods[0].leave()
    begun = time.monotonic()
    _write(client, "b", pods)
    print(f"pause of a primary that left: {time.monotonic() - begun:.1f} s")
    pods[0].start()
    second = _primary(pods)
    assert second is not pods[0]

    second.end()
    begun = time.monotonic()
    _write(client, "c", pods)
    print(f"pause of a primary that was killed: {time.monotonic() - begun:.1f} s")
    second.start()
    third = _primary(pods)
    assert third is not second

    for pod in pods:
        pod.end()
    for pod in pods:
        pod.start()
    assert _primary(pods) is third
    empty = next(pod for pod in pods if pod is not third)
    empty.end()
    shutil.rmtree(empty.folder)
    empty.start()
    assert _primary(pods) is third
    _write(client, "d", pods)
    _forgotten_replica_is_restarted_and_follows(pods, third)
    for pod in pods:
        with redis.Redis(pod.host, 16379) as each:
            wait_for(lambda each=each: each.mget("a", "b", "c", "d") == [b"a", b"b", b"c", b"d"], pods)  # type: ignore[misc]
    client.close()


def _forgotten_replica_is_restarted_and_follows(pods: Sequence[Pod], primary: Pod) -> None:
    """One that follows a server that is gone and that no sentinel knows, as after a failover soon after the start."""
    assert all(pod.lives() for pod in pods)
    lost = next(pod for pod in pods if pod is not primary)
    with lost.ask("REDIS_PORT") as client:
        client.replicaof("127.0.77.9", "1")
    for pod in pods:
        with pod.ask("SENTINEL_PORT") as client:
            client.execute_command("SENTINEL", "RESET", pod.names["SERVICE"])
    wait_for(lambda: not lost.lives(), pods)
    assert primary.lives()
    lost.end()
    assert not lost.lives()
    lost.start()
    assert _primary(pods) is primary
    assert lost.lives()


def _primary(pods: Sequence[Pod]) -> Pod:
    """Wait until one is the primary, all others have caught up with it, and all sentinels know that."""
    wait_for(lambda: sorted(pod.role() or "" for pod in pods) == ["master", "slave", "slave"], pods)
    wait_for(lambda: all(pod.knows_all() for pod in pods), pods)
    return next(pod for pod in pods if pod.role() == "master")


def _connects(url: str) -> bool:
    try:
        connect(url, timeout_s=2).close()
    except ServiceUnavailableError:
        return False
    return True


def _write(client: redis.Redis, key: str, pods: Sequence[Pod]) -> None:
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
