"""k8s/, as far as can be told without a control plane; test_control_plane.py has one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import typer
import yaml
from kube_objects import K8S, OVERLAYS, Object, in_files, of_kind, pod_templates, rendered, script, told
from kube_policy import OWN_IMAGES, findings
from local_services import ROOT
from observability.make import DASHBOARDS, rule_groups, rules_object

from inspector import settings as all_settings
from inspector.apps import wiring
from inspector.cli import app

COMPONENTS = K8S / "components"
IN_FILES = in_files(K8S / "base", COMPONENTS / "kafka", COMPONENTS / "redis", COMPONENTS / "secure")
CAMERAS = [each for each in in_files(COMPONENTS / "cameras") if each["metadata"]["name"] != "camera"]
_OPERATIONS = re.compile(r"(?<!^)(?=[A-Z])")


@pytest.fixture(scope="module")
def overlays() -> Mapping[str, Sequence[Object]]:
    return {name: rendered(folder) for name, folder in OVERLAYS.items()}


def test_what_follows_from_something_else_does() -> None:
    assert script(K8S / "generate.py").main(["--check"]) == 0


def test_topics_are_those_that_the_service_would_create() -> None:
    plan = wiring.topic_plan(all_settings.load(K8S / "base" / "config" / "inspector.yaml"))
    described = {
        topic["metadata"]["name"]: (topic["spec"]["partitions"], topic["spec"]["replicas"], topic["spec"]["config"])
        for topic in of_kind(IN_FILES, "KafkaTopic")
    }
    assert described == {
        spec.name: (spec.partitions, spec.replication_factor, dict(spec.settings)) for spec in plan.specs()
    }
    assert plan.replication_factor == 3


def test_kafka_gives_each_role_the_rights_of_roles_yaml() -> None:
    access = script(ROOT / "deploy" / "security" / "access.py")
    settings = all_settings.load(K8S / "base" / "config" / "inspector.yaml")
    given = {user["metadata"]["name"]: set(_rights(user)) for user in of_kind(IN_FILES, "KafkaUser")}
    assert given == {
        role: {(rule.resource, rule.name, rule.pattern, rule.operation) for rule in access.kafka_rules(role, settings)}
        for role in access.roles()
    }


def _rights(user: Object) -> Iterator[tuple[str, str, str, str]]:
    for acl in user["spec"]["authorization"]["acls"]:
        resource = acl["resource"]
        kind = _OPERATIONS.sub("_", resource["type"]).upper()
        name = resource.get("name", "kafka-cluster")
        pattern = {"prefix": "PREFIXED", "literal": "LITERAL"}[resource.get("patternType", "literal")]
        for operation in acl["operations"]:
            yield kind, name, pattern, _OPERATIONS.sub("_", operation).upper()


def test_kafka_is_set_as_it_is_on_this_machine() -> None:
    """The same release, and the same settings as deploy/local/nodes.py gives three brokers, where both have one."""
    kafka = next(of_kind(IN_FILES, "Kafka"))["spec"]["kafka"]
    assert f"kafka_2.13-{kafka['version']}.jar" in (ROOT / "deploy" / "local" / "jars.sha256").read_text()
    source = (ROOT / "deploy" / "local" / "nodes.py").read_text()
    words = {"replicas": "3", "in_sync": "2", "MAX_MESSAGE_BYTES": str(32 * 2**20)}
    local = {name: words.get(value, value) for name, value in re.findall(r'"([a-z.]+)": "?(\w+)"?,', source)}
    both = local.keys() & kafka["config"].keys()
    assert len(both) >= 10
    assert {name: str(kafka["config"][name]) for name in both} == {name: local[name] for name in both}


def test_a_trainer_that_works_is_never_taken_for_silent() -> None:
    """Between two looks lies an hour, or the longest run and the hour in which it ended."""
    trainer = next(of_kind(IN_FILES, "CronJob"))["spec"]
    hours = re.fullmatch(r"\d+ \* \* \* \*", trainer["schedule"])
    assert hours, "every hour; TrainerSilent counts on it"
    rule = next(rule for group in rule_groups() for rule in group["rules"] if rule.get("alert") == "TrainerSilent")
    patience_s = min(int(hours) for hours in re.findall(r"> (\d+) \* 3600$", rule["expr"], re.MULTILINE)) * 3600
    assert trainer["jobTemplate"]["spec"]["activeDeadlineSeconds"] + 3600 < patience_s


def test_a_backup_that_works_is_never_missed() -> None:
    """Between two that succeed lies a night, and at most what one may start late and take."""
    backup = next(of_kind(in_files(COMPONENTS / "backup"), "CronJob"))["spec"]
    rule = next(rule for group in rule_groups() for rule in group["rules"] if rule.get("alert") == "BackupMissing")
    patience_s = {int(hours) * 3600 for hours in re.findall(r"> (\d+) \* 3600$", rule["expr"], re.MULTILINE)}
    longest_s = backup["startingDeadlineSeconds"] + backup["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    assert patience_s == {24 * 3600 + longest_s}
    assert 'cronjob="backup"' in rule["expr"]


def test_every_camera_of_the_list_has_a_producer_of_its_own() -> None:
    listed = yaml.safe_load((COMPONENTS / "cameras" / "cameras.yaml").read_text())
    started = {}
    for pod in pod_templates(CAMERAS):
        args = pod.spec["containers"][0]["args"]
        started[args[args.index("--camera") + 1]] = args[args.index("produce") + 1]
    assert started == {camera_id: camera["source"] for camera_id, camera in listed.items()}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_has_no_fault(overlays: Mapping[str, Sequence[Object]], overlay: str) -> None:
    assert findings(overlays[overlay]) == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_is_told_settings_that_there_are(
    overlays: Mapping[str, Sequence[Object]], overlay: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the variables and the file that its container gets: an unknown one would end it at its start."""
    objects = overlays[overlay]
    ours = [pod for pod in pod_templates(objects) if pod.labels["app.kubernetes.io/name"] == "inspector"]
    assert len(ours) >= 6
    for pod in ours:
        variables, config = told(objects, pod)
        file = tmp_path / "inspector.yaml"
        file.write_text(config)
        with monkeypatch.context() as environment:
            for name, value in variables.items():
                environment.setenv(name, value)
            settings = all_settings.load(file)
        assert settings.metrics.port == 9464, pod.owner
        assert settings.kafka.security.protocol == ("SASL_SSL" if overlay == "secure" else "PLAINTEXT")


