"""A real Prometheus, the shipped rules, and every query of every dashboard."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from exporters import exporting
from observability.make import dashboards
from observability.prometheus import Prometheus, prometheus

# Far below the ports of outgoing connections, and apart from those of a demo that may run on this machine.
FIRST_PORT = 19090


def queries() -> dict[str, str]:
    """Every query of the dashboards by what shows it, as Grafana sends it with all cameras chosen."""
    found = {}
    for path, text in dashboards().items():
        for panel in json.loads(text)["panels"]:
            for target in panel.get("targets", ()):
                name = f"{path.stem}: {panel['title']} {target['refId']}"
                expr = target["expr"].replace("$__rate_interval", "1m").replace("$__range", "1h")
                found[name] = expr.replace("$camera", ".*")
                assert "$" not in found[name], "a variable that this test does not know"
    return found


def without_data(server: Prometheus, asked: dict[str, str]) -> dict[str, str]:
    """Those that return nothing, or nothing that is a number."""

    def empty(expr: str) -> bool:
        return all(math.isnan(sample.value) for sample in server.query(expr))

    return {name: expr for name, expr in asked.items() if empty(expr)}


def wait_for(done: Callable[[], bool], timeout_s: float) -> bool:
    """Poll until ``done()``; whether it came in time."""
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


@pytest.mark.timeout(120)
def test_every_query_returns_data_where_all_that_is_declared_is_exported(tmp_path: Path) -> None:
    with exporting() as ports, prometheus(tmp_path / "prometheus", ports, FIRST_PORT) as server:
        assert wait_for(lambda: sorted(server.healthy_targets()) == sorted(ports), 30)
        asked = queries()
        wait_for(lambda: not without_data(server, asked), 30)
        assert without_data(server, asked) == {}
        assert {rule["name"]: rule.get("lastError", "") for rule in server.rules() if rule["health"] != "ok"} == {}
