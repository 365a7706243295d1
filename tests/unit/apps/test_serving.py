"""`inspector serve` as a process: answers, ends well when it is told to, and says why it cannot start."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from inspector.apps.serve import _bound
from inspector.domain.errors import BadInputError

# The real application, server and settings; only the desk, which needs Kafka and Redis, is another.
SCRIPT = """
from inspector.apps import serve
from inspector.pipeline.feedback_book import FeedbackBook
from inspector.settings import load

class Desk:
    def __init__(self, settings): pass
    def book(self): return FeedbackBook()
    def close(self): print("closed", flush=True)

serve.FeedbackDesk = Desk
serve.run(load(flags={"serve": {"port": 0}}))
"""


@contextmanager
def serving() -> Iterator[tuple[subprocess.Popen[str], str]]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", SCRIPT], text=True, **pipes) as process:
        try:
            assert process.stderr is not None
            found = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
            assert found is not None, process.stderr.read()
            yield process, found[0]
        finally:
            process.kill()


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_ends_with_0_and_closes_what_it_opened(told: signal.Signals) -> None:
    with serving() as (process, address):
        assert httpx2.get(f"{address}/healthz", timeout=60).json() == {"status": "ok"}
        assert httpx2.get(f"{address}/api/v1/feedback/conflicts", timeout=60).json() == []
        assert httpx2.get(f"{address}/healthz", timeout=60).headers.get("server") is None
        process.send_signal(told)
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "closed\n")


def test_an_address_that_is_taken_or_not_ours_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(BadInputError, match=r"serve\.port"):
        _bound("127.0.0.1", other.getsockname()[1])
    with pytest.raises(BadInputError, match=r"serve\.host"):
        _bound("192.0.2.1", 0)