ROLES = {
    "inspector": "inspector", "trainer": "trainer", "serve": "operator", "watch": "watch", "camera": "producer",
    "backup": "backup",
}  # fmt: skip


def test_every_pod_of_the_secure_overlay_has_the_role_that_is_for_it_and_its_passwords(
    overlays: Mapping[str, Sequence[Object]],
) -> None:
    seen = set()
    for pod in pod_templates(overlays["secure"]):
        if pod.labels["app.kubernetes.io/name"] != "inspector":
            continue
        role = ROLES[pod.labels["app.kubernetes.io/component"]]
        variables = {each["name"]: each.get("value") for each in pod.spec["containers"][0]["env"]}
        users = {value for name, value in variables.items() if name.endswith("__USERNAME")}
        sources = [
            source for volume in pod.spec["volumes"] for source in volume.get("projected", {}).get("sources", ())
        ]
        given = {
            source["secret"]["name"]: source["secret"].get("items", ()) for source in sources if "secret" in source
        }
        passwords = {name for name, items in given.items() if any(item["key"] == "password" for item in items)}
        passwords |= {item["key"] for item in given.get("redis-users", ())}
        assert users == passwords == {role}, pod.owner
        seen.add(role)
    assert seen == set(ROLES.values())


@pytest.mark.parametrize("overlay", sorted(OVERLAYS.keys() - {"dev"}))
def test_what_people_decided_is_backed_up_every_night(overlays: Mapping[str, Sequence[Object]], overlay: str) -> None:
    """Into a folder that outlives the pod."""
    job = next(each for each in of_kind(overlays[overlay], "CronJob") if each["metadata"]["name"] == "backup")
    assert re.fullmatch(r"\d+ \d+ \* \* \*", job["spec"]["schedule"])
    pod = next(pod for pod in pod_templates([job]))
    container = pod.spec["containers"][0]
    assert container["args"][2] == "backup"
    claims = {each["name"] for each in pod.spec["volumes"] if "persistentVolumeClaim" in each}
    assert container["args"][3] in {each["mountPath"] for each in container["volumeMounts"] if each["name"] in claims}


def test_keda_asks_kafka_as_a_user_who_sees_no_record(overlays: Mapping[str, Sequence[Object]]) -> None:
    objects = overlays["secure"]
    asks = next(of_kind(objects, "TriggerAuthentication"))["spec"]
    given = {each["parameter"]: each for each in (*asks["configMapTargetRef"], *asks["secretTargetRef"])}
    maps = {each["metadata"]["name"]: each["data"] for each in of_kind(objects, "ConfigMap")}
    name = maps[given["username"]["name"]][given["username"]["key"]]
    # A user's password is in the Secret of his name.
    assert given["password"]["name"] == name
    user = next(each for each in of_kind(objects, "KafkaUser") if each["metadata"]["name"] == name)
    assert {right for _, _, _, right in _rights(user)} == {"DESCRIBE"}
    trigger = next(of_kind(objects, "ScaledObject"))["spec"]["triggers"][0]
    assert trigger["authenticationRef"]["name"] == "inspector"


