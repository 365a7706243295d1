"""Writes what is made from other files here: ``PYTHONPATH=deploy python -m observability.make``.

``dashboards/*.json`` from ``views``. With ``--rules`` it prints the rules as a PrometheusRule object instead.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml
from observability.views.line import LINE
from observability.views.service import SERVICE
from observability.views.weights import WEIGHTS

HERE = Path(__file__).resolve().parent
DASHBOARDS = HERE / "dashboards"
RULES = HERE / "rules"


def dashboards() -> dict[Path, str]:
    """Return every dashboard's file and what it must hold."""
    made = {"line": LINE, "service": SERVICE, "weights": WEIGHTS}
    return {DASHBOARDS / f"{name}.json": json.dumps(view.to_json(), indent=2) + "\n" for name, view in made.items()}


def rule_groups() -> list[dict[str, Any]]:
    """Return the groups of all rule files."""
    files = sorted(RULES.glob("*.yaml"))
    return [group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]


def rules_object(runbooks: str) -> dict[str, Any]:
    """Return the rules as the Prometheus operator takes them; ``runbooks`` goes before the pages' paths.

    Without those about machines: a cluster's nodes are not the line's alone, and its own rules tell of them.
    """
    groups = rule_groups()
    for group in groups:
        group["rules"] = [rule for rule in group["rules"] if rule.get("labels", {}).get("source") != "machine"]
    for rule in (rule for group in groups for rule in group["rules"]):
        if notes := rule.get("annotations"):
            # A new one: rules of a file may share theirs.
            rule["annotations"] = {**notes, "runbook_url": runbooks + notes["runbook_url"]}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "inspection", "labels": {"app.kubernetes.io/name": "inspector"}},
        "spec": {"groups": groups},
    }


def main() -> int:
    """Write the dashboards, or print the rules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", action="store_true", help="print a PrometheusRule object")
    parser.add_argument("--runbooks", default="", metavar="URL", help="where this repository's files can be read")
    given = parser.parse_args()
    if given.rules:
        yaml.safe_dump(rules_object(given.runbooks), sys.stdout, sort_keys=False, width=120)
        return 0
    for path, text in dashboards().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
