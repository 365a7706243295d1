"""What an API server lets pass and we do not: each check yields one line for each fault."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import yaml
from kube_network import api_server, openings, own_series, ways_out
from kube_objects import Object, PodTemplate, named, of_kind, pod_templates

from inspector.apps import supervisor

# Made by hand or by cert-manager before the overlay is applied (README, On Kubernetes).
MADE_BEFOREHAND = {"serve-token", "redis-users", "redis-tls"}
_SECRET_NAME = re.compile(r"(password|passwd|secret|token|api_?key|private_?key|credential)s?$", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|://[^/\s:@]*:[^/\s@]+@")
_SETTING = re.compile(r"^\s*[\"']?([A-Za-z_.]+)[\"']?\s*[:=]\s*[\"']?([^\s\"'#,}]+)", re.MULTILINE)
# NAME[:TAG][@DIGEST]; the name may begin with a registry and its port.
_IMAGE = re.compile(r"(?P<name>(?:[^/@]+/)*[^/:@]+)(?::(?P<tag>[^/:@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?")
OWN_IMAGES = {"inspector", "inspector-cuda"}
_POD_DEFAULTS = {"automountServiceAccountToken": True, "enableServiceLinks": True}

Check = Callable[[Sequence[Object]], Iterator[str]]


def findings(objects: Sequence[Object]) -> list[str]:
    """Return every fault of these objects; none where all is well."""
    return [f"{check.__name__}: {said}" for check in CHECKS for said in check(objects)]


def limits(objects: Sequence[Object]) -> Iterator[str]:
    """A container without a limit takes its node down with it; one without a request is put anywhere."""
    for pod, container in _containers(objects):
        for bound in ("requests", "limits"):
            for resource in ("cpu", "memory"):
                if resource not in container.get("resources", {}).get(bound, {}):
                    yield f"{pod.owner}: container {container['name']} has no resources.{bound}.{resource}"


def images(objects: Sequence[Object]) -> Iterator[str]:
    """An image is of one release: without a tag it is whatever a registry has today, with two tags it is two releases.

    Ours are built by whoever applies this; those of others are named by digest.
    """
    tags: dict[str, set[str]] = {}
    for pod, container in _containers(objects):
        image = _IMAGE.fullmatch(container["image"])
        if image is None or (image["tag"] in (None, "latest") and image["digest"] is None):
            yield f"{pod.owner}: image {container['image']} is of no release"
            continue
        if image["name"] not in OWN_IMAGES and image["digest"] is None:
            yield f"{pod.owner}: image {container['image']} has no digest"
        tags.setdefault(image["name"], set()).add(image["digest"] or image["tag"])
    for name, several in tags.items():
        if len(several) > 1:
            yield f"image {name} is of several releases: {', '.join(sorted(several))}"


def least_rights(objects: Sequence[Object]) -> Iterator[str]:
    """What PodSecurity does not ask for: a read-only root, no token for the API server, no Services' variables."""
    for pod in pod_templates(objects):
        for field, default in _POD_DEFAULTS.items():
            if pod.spec.get(field, default) is not False:
                yield f"{pod.owner}: {field} is not false"
        if not pod.spec.get("securityContext", {}).get("runAsNonRoot"):
            yield f"{pod.owner}: runAsNonRoot is not true"
    for pod, container in _containers(objects):
        context = container.get("securityContext", {})
        if context.get("readOnlyRootFilesystem") is not True:
            yield f"{pod.owner}: container {container['name']} can write its root"
        if context.get("privileged") or context.get("allowPrivilegeEscalation") is not False:
            yield f"{pod.owner}: container {container['name']} may gain privileges"


def probes(objects: Sequence[Object]) -> Iterator[str]:
    """What runs for ever says that it has started and that it lives, at a port that it has."""
    for pod, container in _containers(objects):
        for probe in ("startupProbe", "livenessProbe") if pod.runs_on else ():
            if probe not in container:
                yield f"{pod.owner}: container {container['name']} has no {probe}"
        ports = {port.get("name") for port in container.get("ports", ())}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container.get(probe, {}).get("httpGet", {}).get("port")
            if asked is not None and asked not in ports:
                yield f"{pod.owner}: {probe} asks port {asked}, which container {container['name']} has not"


def time_to_leave(objects: Sequence[Object]) -> Iterator[str]:
    """An inspector is killed only after its parent has given up on the batch in hand."""
    for pod in pod_templates(objects):
        if pod.labels.get("app.kubernetes.io/component") != "inspector":
            continue
        before = max(_sleep_s(container) for container in pod.spec["containers"])
        needed = before + supervisor._GRACE_S
        if (granted := pod.spec.get("terminationGracePeriodSeconds", 30)) <= needed:
            yield f"{pod.owner}: has {granted} s to leave and needs more than {needed:g} s"


def topics(objects: Sequence[Object]) -> Iterator[str]:
    """A record is on three brokers, two of which have it before it counts; on one node, on the one that there is."""
    brokers = sum(pool["spec"]["replicas"] for pool in of_kind(objects, "KafkaNodePool"))
    copies = min(3, brokers)
    for topic in of_kind(objects, "KafkaTopic"):
        in_sync = int(topic["spec"]["config"]["min.insync.replicas"])
        if topic["spec"]["replicas"] != copies:
            yield f"{named(topic)}: replication factor {topic['spec']['replicas']} on {brokers} brokers, not {copies}"
        if in_sync != max(1, copies - 1):
            yield f"{named(topic)}: min.insync.replicas {in_sync}, not {max(1, copies - 1)}"


