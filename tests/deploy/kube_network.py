"""NetworkPolicies held against the pods of an overlay: every opening leads somewhere, and who has to get out can."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from kube_objects import Object, named, of_kind, pod_templates, told

_API_SERVER = {443, 6443}
_BETWEEN_BROKERS = {9090, 9091}
_PORT = re.compile(r":(\d+)(?=[,/]|$)")  # of each server in an address


@dataclass(frozen=True)
class Pods:
    """Pods of one kind, ours or an operator's: their labels and their ports, by number and by name."""

    owner: str
    labels: Mapping[str, str]
    ports: frozenset[int | str]


def openings(objects: Sequence[Object]) -> Iterator[str]:
    """A policy for no pod, or to a port where nobody listens, is a slip: what it should open stays closed."""
    pods = list(_pods(objects))
    for policy in of_kind(objects, "NetworkPolicy"):
        own = _selected(pods, policy["spec"]["podSelector"])
        if not own:
            yield f"{named(policy)}: selects no pod"
        for rule in policy["spec"].get("ingress", ()):
            for selector in _within(rule.get("from", ())):
                if not _selected(pods, selector):
                    yield f"{named(policy)}: lets in {selector}, which no pod is"
            yield from _unheard(policy, rule, own)
        for rule in policy["spec"].get("egress", ()):
            peers = [_selected(pods, selector) for selector in _within(rule.get("to", ()))]
            if len(peers) == len(rule.get("to", ())) > 0:  # elsewhere is another's to know
                yield from _unheard(policy, rule, [each for peer in peers for each in peer])


def api_server(objects: Sequence[Object]) -> Iterator[str]:
    """Strimzi's operators read from the API server, and so does a broker that is to know its zone, at its start."""
    for kafka in of_kind(objects, "Kafka"):
        asks = [_entity_operator(kafka)]
        if kafka["spec"]["kafka"].get("rack", {}).get("type") == "topology-label":
            asks.append(_brokers(kafka))
        for pods in asks:
            if not any(_opens_api_server(policy, pods) for policy in of_kind(objects, "NetworkPolicy")):
                yield f"{named(kafka)}: no NetworkPolicy lets {pods.owner} ask the API server"


def ways_out(objects: Sequence[Object]) -> Iterator[str]:
    """Where a pod is told of a server it may go to its port: traces, for one, would else be dropped without a word."""
    policies = list(of_kind(objects, "NetworkPolicy"))
    for pod in pod_templates(objects):
        if pod.labels.get("app.kubernetes.io/name") != "inspector":
            continue
        open_ports = {
            port["port"]
            for policy in policies
            if _matches(pod.labels, policy["spec"]["podSelector"])
            for rule in policy["spec"].get("egress", ())
            for port in rule["ports"]
        }
        for setting, port in _servers(pod.labels["app.kubernetes.io/component"], *told(objects, pod)):
            if port not in open_ports:
                yield f"{pod.owner}: is told {setting} at port {port}, to which no NetworkPolicy lets it go"


def own_series(objects: Sequence[Object]) -> Iterator[str]:
    """A Prometheus sees every line of its cluster: inspectors are scaled by the frames of their own."""
    for scaled in of_kind(objects, "ScaledObject"):
        for trigger in scaled["spec"]["triggers"]:
            own = f'namespace="{scaled["metadata"]["namespace"]}"'
            if trigger["type"] == "prometheus" and own not in trigger["metadata"]["query"]:
                yield f"{named(scaled)}: asks Prometheus for series that are not of {own}"


def _pods(objects: Sequence[Object]) -> Iterator[Pods]:
    for pod in pod_templates(objects):
        ports = [port for container in pod.spec["containers"] for port in container.get("ports", ())]
        numbers = [port["containerPort"] for port in ports]
        yield Pods(pod.owner, pod.labels, frozenset((*numbers, *(port["name"] for port in ports))))
    for kafka in of_kind(objects, "Kafka"):
        yield from (_brokers(kafka), _entity_operator(kafka))


def _brokers(kafka: Object) -> Pods:
    name = kafka["metadata"]["name"]
    labels = {"strimzi.io/cluster": name, "strimzi.io/name": f"{name}-kafka"}
    listeners = [each["port"] for each in kafka["spec"]["kafka"]["listeners"]]
    return Pods("brokers", labels, frozenset((*_BETWEEN_BROKERS, *listeners)))


def _entity_operator(kafka: Object) -> Pods:
    name = kafka["metadata"]["name"]
    labels = {"strimzi.io/cluster": name, "strimzi.io/name": f"{name}-entity-operator"}
    return Pods("the entity operator", labels, frozenset())


def _selected(pods: Sequence[Pods], selector: Mapping[str, Any]) -> list[Pods]:
    return [each for each in pods if _matches(each.labels, selector)]


def _matches(labels: Mapping[str, str], selector: Mapping[str, Any]) -> bool:
    met = [labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()]
    for each in selector.get("matchExpressions", ()):
        among = labels.get(each["key"]) in each["values"]
        met.append({"In": among, "NotIn": not among}[each["operator"]])
    return all(met)


def _within(peers: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the selectors of the peers that are pods of the same namespace."""
    return [peer["podSelector"] for peer in peers if peer.keys() == {"podSelector"}]


def _unheard(policy: Object, rule: Mapping[str, Any], listeners: Sequence[Pods]) -> Iterator[str]:
    heard = {port for pods in listeners for port in pods.ports}
    for port in rule.get("ports", ()):
        if port["port"] not in heard:
            yield f"{named(policy)}: opens port {port['port']}, where no pod listens"


def _opens_api_server(policy: Object, pods: Pods) -> bool:
    """Whether these pods may go to its ports; its address is each cluster's own, so it is a block or none is named."""
    if not _matches(pods.labels, policy["spec"]["podSelector"]):
        return False
    return any(
        _API_SERVER & {port["port"] for port in rule.get("ports", ())}
        and all("ipBlock" in peer for peer in rule.get("to", ()))
        for rule in policy["spec"].get("egress", ())
    )


def _servers(component: str, variables: Mapping[str, str], config: str) -> Iterator[tuple[str, int]]:
    """Yield the settings that name servers, and their ports; cameras use no Redis, only the trainer keeps samples."""

    def said(section: str, name: str) -> str:
        variable = f"INSPECTOR_{section}__{name}".upper()
        return str(variables.get(variable) or sections.get(section, {}).get(name) or "")

    sections = yaml.safe_load(config)
    addresses = {
        "kafka.bootstrap_servers": said("kafka", "bootstrap_servers"),
        "tracing.endpoint": said("tracing", "endpoint"),
    }
    if component != "camera":
        addresses["redis.url"] = said("redis", "url")
    if component == "trainer" and said("samples", "place").startswith("s3://"):
        addresses["samples.place"] = said("samples", "endpoint") or "https://amazonaws.com:443"
    for setting, address in addresses.items():
        for port in _PORT.findall(address):
            yield setting, int(port)
