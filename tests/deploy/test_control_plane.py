"""k8s/ on a real control plane: overlays are taken and rolled out, planted faults refused, one pod leaves at a time."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence

import kube_check
import pytest
from kube_cluster import Cluster, built, cluster_running
from kube_objects import OVERLAYS, PLANTED, Object, rendered
from kube_policy import findings

# Building the programs takes minutes once, and far longer where others use the cores.
pytestmark = [pytest.mark.long, pytest.mark.timeout(7_200)]

IN = ("-n", "inspection")
# Ours, and three with the components that none of ours has.
TAKEN = {**OVERLAYS, **{name: PLANTED.parent / name for name in ("sentinel", "sentinel_secure", "outside")}}
INSPECTORS = "app.kubernetes.io/component=inspector"
# What only the API server sees, and its words for it.
REFUSED_BY_THE_SERVER = {
    "over_privileged_pod": 'violates PodSecurity "restricted',
    "unknown_field": ".spec.template.spec.topologySpreadConstraint",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster_running(built(), tmp_path_factory.mktemp("cluster") / "run") as own:
        yield own


@pytest.fixture
def line(cluster: Cluster) -> Iterator[Sequence[Object]]:
    """The overlay `cpu`, with three inspectors, as KEDA would have set them."""
    objects = rendered(OVERLAYS["cpu"])
    assert kube_check.apply(cluster, objects) == []
    cluster.kubectl("scale", "statefulset/inspector", "--replicas=3", *IN)
    assert kube_check.rolled_out(cluster, objects) == []
    yield objects
    kube_check.remove(cluster, objects)


@pytest.mark.parametrize("overlay", TAKEN)
def test_an_overlay_is_taken_and_rolled_out(cluster: Cluster, overlay: str) -> None:
    objects = rendered(TAKEN[overlay])
    try:
        assert kube_check.apply(cluster, objects) == []
        assert kube_check.rolled_out(cluster, objects) == []
        assert findings(objects) == []
    finally:
        kube_check.remove(cluster, objects)


@pytest.mark.parametrize("fault", sorted(each.name for each in PLANTED.iterdir()))
def test_a_planted_fault_is_refused(cluster: Cluster, fault: str) -> None:
    """By the API server, or where it sees nothing wrong by the checks of ours: never by nobody."""
    objects = rendered(PLANTED / fault)
    try:
        refused = kube_check.apply(cluster, objects)
    finally:
        kube_check.remove(cluster, objects)
    if fault in REFUSED_BY_THE_SERVER:
        assert any(REFUSED_BY_THE_SERVER[fault] in said for said in refused), refused
        assert all("inspector" in said for said in refused)  # and nothing else of the overlay
    else:
        assert refused == []
        assert len(findings(objects)) == 1


def test_inspectors_on_gpus_run_where_the_gpus_are(cluster: Cluster) -> None:
    objects = rendered(OVERLAYS["gpu"])
    try:
        assert kube_check.apply(cluster, objects) == []
        assert kube_check.rolled_out(cluster, objects) == []
        nodes = {name: node for name, node in _nodes_of(cluster).items() if name.startswith("inspector-")}
        assert nodes
        assert all(node.startswith("gpu-") for node in nodes.values())
        others = {name: node for name, node in _nodes_of(cluster).items() if not name.startswith("inspector-")}
        assert others
        assert all(node.startswith("cpu-") for node in others.values())
    finally:
        kube_check.remove(cluster, objects)


def test_inspectors_are_spread_over_the_zones(cluster: Cluster, line: Sequence[Object]) -> None:
    nodes = {node for name, node in _nodes_of(cluster).items() if name.startswith("inspector-")}
    assert nodes == {"cpu-a", "cpu-b", "cpu-c"}


def test_one_inspector_leaves_at_a_time(cluster: Cluster, line: Sequence[Object]) -> None:
    """While one is away and nobody can take its place, no other is let go: a drain of two nodes waits."""
    _wait_for_budget(cluster, allowed=1)
    # Nowhere to go: what is evicted now stays away.
    cluster.kubectl("cordon", "--selector=kubernetes.io/os=linux")
    try:
        _evict(cluster, "inspector-0")
        _wait_for_budget(cluster, allowed=0)
        refused = _evict(cluster, "inspector-1")
        assert refused is not None
        assert "would violate the pod's disruption budget" in refused
    finally:
        cluster.kubectl("uncordon", "--selector=kubernetes.io/os=linux")
    _wait_for_budget(cluster, allowed=1)
    assert _evict(cluster, "inspector-1") is None


def test_a_rolling_restart_never_takes_two_inspectors(cluster: Cluster, line: Sequence[Object]) -> None:
    before = _uids(cluster)
    least_ready = 3
    cluster.kubectl("rollout", "restart", "statefulset/inspector", *IN)
    deadline_s = time.monotonic() + 3000
    while set(_uids(cluster)) & set(before) or len(_uids(cluster)) < 3:
        assert time.monotonic() < deadline_s, "the restart does not end"
        least_ready = min(least_ready, len(_ready(cluster)))
    assert kube_check.rolled_out(cluster, line) == []
    assert least_ready >= 2


def _pods(cluster: Cluster, *selector: str) -> list[Object]:
    pods: list[Object] = json.loads(cluster.kubectl("get", "pods", *IN, *selector, "-o", "json"))["items"]
    return pods


def _nodes_of(cluster: Cluster) -> dict[str, str]:
    return {each["metadata"]["name"]: each["spec"].get("nodeName", "") for each in _pods(cluster)}


def _uids(cluster: Cluster) -> list[str]:
    return [each["metadata"]["uid"] for each in _pods(cluster, "-l", INSPECTORS)]


def _ready(cluster: Cluster) -> list[Object]:
    def is_ready(pod: Object) -> bool:
        conditions = pod["status"].get("conditions", ())
        return "deletionTimestamp" not in pod["metadata"] and any(
            each["type"] == "Ready" and each["status"] == "True" for each in conditions
        )

    return [each for each in _pods(cluster, "-l", INSPECTORS) if is_ready(each)]


def _evict(cluster: Cluster, pod: str) -> str | None:
    """Evict a pod as a drain does; return the words of a refusal."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": "inspection"}}
    path = f"/api/v1/namespaces/inspection/pods/{pod}/eviction"
    said = cluster.ask("create", "--raw", path, "-f", "-", told=json.dumps(eviction))
    return None if said.returncode == 0 else said.stderr


def _wait_for_budget(cluster: Cluster, allowed: int) -> None:
    deadline_s = time.monotonic() + 300
    while (now := cluster.kubectl("get", "pdb/inspector", *IN, "-o", "jsonpath={.status.disruptionsAllowed}")) != str(
        allowed
    ):
        assert time.monotonic() < deadline_s, f"disruptions allowed stay {now}, not {allowed}"
        time.sleep(0.2)