def scaling(objects: Sequence[Object]) -> Iterator[str]:
    """An inspector beyond the partitions has nothing to do, and what is scaled is there."""
    most = _partitions(objects)
    workloads = {named(each) for each in objects}
    for scaled in of_kind(objects, "ScaledObject"):
        spec = scaled["spec"]
        target = f"{spec['scaleTargetRef']['kind']}/{spec['scaleTargetRef']['name']}"
        if target not in workloads:
            yield f"{named(scaled)}: scales {target}, which is not there"
        asked = {"maxReplicaCount": spec["maxReplicaCount"], "fallback": spec["fallback"]["replicas"]}
        for field, replicas in asked.items():
            if replicas > most:
                yield f"{named(scaled)}: {field} {replicas} is above the {most} partitions"


def secrets(objects: Sequence[Object]) -> Iterator[str]:
    """Secrets are referred to: neither ConfigMaps, nor variables, nor Secrets of these files hold one."""
    for each in of_kind(objects, "ConfigMap"):
        for key, text in each.get("data", {}).items():
            for name in _secrets_in(key, str(text)):
                yield f"{named(each)}: {key} holds a secret ({name})"
    for pod, container in _containers(objects):
        for variable in container.get("env", ()):
            if _secrets_in(variable["name"], str(variable.get("value", ""))):
                yield f"{pod.owner}: variable {variable['name']} holds a secret"
    for each in of_kind(objects, "Secret"):
        yield f"{named(each)}: is in these files; make it in the cluster"


def references(objects: Sequence[Object]) -> Iterator[str]:
    """What an object names is there: volumes, priorities, and pods for every selector."""
    there = {named(each) for each in objects}
    known_secrets = MADE_BEFOREHAND | {
        f"{each['metadata']['name']}-cluster-ca-cert" for each in of_kind(objects, "Kafka")
    }
    known_secrets |= {each["metadata"]["name"] for each in of_kind(objects, "KafkaUser")}
    for pod in pod_templates(objects):
        for kind, name in _named_by(pod.spec):
            missing = name not in known_secrets if kind == "Secret" else f"{kind}/{name}" not in there
            if missing:
                yield f"{pod.owner}: names {kind}/{name}, which is not there"
    pods = [pod.labels for pod in pod_templates(objects)]
    for each in of_kind(objects, "Service", "PodDisruptionBudget", "PodMonitor"):
        selector = each["spec"]["selector"]
        wanted = selector if each["kind"] == "Service" else selector["matchLabels"]
        if not any(wanted.items() <= labels.items() for labels in pods):
            yield f"{named(each)}: selects no pod"


def closed_doors(objects: Sequence[Object]) -> Iterator[str]:
    """Every namespace enforces `restricted`, and nothing may talk in it that no policy names."""
    for each in of_kind(objects, "Namespace"):
        if each["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{named(each)}: does not enforce restricted pods"
    closed = [
        each
        for each in of_kind(objects, "NetworkPolicy")
        if not each["spec"]["podSelector"] and {"Ingress", "Egress"} <= set(each["spec"]["policyTypes"])
        and "ingress" not in each["spec"] and "egress" not in each["spec"]
    ]  # fmt: skip
    if not closed:
        yield "no NetworkPolicy denies all that is not named"


CHECKS: Sequence[Check] = (
    limits, images, least_rights, probes, time_to_leave, topics, scaling, secrets, references, closed_doors, openings,
    api_server, ways_out, own_series,
)  # fmt: skip


def _containers(objects: Sequence[Object]) -> Iterator[tuple[PodTemplate, Object]]:
    for pod in pod_templates(objects):
        for container in (*pod.spec.get("initContainers", ()), *pod.spec["containers"]):
            yield pod, container


def _partitions(objects: Sequence[Object]) -> int:
    """Return how many inspectors have something to do: the frames' partitions, of the topic or as the settings say."""
    for topic in of_kind(objects, "KafkaTopic"):
        if topic["metadata"]["name"] == "inspection.frames":
            return int(topic["spec"]["partitions"])
    texts = (
        each["data"]["inspector.yaml"] for each in of_kind(objects, "ConfigMap") if "inspector.yaml" in each["data"]
    )
    return int(yaml.safe_load(next(texts))["kafka"]["partitions"])


def _sleep_s(container: Mapping[str, Any]) -> int:
    return int(container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0))


def _secrets_in(key: str, text: str) -> list[str]:
    """Return what in a text is a secret: its name says so and it is not a file's, or it looks like one."""
    pairs = [(key.split("__")[-1], text), *_SETTING.findall(text)]
    found = [name for name, value in pairs if value and "\n" not in value and _SECRET_NAME.search(name)]
    return found + [match.group()[:12] for match in _SECRET_VALUE.finditer(text)]


def _named_by(pod: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "priorityClassName" in pod:
        yield "PriorityClass", pod["priorityClassName"]
    for volume in pod.get("volumes", ()):
        sources = [volume, *volume.get("projected", {}).get("sources", ())]
        for source in sources:
            if "configMap" in source:
                yield "ConfigMap", source["configMap"]["name"]
            if "secret" in source:
                yield "Secret", source["secret"].get("secretName") or source["secret"]["name"]
            if "persistentVolumeClaim" in source:
                yield "PersistentVolumeClaim", source["persistentVolumeClaim"]["claimName"]
    for container in pod["containers"]:
        for source in container.get("envFrom", ()):
            if "configMapRef" in source:
                yield "ConfigMap", source["configMapRef"]["name"]
