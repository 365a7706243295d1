"""A Prometheus of our own on this machine, with the rules beside this file: for the demo and for tests."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

CONFIG = Path(__file__).with_name("prometheus.yaml")
START_TIMEOUT_S = 30.0
SCRAPE = "2s"
_STOP_TIMEOUT_S = 20.0
_REQUEST_TIMEOUT_S = 10.0


def free_ports(count: int, first: int) -> list[int]:
    """Return ports of 127.0.0.1 from ``first`` on, on which nobody listened a moment ago.

    Below those that the system gives to outgoing connections (32768 and more on Linux), or one of these could take a
    port before its process does.
    """
    found: list[int] = []
    port = first
    while len(found) < count:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                pass
            else:
                found.append(port)
        port += 1
    return found


@dataclass(frozen=True, slots=True)
class Sample:
    """One series as of now."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running server at 127.0.0.1, asked over its HTTP API."""

    port: int

    @property
    def url(self) -> str:
        """Its page."""
        return f"http://127.0.0.1:{self.port}"

    def query(self, expr: str) -> list[Sample]:
        """Return what an expression is now: a vector's series, or a scalar as one without labels.

        Raises:
            ValueError: Prometheus does not take the expression; its own words.
        """
        data = self._get("query", query=expr)
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]))]
        return [Sample(each["metric"], float(each["value"][1])) for each in data["result"]]

    def healthy_targets(self) -> list[str]:
        """Return the jobs of the targets whose last scrape succeeded, one entry a target."""
        return [each["labels"]["job"] for each in self.targets() if each["health"] == "up"]

    def targets(self) -> Sequence[Mapping[str, Any]]:
        """Return the targets as Prometheus tells of them."""
        active: Sequence[Mapping[str, Any]] = self._get("targets", state="active")["activeTargets"]
        return active

    def rules(self) -> Sequence[Mapping[str, Any]]:
        """Return all rules with their health and, of alerts, their state."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, endpoint: str, **parameters: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_REQUEST_TIMEOUT_S)
        try:
            connection.request("GET", f"/api/v1/{endpoint}?{urlencode(parameters)}")
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if answer["status"] != "success":
            raise ValueError(f"{answer.get('errorType')}: {answer.get('error')}")
        return answer["data"]


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, Sequence[int]], first_port: int = 9090) -> Iterator[Prometheus]:
    """Run a Prometheus that reads these ports of 127.0.0.1, by job; its data lie in ``folder``, which starts empty.

    It listens on the first free port from ``first_port`` on.

    Raises:
        RuntimeError: it is not installed, or does not start; with its last words.
    """
    program = shutil.which("prometheus")
    if program is None:
        raise RuntimeError("prometheus is not installed: deploy/setup.sh prometheus")
    folder = folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    server = Prometheus(free_ports(1, first_port)[0])
    command = [
        program,
        f"--config.file={_configure(folder, targets)}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{server.port}",
        "--storage.tsdb.retention.time=1d",
    ]
    log_path = folder / "prometheus.log"
    with log_path.open("wb") as log:
        # A session of its own: Ctrl-C is the caller's, who may still have questions.
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder, start_new_session=True
        )
    try:
        _wait_ready(server, process, log_path)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _configure(folder: Path, targets: Mapping[str, Sequence[int]]) -> Path:
    """Write the shipped configuration with these targets, and times that suit minutes instead of weeks."""
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": SCRAPE, "evaluation_interval": SCRAPE}
    config["rule_files"] = [str(CONFIG.parent / pattern) for pattern in config["rule_files"]]
    config["scrape_configs"][0]["file_sd_configs"] = [{"files": ["targets.yaml"]}]
    groups = [
        {"targets": [f"127.0.0.1:{port}" for port in ports], "labels": {"job": job}} for job, ports in targets.items()
    ]
    (folder / "targets.yaml").write_text(yaml.safe_dump(groups), encoding="utf-8")
    path = folder / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def _wait_ready(server: Prometheus, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            server.query("1")
        except (OSError, ValueError, http.client.HTTPException) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                words = log.read_text(errors="replace").strip().splitlines()[-3:]
                raise RuntimeError(f"prometheus does not start: {error}; {' / '.join(words)}") from error
        else:
            return
        time.sleep(0.1)
