"""A real Prometheus, the shipped rules, and every query of every dashboard."""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from exporters import exporting
from kafka import KafkaProducer
from local_services import ROOT
from observability.make import dashboards
from observability.prometheus import Prometheus, prometheus

from inspector.adapters.redis.artefacts import RedisArtefactStore
from inspector.adapters.redis.connection import connect
from inspector.adapters.redis.trainer_runs import RedisTrainerRuns
from inspector.domain.records import to_json
from inspector.domain.trainer_run import TrainerOutcome, TrainerRun

# Far below the ports of outgoing connections, and apart from those of a demo that may run on this machine.
FIRST_PORT = 19090


def queries(namespace: str = "") -> dict[str, str]:
    """Every query of the dashboards by what shows it, as Grafana sends it with a line and all cameras chosen.

    Where no series has a namespace there is none to choose, and what Grafana sends is empty.
    """
    found = {}
    for path, text in dashboards().items():
        for panel in json.loads(text)["panels"]:
            for target in panel.get("targets", ()):
                name = f"{path.stem}: {panel['title']} {target['refId']}"
                expr = target["expr"].replace("$__rate_interval", "1m").replace("$__range", "1h")
                found[name] = expr.replace("$camera", ".*").replace("$namespace", namespace)
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

        # As it is in Kubernetes: each line's namespace is on all of it, and a dashboard shows one of them.
        targets = tmp_path / "prometheus" / "targets.yaml"
        groups = yaml.safe_load(targets.read_text())
        for group in groups:
            group["labels"]["namespace"] = "plant-7"
        targets.write_text(yaml.safe_dump(groups))
        asked = queries("plant-7")
        wait_for(lambda: not without_data(server, asked), 40)
        assert without_data(server, asked) == {}
        shown = {name: {sample.value for sample in server.query(expr)} for name, expr in queries("plant-8").items()}
        assert {name: values for name, values in shown.items() if not values <= {0}} == {}


GPU_ALONE = {"service: GPU utilization A", "service: GPU memory A"}
DEMO = ROOT / ".cache" / "demo"


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_every_query_returns_data_while_the_demo_runs(tmp_path: Path) -> None:
    """``deploy/demo.sh --observe`` as a person starts it, with one bad frame and one request to its API besides."""
    given = {name: value for name, value in os.environ.items() if name not in ("KAFKA_BOOTSTRAP", "REDIS_URL")}
    log = tmp_path / "demo.log"
    # So many that drift can be told of: 200 frames of each camera are now, and 50 more are then.
    command = [str(ROOT / "deploy" / "demo.sh"), "--observe", "--frames", "900", "--rate", "4"]
    with log.open("wb") as output:
        demo = subprocess.Popen(command, stdout=output, stderr=output, env=given, start_new_session=True)
    try:
        assert wait_for(lambda: "Prometheus reads every process" in log.read_text() or demo.poll() is not None, 600)
        server = Prometheus(int(re.findall(r"http://127\.0\.0\.1:(\d+)", log.read_text())[0]))
        assert wait_for(lambda: "Ready after" in log.read_text() or demo.poll() is not None, 300), log.read_text()
        send_what_is_no_image()
        ask_the_api()
        end_a_run_of_the_trainer()
        missing = queries()

        def none_missing() -> bool:
            nonlocal missing
            missing = without_data(server, missing)
            return missing.keys() <= GPU_ALONE or demo.poll() is not None

        assert wait_for(none_missing, 1800), missing
        assert demo.poll() is None, log.read_text()[-3000:]
        assert missing.keys() <= GPU_ALONE
        assert {rule["name"] for rule in server.rules() if rule["health"] != "ok"} == set()
        assert {"camera", "inspector", "serve", "trainer", "watch"} == {
            each["labels"]["job"] for each in server.targets()
        }
    finally:
        demo.send_signal(signal.SIGTERM)
        demo.wait(120)
    with pytest.raises(OSError, match="refused"):
        server.query("1")


def send_what_is_no_image() -> None:
    broker = json.loads((DEMO / "services" / "plan.json").read_text())["brokers"][0]
    producer = KafkaProducer(bootstrap_servers=f"127.0.0.1:{broker['port']}")
    producer.send("inspection.frames", key=b"cam-plate", value=b"no image").get(30)
    producer.close()


def end_a_run_of_the_trainer() -> None:
    """Leave what a CronJob's leaves: the demo's own begins when there is something to learn, and takes its time."""
    port = json.loads((DEMO / "services" / "plan.json").read_text())["redis_port"]
    client, now = connect(f"redis://127.0.0.1:{port}/0"), datetime.now(UTC)
    run = TrainerRun("r1", TrainerOutcome.REFUSED, now - timedelta(minutes=5), now, "a-pod", 1, "w1")
    RedisTrainerRuns(client).add(RedisArtefactStore(client).put(to_json(run)))
    client.close()


def ask_the_api() -> None:
    address = re.findall(r"serving http://127\.0\.0\.1:(\d+)", (DEMO / "serve.log").read_text())[0]
    for _ in range(2):  # a counter that appears with its first request has not grown yet
        connection = http.client.HTTPConnection("127.0.0.1", int(address), timeout=10)
        connection.request("GET", "/api/v1/feedback/conflicts")
        assert connection.getresponse().status == 200
        connection.close()
        time.sleep(5)