def test_every_command_of_a_pod_is_one_of_ours() -> None:
    commands = set(typer.main.get_group(app).commands)
    for pod in pod_templates([*IN_FILES, *CAMERAS]):
        if pod.labels.get("app.kubernetes.io/name") == "inspector":
            assert pod.spec["containers"][0]["args"][:2] == ["-c", "/etc/inspector/inspector.yaml"], pod.owner
            assert pod.spec["containers"][0]["args"][2] in commands, pod.owner


def test_grafana_is_given_the_dashboards_as_they_are_and_the_operator_all_rules() -> None:
    """By the label that the sidecar of Grafana's chart looks for, in any namespace, under names that no other has."""
    objects = rendered(Path(__file__).parent / "dashboards")
    assert findings(objects) == []
    found = [each for each in of_kind(objects, "ConfigMap") if each["metadata"]["name"].startswith("dashboard-")]
    assert {each["metadata"]["labels"]["grafana_dashboard"] for each in found} == {"1"}
    kept = {f"inspection-{path.name}": path.read_text() for path in DASHBOARDS.iterdir()}
    assert len(kept) == 3
    assert {name: text for each in found for name, text in each["data"].items()} == kept
    for each in found:
        # `kubectl apply` puts the whole object into an annotation once more.
        assert len(json.dumps(each)) < 262_144, each["metadata"]["name"]
    rules = next(of_kind(objects, "PrometheusRule"))
    generate = script(K8S / "generate.py")
    assert rules["spec"]["groups"] == rules_object(generate.runbooks_url())["spec"]["groups"]


def test_an_alert_leads_to_its_page_where_the_repository_can_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    generate = script(K8S / "generate.py")
    (tmp_path / "runbooks.yaml").write_text("url: https://git.example/inspector/blob/main")
    monkeypatch.setattr(generate, "RUNBOOKS_FILE", tmp_path / "runbooks.yaml")
    groups = next(iter(generate.rules()))["spec"]["groups"]
    links = [rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"] if "alert" in rule]
    assert len(links) > 10
    for link in links:
        page = link.removeprefix("https://git.example/inspector/blob/main/")
        assert (ROOT / page).is_file(), link


def test_no_grafana_is_presupposed(overlays: Mapping[str, Sequence[Object]]) -> None:
    for objects in overlays.values():
        assert not [each for each in objects if "grafana_dashboard" in each["metadata"].get("labels", {})]


def test_servers_elsewhere_take_the_place_of_ours(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One component for two: no Kafka and no Redis is left, and inspectors and KEDA are told the same addresses."""
    objects = rendered(Path(__file__).parent / "elsewhere")
    assert not list(of_kind(objects, "Kafka", "KafkaTopic", "KafkaNodePool"))
    assert findings(objects) == []
    told = next(each["data"] for each in of_kind(objects, "ConfigMap") if "environment" in each["metadata"]["name"])
    assert told["INSPECTOR_KAFKA__BOOTSTRAP_SERVERS"] == "kafka.plant.example:9092"
    trigger = next(of_kind(objects, "ScaledObject"))["spec"]["triggers"][0]["metadata"]
    assert trigger["bootstrapServersFromEnv"] in told


def test_a_document_tells_how_each_image_that_runs_is_built_and_replaced(
    overlays: Mapping[str, Sequence[Object]],
) -> None:
    """`gpu` runs two: with one of them alone an upgrade would leave the inspectors where they were."""
    files = (ROOT / "deploy" / "images").glob("Dockerfile*")
    built = {
        name for file in files for name in re.findall(r"^#.* docker build .*-t (\S+)", file.read_text(), re.MULTILINE)
    }
    running = {
        container["image"]
        for objects in overlays.values()
        for pod in pod_templates(objects)
        if pod.labels["app.kubernetes.io/name"] == "inspector"
        for container in pod.spec["containers"]
    }
    assert running == built
    for document in ("README.md", "deploy/day-two/upgrade.md"):
        named = set(re.findall(r"(inspector[\w-]*)=REGISTRY/", (ROOT / document).read_text()))
        assert named == {image.partition(":")[0] for image in running}, document


def test_an_image_that_an_overlay_names_is_the_one_of_every_pod(tmp_path: Path) -> None:
    """As `kustomize edit set image` writes it, over what the base and each component say."""
    images = [{"name": name, "newName": f"registry.example/{name}", "newTag": "1.2.3"} for name in sorted(OWN_IMAGES)]
    overlay = os.path.relpath(OVERLAYS["gpu"], tmp_path)
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"resources": [overlay], "images": images}))
    objects = rendered(tmp_path)
    running = {container["image"] for pod in pod_templates(objects) for container in pod.spec["containers"]}
    assert {f"registry.example/{name}:1.2.3" for name in OWN_IMAGES} == {
        image for image in running if "redis" not in image
    }


def test_generating_refuses_words_that_it_does_not_know() -> None:
    done = subprocess.run([sys.executable, str(K8S / "generate.py"), "--chek"], capture_output=True, check=False)
    assert done.returncode == 2
