"""Dashboards, rules and runbooks: what can be told without a running line."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from local_services import ROOT
from observability.make import DASHBOARDS, RULES, dashboards, rule_groups, rules_object
from typer.main import get_group

from inspector.cli import app
from inspector.domain.metrics import LABELS, METRICS, MetricKind

RUNBOOKS = ROOT / "deploy" / "observability" / "runbooks"
VIEWS: dict[str, dict[str, Any]] = {path.stem: json.loads(text) for path, text in dashboards().items()}
RULE_FILES = sorted(RULES.glob("*.yaml"))
RULE_TESTS = sorted((RULES / "tests").glob("*.yaml"))
ALERTS = sorted({rule["alert"] for group in rule_groups() for rule in group["rules"] if "alert" in rule})
RECORDED = {rule["record"] for group in rule_groups() for rule in group["rules"] if "record" in rule}
VERBS = get_group(app).commands

# What Prometheus itself puts on a series, and what clients, kubelet and node exporter call theirs.
TARGET_LABELS = {"job", "instance", "namespace", "le"}
SERIES = re.compile(r"\b(inspector_[a-z_]+)(\{[^}]*\})?")
MATCHER = re.compile(r'([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


def panels(view: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in view["panels"] if panel["type"] != "row"]


def expressions() -> list[tuple[str, str]]:
    """Where it stands, and every expression of dashboards and rules."""
    found = [
        (f"{name}: {panel['title']}", target["expr"])
        for name, view in VIEWS.items()
        for panel in panels(view)
        for target in panel["targets"]
    ]
    found += [(f"{name}: annotations", each["expr"]) for name, v in VIEWS.items() for each in v["annotations"]["list"]]
    for group in rule_groups():
        found += [(rule.get("alert") or rule["record"], rule["expr"]) for rule in group["rules"]]
    return found


def declared_series() -> dict[str, set[str]]:
    """Every series that processes export, and its labels."""
    series: dict[str, set[str]] = {}
    for metric in METRICS:
        parts = ("_bucket", "_sum", "_count") if metric.kind is MetricKind.HISTOGRAM else ("",)
        series |= {f"{metric.name}{part}": set(metric.labels) for part in parts}
    return series


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, cwd=ROOT)


def test_the_dashboards_are_what_is_made_of_the_views() -> None:
    kept = {path: path.read_text() for path in DASHBOARDS.iterdir()}
    assert kept == dashboards(), "write them anew: PYTHONPATH=deploy .venv/bin/python -m observability.make"


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_panels_say_what_they_show(name: str) -> None:
    view = VIEWS[name]
    assert view["uid"] == f"inspection-{name}"
    source, line = view["templating"]["list"][:2]
    assert source["type"] == "datasource"
    assert (line["name"], line["multi"], line["includeAll"]) == ("namespace", False, False)
    for panel in panels(view):
        assert panel["title"], panel
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_panels_do_not_lie_upon_each_other(name: str) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in VIEWS[name]["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
    numbers = [panel["id"] for panel in VIEWS[name]["panels"]]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize(("where", "expr"), expressions())
def test_an_expression_asks_for_what_is_exported(where: str, expr: str) -> None:
    """A misspelt name or label value is no error to Prometheus: the panel stays empty, the alert never fires."""
    series = declared_series()
    for name, matchers in SERIES.findall(expr):
        assert name in series, where
        for label, _, value in MATCHER.findall(matchers):
            assert label in series[name] | TARGET_LABELS, f"{where}: {name} has no label {label}"
            known = LABELS[label].values if label in LABELS else ()
            if known and "$" not in value:
                assert set(value.split("|")) <= set(known), f"{where}: {label} is never {value}"
    for name in re.findall(r"\binspection:[a-z_:]+", expr):
        assert name in RECORDED, where


@pytest.mark.parametrize(("where", "expr"), [each for each in expressions() if each[0] not in {*ALERTS, *RECORDED}])
def test_a_dashboard_shows_one_line(where: str, expr: str) -> None:
    """The one that is chosen: whatever it asks for is of that namespace."""
    asked = re.findall(r"\b(?:inspector_|inspection:|process_)[a-z_:]+(\{[^}]*\})?|\bALERTS(\{[^}]*\})", expr)
    assert asked, where
    assert all('namespace=~"$namespace' in matchers for matchers in map("".join, asked)), where


@pytest.mark.parametrize(("where", "expr"), [each for each in expressions() if each[0] in {*ALERTS, *RECORDED}])
def test_a_rule_tells_lines_apart(where: str, expr: str) -> None:
    """By the namespace, which is what Prometheus puts on all that comes from one line."""
    kept = re.findall(r"\b(?:sum|max|min|count|group) by \(([^)]*)\)", expr)
    matched = re.findall(r"\bon \(([^)]*)\)", expr)
    of_a_line = [labels for labels in (*kept, *matched) if labels != "instance, mountpoint"]
    assert all("namespace" in labels for labels in of_a_line), where
    assert not re.search(r"\b(sum|max|min|count|group|scalar)\s*\(", expr), f"{where}: over whatever there is"


def test_every_expression_is_promql(tmp_path: Path) -> None:
    rules = [
        {"record": f"check:{place}", "expr": re.sub(r"\$__rate_interval|\$__range", "5m", expr)}
        for place, (_, expr) in enumerate(expressions())
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "check", "rules": rules}]}))
    done = promtool("check", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_and_the_configuration_are_valid() -> None:
    for arguments in (("rules", *RULE_FILES), ("config", ROOT / "deploy" / "observability" / "prometheus.yaml")):
        done = promtool("check", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "FAILED" not in done.stdout


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_the_rules_do_what_their_tests_say(path: Path) -> None:
    done = promtool("test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_seen_to_keep_quiet_to_fire_and_to_end(alert: str) -> None:
    stories = [
        [bool(case.get("exp_alerts")) for case in story["alert_rule_test"] if case["alertname"] == alert]
        for path in RULE_TESTS
        for story in yaml.safe_load(path.read_text())["tests"]
    ]
    assert [False, True, False] in [_without_repeats(story) for story in stories]


def _without_repeats(story: list[bool]) -> list[bool]:
    return [fires for place, fires in enumerate(story) if place == 0 or story[place - 1] != fires]


def test_every_alert_says_how_grave_it_is_and_where_its_page_is() -> None:
    for group in rule_groups():
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
                assert rule["labels"]["service"] == "inspection", rule["alert"]
                assert rule["annotations"]["summary"], rule["alert"]
                page = ROOT / rule["annotations"]["runbook_url"]
                assert page == RUNBOOKS / f"{rule['alert']}.md"


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert sorted(path.stem for path in RUNBOOKS.iterdir()) == ALERTS


@pytest.mark.parametrize("alert", ALERTS)
def test_a_page_says_what_it_means_what_to_look_at_and_what_to_do(alert: str) -> None:
    text = (RUNBOOKS / f"{alert}.md").read_text()
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    assert parts[0].strip() == f"# {alert}"
    assert parts[1::2] == ["What it means", "What to look at", "What to do"]
    assert all(len(body.split()) >= 15 for body in parts[2::2])
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (RUNBOOKS / link).is_file(), link


@pytest.mark.parametrize("alert", ALERTS)
def test_a_page_names_panels_and_commands_that_exist(alert: str) -> None:
    text = (RUNBOOKS / f"{alert}.md").read_text()
    titles = [panel["title"] for view in VIEWS.values() for panel in panels(view)]
    for name in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", text.replace("`*", "`").replace("*`", "`")):
        shown = " ".join(name.split())
        assert any(title.startswith(shown) for title in titles), f"no panel is called {shown}"
    for verb in re.findall(r"`inspector ([a-z]+)", text):
        assert verb in VERBS, f"there is no command {verb}"


def test_the_object_for_the_operator_holds_all_rules_but_those_of_machines_and_whole_addresses() -> None:
    """A cluster's nodes are shared: a full disk of another team's is no page of ours."""
    made = rules_object("https://git.example/inspector/")["spec"]["groups"]
    for group, whole in zip(made, rule_groups(), strict=True):
        assert group["name"] == whole["name"]
        ours = [rule["expr"] for rule in whole["rules"] if "node_filesystem" not in rule["expr"]]
        assert [rule["expr"] for rule in group["rules"]] == ours
    for rule in (rule for group in made for rule in group["rules"] if "alert" in rule):
        page = f"https://git.example/inspector/deploy/observability/runbooks/{rule['alert']}.md"
        assert rule["annotations"]["runbook_url"] == page


def against_the_schema(*paths: Path) -> subprocess.CompletedProcess[str]:
    folder = ROOT / "tests" / "deploy" / "grafana_schema"
    return subprocess.run(["go", "run", ".", *map(str, paths)], cwd=folder, capture_output=True, text=True)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_dashboards_are_what_grafana_publishes_as_its_schema(tmp_path: Path) -> None:
    """By Go, which builds the types: about a minute the first time."""
    done = against_the_schema(*dashboards())
    assert done.returncode == 0, done.stdout + done.stderr
    faulty = copy.deepcopy(VIEWS["line"])
    faulty["panels"][1]["options"]["colourMode"] = "value"
    del faulty["panels"][1]["targets"][0]["expr"]
    (tmp_path / "faulty.json").write_text(json.dumps(faulty))
    refused = against_the_schema(tmp_path / "faulty.json")
    assert refused.returncode == 1
    assert "unexpected field 'colourMode'" in refused.stdout
    assert "expr: required field" in refused.stdout
