"""Three Redis with their sentinels as k8s/ starts them: the rendered objects, and their scripts on real servers."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import redis
from kube_objects import K8S, Object, of_kind, rendered
from kube_policy import findings
from sentinel_pods import HOSTS, Pod, connects, names_of, primary_of, wait_for, write

from inspector.adapters.redis.connection import connect
from inspector.adapters.redis.sentinel import read_url


@pytest.fixture(scope="module")
def objects() -> Sequence[Object]:
    return rendered(Path(__file__).parent / "sentinel")


def _redis(objects: Sequence[Object]) -> Object:
    return next(each for each in of_kind(objects, "StatefulSet") if each["metadata"]["name"] == "redis")


def test_it_has_no_fault(objects: Sequence[Object]) -> None:
    assert findings(objects) == []


def test_inspectors_are_told_the_sentinels_that_there_are(objects: Sequence[Object]) -> None:
    told = next(each["data"] for each in of_kind(objects, "ConfigMap") if "environment" in each["metadata"]["name"])
    asked, names, pods = read_url(told["INSPECTOR_REDIS__URL"]), names_of(objects), _redis(objects)["spec"]
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
    ports = {int(names_of(objects)[name]) for name in ("REDIS_PORT", "SENTINEL_PORT")}
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


@pytest.fixture
def pods(tmp_path: Path, objects: Sequence[Object]) -> Iterator[list[Pod]]:
    made = [Pod(host, tmp_path / host, names_of(objects)) for host in HOSTS]
    yield made
    for pod in made:
        pod.end()


@pytest.mark.long
@pytest.mark.services
def test_pods_that_leave_die_and_come_back_empty_always_have_one_primary_with_what_was_stored(pods: list[Pod]) -> None:
    for pod in pods:
        pod.start()
    assert primary_of(pods) is pods[0]
    sentinels = ",".join(f"{host}:26380" for host in HOSTS)
    wait_for(lambda: connects(f"redis+sentinel://{sentinels}/line"), pods)
    client = connect(f"redis+sentinel://{sentinels}/line", timeout_s=2)
    write(client, "a", pods)

    pods[0].leave()
    begun = time.monotonic()
    write(client, "b", pods)
    print(f"pause of a primary that left: {time.monotonic() - begun:.1f} s")
    pods[0].start()
    second = primary_of(pods)
    assert second is not pods[0]

    second.end()
    begun = time.monotonic()
    write(client, "c", pods)
    print(f"pause of a primary that was killed: {time.monotonic() - begun:.1f} s")
    second.start()
    third = primary_of(pods)
    assert third is not second

    for pod in pods:
        pod.end()
    for pod in pods:
        pod.start()
    assert primary_of(pods) is third
    empty = next(pod for pod in pods if pod is not third)
    empty.end()
    shutil.rmtree(empty.folder)
    empty.start()
    assert primary_of(pods) is third
    write(client, "d", pods)
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
    assert primary_of(pods) is primary
    assert lost.lives()
