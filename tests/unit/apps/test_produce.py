"""``produce`` at its end: how long it waits for Kafka, and what it does where waiting cannot help."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from inspector.apps import produce


class _Away:
    """A publisher whose Kafka is away: it waits as long as it is asked to, in the test's own time."""

    def __init__(self) -> None:
        self.waited_s = 0.0
        self.stop = threading.Event()
        self.stop_after_s = float("inf")

    def flush(self, timeout_s: float) -> bool:
        self.waited_s += timeout_s
        if self.waited_s >= self.stop_after_s:
            self.stop.set()
        return False


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> _Away:
    made = _Away()
    monkeypatch.setattr(produce.time, "monotonic", lambda: made.waited_s)
    return made


def flushed(away: Any) -> bool:
    return produce._flush(away, away.stop)


def test_at_the_end_of_a_source_kafka_gets_time_to_come_back(away: _Away) -> None:
    assert not flushed(away)
    assert away.waited_s == pytest.approx(30, abs=1)


@pytest.mark.parametrize("stopped_after_s", [0.0, 5.0, 29.5])
def test_told_to_stop_it_does_not_wait_for_kafka_that_is_away(away: _Away, stopped_after_s: float) -> None:
    away.stop_after_s = stopped_after_s
    assert not flushed(away)
    assert away.waited_s == pytest.approx(min(stopped_after_s + 2, 30), abs=1)
