"""Metrics and probes over HTTP, and a supervisor that answers for a worker through its lives."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from inspector.adapters.telemetry.http import TelemetryServer
from inspector.adapters.telemetry.link import WorkerLink
from inspector.apps.inspect_telemetry import SupervisorTelemetry
from inspector.apps.supervisor import Supervisor
from inspector.domain.errors import BadInputError
from inspector.pipeline.health import Health


def get(url: str) -> tuple[int, str]:
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_probes_say_ok_or_503_with_the_reason(host: str) -> None:
    state = [Health(False, False, True, "the model is not verified and warm yet")]
    with closing(TelemetryServer(host, 0, lambda: b"up 1\n", lambda: state[0])) as server:
        assert get(f"{server.url}/metrics") == (200, "up 1\n")
        assert get(f"{server.url}/livez") == (200, "ok\n")
        assert get(f"{server.url}/readyz?verbose") == (503, "the model is not verified and warm yet\n")
        assert get(f"{server.url}/startupz")[0] == 503
        assert get(f"{server.url}/etc/passwd")[0] == 404
        state[0] = Health(True, False, False, "stuck")
        assert get(f"{server.url}/startupz")[0] == 200
        assert get(f"{server.url}/livez") == (503, "stuck\n")


def test_a_port_that_is_taken_is_a_described_problem() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken, pytest.raises(BadInputError, match=r"metrics\.port"):
        TelemetryServer("127.0.0.1", taken.getsockname()[1], lambda: b"", lambda: Health(True, True, True))


def test_clients_that_say_nothing_do_not_keep_a_probe_waiting() -> None:
    with closing(TelemetryServer("127.0.0.1", 0, lambda: b"", lambda: Health(True, True, True))) as server:
        port = int(server.url.rsplit(":", 1)[1])
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(10)]
        assert get(f"{server.url}/livez")[0] == 200
        for each in silent:
            each.close()


WORKER = """
    import json, os, sys, time
    from dataclasses import asdict
    from inspector.apps.supervisor import stop_when_told
    from inspector.pipeline.health import Health
    def answer(question):
        if question == "health": return json.dumps(asdict(Health(True, True, True))).encode()
        if question == "metrics": return b"worker_pid %d\\n" % os.getpid() + b"# padding\\n" * 300_000
        raise ValueError("a bug")
    stop_when_told(answer).wait()
"""


class Pod:
    """A supervisor in a thread of the test, with a worker of its own and a telemetry server."""

    def __init__(self, stuck_after_s: float) -> None:
        self.link = WorkerLink()
        self.telemetry = SupervisorTelemetry(self.link, stuck_after_s)
        command = [sys.executable, "-c", textwrap.dedent(WORKER)]
        self.supervisor = Supervisor(
            command,
            lambda code, _: self.telemetry.worker_restarts(code),
            link=self.link,
            on_start=self.telemetry.worker_started,
        )
        self.server = TelemetryServer("127.0.0.1", 0, self.telemetry.metrics, self.telemetry.health)
        self.telemetry.start()
        self.thread = threading.Thread(target=self.supervisor.run)
        self.thread.start()

    def get(self, path: str) -> tuple[int, str]:
        return get(f"{self.server.url}{path}")

    def worker_pid(self) -> int | None:
        lines = self.get("/metrics")[1].splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("worker_pid ")), None)

    def close(self) -> None:
        self.supervisor._stop(signal.SIGTERM, None)
        self.thread.join(20)
        self.server.close()
        self.telemetry.close()


@pytest.fixture
def pod(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pod]:
    # Signal handlers belong to the main thread, and the waits between two lives to no test.
    monkeypatch.setattr("inspector.apps.supervisor.signal.signal", lambda *_: None)
    monkeypatch.setattr("inspector.apps.supervisor.backoff_s", lambda: itertools.repeat(2.0))
    made = Pod(stuck_after_s=4)
    yield made
    made.close()


def soon(done: Callable[[], bool], timeout_s: float = 60) -> None:
    ends_s = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < ends_s, "it did not come to that"
        time.sleep(0.1)


def test_the_port_and_the_probes_outlive_a_worker(pod: Pod) -> None:
    soon(lambda: pod.get("/readyz")[0] == 200)
    first = pod.worker_pid()
    assert first is not None
    assert "inspector_worker_up 1.0" in pod.get("/metrics")[1]
    assert pod.link.ask("a question that it fails on", 5) == b""
    assert pod.worker_pid() == first, "an answer of megabytes, and the next after it"
    os.kill(first, signal.SIGKILL)
    soon(lambda: pod.get("/readyz")[0] == 503)
    assert pod.get("/livez")[0] == 200
    assert pod.get("/startupz")[0] == 200
    soon(lambda: pod.get("/readyz")[0] == 200)
    assert pod.worker_pid() not in (None, first)
    assert 'inspector_worker_restarts_total{why="killed"} 1.0' in pod.get("/metrics")[1]


def test_a_worker_that_hangs_turns_livez_and_its_late_answers_confuse_nobody(pod: Pod) -> None:
    soon(lambda: pod.get("/readyz")[0] == 200)
    pid = pod.worker_pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    soon(lambda: pod.get("/livez")[0] == 503)
    status, text = pod.get("/metrics")
    assert status == 200
    assert "inspector_worker_up 0.0" in text
    os.kill(pid, signal.SIGCONT)
    soon(lambda: pod.get("/livez")[0] == 200)
    for _ in range(5):
        assert (pod.link.ask("health", 10) or b"").startswith(b"{"), "not the answer to an older question"
        assert (pod.link.ask("metrics", 10) or b"").startswith(b"worker_pid ")


def test_help_loads_neither_library() -> None:
    code = """
        import sys
        from typer.testing import CliRunner
        from inspector.cli import app
        assert CliRunner().invoke(app, ["--help"]).exit_code == 0
        print([name for name in ("prometheus_client", "opentelemetry") if name in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
