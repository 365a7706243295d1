"""deploy/compose.yaml, as far as can be told without containers."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from local_services import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def named(prefix: str) -> dict[str, dict[str, Any]]:
    return {name: service for name, service in SERVICES.items() if name.startswith(prefix)}


def test_it_is_the_line_of_the_demo() -> None:
    assert len(named("camera-")) == 3
    assert len(named("inspector-")) == 2
    assert "/kafka:4.3.0@" in SERVICES["kafka"]["image"]


def test_images_of_others_are_named_by_digest_and_redis_is_that_of_the_clusters() -> None:
    """Ours are built by whoever starts it. What the overlays of k8s/ run is checked as they are rendered."""
    others = {name: service["image"] for name, service in SERVICES.items() if "build" not in service}
    assert sorted(others) == ["kafka", "redis"]
    assert [
        name for name, image in others.items() if not re.fullmatch(r"[a-z0-9./:-]+@sha256:[0-9a-f]{64}", image)
    ] == []
    named = re.compile(r"image: (\S*redis:\S*)")
    in_clusters = {image for path in (ROOT / "k8s").rglob("*.yaml") for image in named.findall(path.read_text())}
    assert in_clusters == {others["redis"]}


def test_whatever_is_waited_for_exists_and_can_become_so() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES, name
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other]


def test_nothing_is_reachable_from_outside() -> None:
    assert not [name for name, service in SERVICES.items() if "ports" in service or "network_mode" in service]


def test_inspectors_have_names_of_their_own() -> None:
    """Two that share a replica name would fence each other for ever."""
    replicas = [service["environment"]["INSPECTOR_REPLICA"] for service in named("inspector-").values()]
    assert len(set(replicas)) == len(replicas)


def test_kafka_is_set_as_it_is_without_containers() -> None:
    """The same settings as deploy/local/nodes.py, where both have one."""
    local = dict(re.findall(r'"([a-z.]+)": (\d+),', (ROOT / "deploy" / "local" / "nodes.py").read_text()))
    container = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
        for name, value in SERVICES["kafka"]["environment"].items()
    }
    both = local.keys() & container.keys()
    assert both
    assert {name: local[name] for name in both} == {name: container[name] for name in both}


@pytest.mark.parametrize("name", sorted(name for name in SERVICES if name not in ("kafka", "redis")))
def test_our_containers_have_no_rights_that_they_do_not_need(name: str) -> None:
    assert SERVICES[name]["read_only"] is True
    assert SERVICES[name]["cap_drop"] == ["ALL"]


def test_the_image_runs_as_a_user_without_rights() -> None:
    lines = (ROOT / "deploy" / "images" / "Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users
    assert users[-1] not in ("root", "0")


def test_the_images_copy_only_what_exists_and_is_sent_to_the_builder() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for dockerfile in (ROOT / "deploy" / "images").glob("Dockerfile*")
        for line in dockerfile.read_text().splitlines()
        if line.startswith("COPY ") and "--from=" not in line  # out of an earlier stage
        for source in line.split()[1:-1]
    }
    assert copied == sent
    assert not [source for source in copied if not (ROOT / source).exists()]
