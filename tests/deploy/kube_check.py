"""What a control plane says to an overlay: every object, every pod that it would make, every rollout."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from kube_cluster import Cluster
from kube_objects import Object, named, of_kind, pod_templates

_ROLLED_OUT = ("Deployment", "StatefulSet", "DaemonSet")


def apply(cluster: Cluster, objects: Sequence[Object]) -> list[str]:
    """Apply an overlay and return every refusal, as KIND/NAME: WORDS; a warning of the API server is one.

    PodSecurity, priorities and service accounts are enforced on pods alone, and a Deployment whose pods are forbidden
    is accepted: so each template is tried as a pod as well.
    """
    refused = [said for each in objects for said in _applied(cluster, each)]
    for each in of_kind(objects, "Namespace"):
        name = each["metadata"]["name"]
        cluster.kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=300s")
    return refused + [said for pod in _as_pods(objects) for said in _tried(cluster, pod)]


def rolled_out(cluster: Cluster, objects: Sequence[Object], timeout_s: int = 300) -> list[str]:
    """Wait for every workload to be as its object wants it; return those that are not, and why."""
    failed = []
    for each in of_kind(objects, *_ROLLED_OUT):
        there = ("-n", each["metadata"]["namespace"])
        said = cluster.ask("rollout", "status", named(each), *there, f"--timeout={timeout_s}s")
        if said.returncode != 0:
            events = cluster.kubectl(
                "get", "events", *there, "--field-selector=type=Warning", "-o", "jsonpath={..message}"
            )
            failed.append(f"{named(each)}: {said.stderr.strip()} {events[-500:]}")
    return failed


def remove(cluster: Cluster, objects: Sequence[Object]) -> None:
    """Take an overlay away again."""
    cluster.kubectl("delete", "--ignore-not-found", "--timeout=300s", "-f", "-", told=_text(objects))


def _applied(cluster: Cluster, each: Object) -> Iterator[str]:
    said = cluster.ask("apply", "--server-side", "--validate=strict", "-f", "-", told=json.dumps(each))
    if said.returncode != 0:
        yield f"{named(each)}: {said.stderr.strip()}"
        return
    for line in said.stderr.splitlines():
        # The pod that is tried below says the same, as a refusal.
        if line.startswith("Warning") and "would violate PodSecurity" not in line:
            yield f"{named(each)}: {line}"


def _as_pods(objects: Sequence[Object]) -> Iterator[Object]:
    by_name = {named(each): each for each in objects}
    for pod in pod_templates(objects):
        owner = by_name[pod.owner]
        claims = owner["spec"].get("volumeClaimTemplates", ())
        volumes = [
            *pod.spec.get("volumes", ()),
            *({"name": each["metadata"]["name"], "emptyDir": {}} for each in claims),
        ]
        name = f"{owner['metadata']['name']}-try"
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": owner["metadata"]["namespace"], "labels": pod.labels},
            "spec": pod.spec | {"volumes": volumes},
        }


def _tried(cluster: Cluster, pod: Object) -> Iterator[str]:
    said = cluster.ask("create", "--dry-run=server", "-f", "-", told=json.dumps(pod))
    if said.returncode != 0:
        yield f"{named(pod)}: {said.stderr.strip()}"


def _text(objects: Sequence[Object]) -> str:
    listed: dict[str, Any] = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    return json.dumps(listed)
