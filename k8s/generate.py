#!/usr/bin/env python3
"""Writes the objects that follow from something else, so that they cannot differ from it; a test holds them against it.

    generate.py            writes them all
    generate.py --check    writes nothing; exit code 1 where a file is not what would be written

`components/kafka/topics.yaml` are the topics of `inspector topics create` with the settings of `base/config`,
`components/secure/users.yaml` the roles of `deploy/security/roles.yaml`, `components/cameras/deployments.yaml` the
cameras of `components/cameras/cameras.yaml`, `base/rules.yaml` and `components/dashboards/dashboards.yaml` what is in
`deploy/observability`, as kustomize reads no files beside its root; links of alerts begin with
the URL of `runbooks.yaml`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "deploy" / "security"), str(HERE.parent / "deploy")]

import access  # noqa: E402  beside the roles that it reads
from observability.make import dashboards as dashboard_files  # noqa: E402  beside the rules
from observability.make import rules_object  # noqa: E402

from inspector import settings as all_settings  # noqa: E402
from inspector.apps import wiring  # noqa: E402
from inspector.settings import Settings  # noqa: E402

CLUSTER = {"strimzi.io/cluster": "line"}
CAMERAS_FILE = HERE / "components" / "cameras" / "cameras.yaml"
RUNBOOKS_FILE = HERE / "runbooks.yaml"
CAMERA_TEMPLATE = HERE / "components" / "cameras" / "camera.yaml"
_RESOURCES = {"TOPIC": "topic", "GROUP": "group", "TRANSACTIONAL_ID": "transactionalId", "CLUSTER": "cluster"}

Objects = Iterator[dict[str, Any]]


def settings() -> Settings:
    """Return what every pod is told."""
    return all_settings.load(HERE / "base" / "config" / "inspector.yaml")


def topics() -> Objects:
    """Yield a KafkaTopic for each topic of the line."""
    for spec in wiring.topic_plan(settings()).specs():
        yield {
            "apiVersion": "kafka.strimzi.io/v1",
            "kind": "KafkaTopic",
            "metadata": {"name": spec.name, "labels": CLUSTER},
            "spec": {
                "partitions": spec.partitions,
                "replicas": spec.replication_factor,
                "config": dict(sorted(spec.settings.items())),
            },
        }


def users() -> Objects:
    """Yield a KafkaUser for each role, with its rights and a password that Strimzi makes."""
    for role in access.roles():
        yield {
            "apiVersion": "kafka.strimzi.io/v1",
            "kind": "KafkaUser",
            "metadata": {"name": role, "labels": CLUSTER},
            "spec": {
                "authentication": {"type": "scram-sha-512"},
                "authorization": {"type": "simple", "acls": list(_acls(access.kafka_rules(role, settings())))},
            },
        }


def _acls(rules: Iterable[access.KafkaRule]) -> Objects:
    by_resource: dict[tuple[str, str, str], list[str]] = {}
    for rule in rules:
        operations = by_resource.setdefault((rule.resource, rule.name, rule.pattern), [])
        operations.append("".join(word.capitalize() for word in rule.operation.split("_")))
    for (resource, name, pattern), operations in by_resource.items():
        described: dict[str, str] = {"type": _RESOURCES[resource]}
        if resource != "CLUSTER":  # there is one, without a name
            described |= {"name": name, "patternType": "prefix" if pattern == "PREFIXED" else "literal"}
        yield {"resource": described, "operations": operations}


def cameras() -> Objects:
    """Yield a Deployment for each camera."""
    template = CAMERA_TEMPLATE.read_text(encoding="utf-8")
    for camera_id, camera in yaml.safe_load(CAMERAS_FILE.read_text(encoding="utf-8")).items():
        deployment: dict[str, Any] = yaml.safe_load(template)
        mine = {"inspection/camera": camera_id}
        name = camera_id if camera_id.startswith("cam") else f"camera-{camera_id}"
        deployment["metadata"]["name"] = name
        deployment["metadata"]["labels"] |= mine
        deployment["spec"]["selector"]["matchLabels"] |= mine
        deployment["spec"]["template"]["metadata"]["labels"] |= mine
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        container["args"] += [str(camera["source"]), "--camera", camera_id, "--rate", str(camera["rate"])]
        yield deployment


def rules() -> Objects:
    """Yield the alert rules of ``deploy/observability``, for the Prometheus operator."""
    yield rules_object(runbooks_url())


def runbooks_url() -> str:
    """Return what goes before the path of an alert's page: an URL that ends with a slash, or nothing."""
    url = str(yaml.safe_load(RUNBOOKS_FILE.read_text(encoding="utf-8"))["url"])
    return f"{url.rstrip('/')}/" if url else ""


def dashboards() -> Objects:
    """Yield a ConfigMap for each dashboard of ``deploy/observability``, for the sidecar of Grafana."""
    for path, text in dashboard_files().items():
        name = f"inspection-{path.stem}"
        yield {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": f"dashboard-{name}",
                "labels": {"app.kubernetes.io/name": "inspector", "grafana_dashboard": "1"},
            },
            # The sidecar puts those of a whole cluster into one folder.
            "data": {f"{name}.json": text},
        }


WRITTEN = {
    HERE / "base" / "rules.yaml": rules,
    HERE / "components" / "kafka" / "topics.yaml": topics,
    HERE / "components" / "secure" / "users.yaml": users,
    HERE / "components" / "cameras" / "deployments.yaml": cameras,
    HERE / "components" / "dashboards" / "dashboards.yaml": dashboards,
}


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True  # a person reads it


def _as_written(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _as_written)


def text_of(objects: Objects) -> str:
    """Return the objects as a YAML file, which says where it is from."""
    documents = yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=120)
    return f"# Written by k8s/generate.py: do not edit.\n{documents}"


def main(arguments: list[str]) -> int:
    """Write the files, or with ``--check`` tell which differ."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    stale = 0
    for path, objects in WRITTEN.items():
        text = text_of(objects())
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if arguments:
            stale = 1
            print(f"{path.relative_to(HERE.parent)} is not what k8s/generate.py writes: run it", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(HERE.parent))
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
