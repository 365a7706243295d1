"""What tests/deploy/kube_policy.py is for: each fault is told, by the check that is for it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from kube_objects import OVERLAYS, PLANTED, Object, pod_templates, rendered
from kube_policy import findings


@pytest.fixture(scope="module")
def overlay() -> Sequence[Object]:
    return rendered(OVERLAYS["cpu"])


# What only our own checks refuse, or refuse as well, and with which of them; the API server sees the rest.
REFUSED_BY_US = {
    "brokers_shut_in": "api_server",
    "door_to_nowhere": "openings",
    "missing_limit": "limits",
    "over_privileged_pod": "least_rights",
    "scaled_above_partitions": "scaling",
    "scaled_by_all_lines": "own_series",
    "secret_in_a_configmap": "secrets",
    "topic_of_one_copy": "topics",
    "unknown_field": None,
    "untagged_image": "images",
}


@pytest.mark.parametrize("fault", sorted(each.name for each in PLANTED.iterdir()))
def test_a_planted_fault_is_refused_by_the_check_that_is_for_it(fault: str) -> None:
    """And by no other: without that check it would pass unnoticed."""
    checks = {said.partition(":")[0] for said in findings(rendered(PLANTED / fault))}
    assert checks == ({REFUSED_BY_US[fault]} - {None})


def test_traces_and_samples_get_out_by_the_component_that_is_for_them_and_not_without_it() -> None:
    objects = rendered(PLANTED.parent / "outside")
    assert findings(objects) == []
    shut = [each for each in objects if each["metadata"]["name"] not in ("inspector-to-collector", "trainer-to-bucket")]
    assert len(objects) - len(shut) == 2
    told = findings(shut)
    assert {said.partition(":")[0] for said in told} == {"ways_out"}
    assert sum("tracing.endpoint" in said for said in told) >= 8
    assert sum("samples.place" in said for said in told) == 1


Change = Callable[[dict[str, Any]], None]


def _pod(objects: Sequence[Object], name: str) -> dict[str, Any]:
    spec: dict[str, Any] = next(pod.spec for pod in pod_templates(objects) if pod.owner == name)
    return spec


def _drop(key: str) -> Change:
    return lambda pod: pod.pop(key)


def _in_container(key: str) -> Change:
    return lambda pod: pod["containers"][0].pop(key)


def _another_map(pod: dict[str, Any]) -> None:
    pod["containers"][0]["envFrom"][0]["configMapRef"]["name"] = "inspector-environment-old"


def _another_release(pod: dict[str, Any]) -> None:
    pod["containers"][0]["image"] = "inspector:before"


def _strangers_image(pod: dict[str, Any]) -> None:
    pod["containers"][0]["image"] = "registry.example:5000/inspector/mirrored:1.2"


def _password_variable(pod: dict[str, Any]) -> None:
    pod["containers"][0]["env"].append({"name": "INSPECTOR_REDIS__PASSWORD", "value": "plant-7-summer"})


def _password_in_url(pod: dict[str, Any]) -> None:
    pod["containers"][0]["env"].append({"name": "INSPECTOR_REDIS__URL", "value": "redis://inspector:plant-7@redis/0"})


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("least_rights", _drop("automountServiceAccountToken")),
        ("least_rights", _drop("enableServiceLinks")),
        ("least_rights", _drop("securityContext")),
        ("limits", _in_container("resources")),
        ("images", _another_release),
        ("images", _strangers_image),
        ("probes", _in_container("startupProbe")),
        ("probes", _in_container("livenessProbe")),
        ("probes", _in_container("ports")),
        ("time_to_leave", _drop("terminationGracePeriodSeconds")),
        ("references", _another_map),
        ("secrets", _password_variable),
        ("secrets", _password_in_url),
    ],
)
def test_a_pod_that_is_wrong_in_one_thing_is_told(overlay: Sequence[Object], check: str, change: Change) -> None:
    objects = copy.deepcopy(list(overlay))
    change(_pod(objects, "StatefulSet/inspector"))
    assert {said.partition(":")[0] for said in findings(objects)} == {check}


@pytest.mark.parametrize(
    ("gone", "check"),
    [
        ("NetworkPolicy/default-deny", "closed_doors"),
        ("PriorityClass/inspection-line", "references"),
        ("PersistentVolumeClaim/trainer", "references"),
        ("Deployment/serve", "references"),
        ("StatefulSet/inspector", "scaling"),
    ],
)
def test_an_object_that_is_gone_is_missed(overlay: Sequence[Object], gone: str, check: str) -> None:
    kind, name = gone.split("/")
    left = [each for each in overlay if (each["kind"], each["metadata"]["name"]) != (kind, name)]
    assert check in {said.partition(":")[0] for said in findings(left)}
